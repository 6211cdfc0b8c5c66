"""Result files: one JSON document per run, validated when written and when read.

Nothing here imports torch. The format is described field by field in ``docs/result-schema.md``.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec

from snnbench.core.errors import ResultError
from snnbench.core.files import write_atomically
from snnbench.results.checks import consistency_problem, field_problem, number_problem
from snnbench.results.migrations import MIGRATIONS, version_of
from snnbench.results.run import SCHEMA_VERSION, RunResult

_VERSION = re.compile(r"\d{1,4}(\.\d{1,4}){1,2}", re.ASCII)


def save(result: RunResult, path: str | Path) -> None:
    """Write a result as JSON, one layer per line, keys in declared order.

    The same result gives the same bytes. An earlier file is replaced only by a complete new one.

    Raises:
        ResultError: The result contradicts itself or holds what JSON cannot (NaN, tensors).
        OutputError: The file cannot be written.
    """
    failure = f"result for {path} cannot be saved"
    try:
        tree = msgspec.to_builtins(result, order="deterministic")
        text = _layout(tree)
    except (TypeError, ValueError) as error:
        msg = f"{failure}: {error}"
        raise ResultError(msg) from error
    _refuse(number_problem(tree), failure)  # JSON would turn NaN into null
    _validate(msgspec.json.decode(text), failure)
    write_atomically(path, f"{text}\n".encode())


def load(path: str | Path) -> RunResult:
    """Read and validate a result file; earlier versions are migrated in memory.

    Raises:
        ResultError: The file is missing, not JSON, of a newer version, or not valid; the message
            names the file, the JSON path and what is wrong.
    """
    tree = _decode(path)
    version = version_of(tree)
    if not isinstance(version, int) or isinstance(version, bool) or version < min(MIGRATIONS):
        msg = f"{path} is not a snnbench result: no valid schema version - at `$.schema_version`"
        raise ResultError(msg)
    if version > SCHEMA_VERSION:
        writer = _writer(tree)
        package = f"'snnbench>={writer}'" if writer else "snnbench"
        msg = (
            f"{path} has schema version {version}; this snnbench reads up to {SCHEMA_VERSION}: "
            f"upgrade with `pip install -U {package}`"
        )
        raise ResultError(msg)
    for step in range(version, SCHEMA_VERSION):
        tree = MIGRATIONS[step](tree)
    return _validate(tree, f"{path} is not a valid snnbench result")


def _writer(tree: dict[str, Any]) -> str | None:
    """Return the version of snnbench that wrote the file; ``None`` if the file does not say."""
    environment = tree.get("environment")
    version = environment.get("snnbench") if isinstance(environment, dict) else None
    return version if isinstance(version, str) and _VERSION.fullmatch(version) else None


def _decode(path: str | Path) -> dict[str, Any]:
    content = b""
    try:
        content = Path(path).read_bytes()
        tree = msgspec.json.decode(content)
    except FileNotFoundError:
        msg = f"result {path} does not exist"
        raise ResultError(msg) from None
    except OSError as error:
        msg = f"result {path} cannot be read: {error.strerror}"
        raise ResultError(msg) from error
    except (msgspec.MsgspecError, ValueError) as error:
        # a file that ends within a number looks like a malformed number to the decoder
        cut = content.startswith(b"{") and not content.rstrip().endswith(b"}")
        reason = "Input data was truncated" if cut else error
        msg = f"{path} is damaged or not a snnbench result: {reason}"
        raise ResultError(msg) from error
    except RecursionError:
        msg = f"{path} is not a snnbench result: nested too deeply"
        raise ResultError(msg) from None
    if not isinstance(tree, dict):
        msg = f"{path} is not a snnbench result: expected a JSON object - at `$`"
        raise ResultError(msg)
    return tree


def _validate(tree: dict[str, Any], failure: str) -> RunResult:
    try:
        result = msgspec.convert(tree, RunResult)
    except msgspec.ValidationError as error:
        msg = f"{failure}: {error}"
        raise ResultError(msg) from error
    _refuse(field_problem(tree, msgspec.json.decode(msgspec.json.encode(result))), failure)
    _refuse(number_problem(tree), failure)
    _refuse(consistency_problem(result), failure)
    return result


def _refuse(problem: str | None, failure: str) -> None:
    if problem:
        msg = f"{failure}: {problem}"
        raise ResultError(msg)


def _layout(tree: object, indent: str = "") -> str:
    """Write JSON with one field of the outer objects, and one element of their lists, per line."""
    inner = f"{indent} "
    if isinstance(tree, dict) and tree:
        lines = [f"{_compact(key)}: {_layout(child, inner)}" for key, child in tree.items()]
        opening, closing = "{}"
    elif isinstance(tree, tuple) and tree and isinstance(tree[0], dict):
        lines = [_compact(child) for child in tree]
        opening, closing = "[]"
    else:
        return _compact(tree)
    return f"{opening}\n" + ",\n".join(inner + line for line in lines) + f"\n{indent}{closing}"


def _compact(value: object) -> str:
    return msgspec.json.encode(value).decode()
