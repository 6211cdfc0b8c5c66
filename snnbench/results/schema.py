"""JSON Schema of the result file, generated from the records and their docstrings."""

from __future__ import annotations

import inspect
import re
from typing import Any

import msgspec
from msgspec import UNSET

from snnbench.results import counts, engine, run
from snnbench.results.run import SCHEMA_VERSION, RunResult

_ATTRIBUTE = re.compile(r"^    (\w+): (.+(?:\n {8,}.+)*)", re.MULTILINE)


def json_schema() -> dict[str, Any]:
    """Make the JSON Schema (draft 2020-12) of a result file of the current version.

    It allows no other fields, and requires all of them but ``other_options``. It cannot express
    conditions across fields (sums, lengths, unique names), which ``load`` checks too.
    """
    (reference,), components = msgspec.json.schema_components([RunResult])
    for name, component in components.items():
        if "properties" in component:
            _complete(component, _class_of(name))
        elif "description" in component:
            component["description"] = _summary(_class_of(name))
    components["RunResult"]["properties"]["schema_version"] = {
        "const": SCHEMA_VERSION,
        "description": "Version of the file format.",
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"snnbench result, version {SCHEMA_VERSION}",
        **reference,
        "$defs": dict(sorted(components.items())),
    }


def _complete(component: dict[str, Any], record: Any) -> None:
    component["description"] = _summary(record)
    described = dict(_ATTRIBUTE.findall(inspect.getdoc(record) or ""))
    properties = component["properties"]
    component["properties"] = {name: properties[name] for name in record.__dataclass_fields__}
    for name, schema in properties.items():
        schema.pop("default", None)
        if name in described:
            schema["description"] = _plain(described[name])
    fields = record.__dataclass_fields__
    component["required"] = [name for name in fields if fields[name].default is not UNSET]
    component["additionalProperties"] = False


def _summary(record: type) -> str:
    return _plain((inspect.getdoc(record) or "").partition("\n\n")[0])


def _plain(text: str) -> str:
    return " ".join(text.replace("``None``", "null").replace("``", "").split())


def _class_of(name: str) -> Any:
    return next(getattr(module, name) for module in (run, counts, engine) if hasattr(module, name))
