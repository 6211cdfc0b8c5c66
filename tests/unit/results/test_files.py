"""Result files: layout, atomic writing, and every reason for which a file is refused."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

import msgspec
import numpy as np
import pytest
from support.factories import (
    make_result,
    metered,
    snn_profile,
    trained,
    with_engine,
    with_names,
    with_uncounted,
)

from snnbench.core import files
from snnbench.core.errors import OutputError, ResultError
from snnbench.results.files import load, save
from snnbench.results.migrations import MIGRATIONS
from snnbench.results.run import SCHEMA_VERSION, Check, RunResult, option_fields
from snnbench.results.schema import json_schema

ROOT = Path(__file__).parents[3]
DRAFT = ROOT / "tests" / "fixtures" / "result-v0.json"
SCHEMA = ROOT / "reports" / "schema" / f"result-v{SCHEMA_VERSION}.json"


def full_result() -> RunResult:
    return with_engine(metered(trained(with_uncounted(make_result()))))


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "result.json"
    save(full_result(), path)
    return path


def tree_of(path: Path) -> dict[str, Any]:
    tree: dict[str, Any] = json.loads(path.read_text())
    return tree


def test_round_trip_and_layout(saved: Path) -> None:
    result = full_result()
    assert load(saved) == result
    lines = saved.read_text().splitlines()
    for layer in result.snn.layers:
        (line,) = [line for line in lines if line.startswith(f'   {{"name":"{layer.name}",')][:1]
        assert json.loads(line.rstrip(","))["effective"]["acs"] == layer.effective.acs
    assert list(tree_of(saved)) == [*RunResult.__dataclass_fields__]


def test_equal_results_give_equal_bytes(saved: Path, tmp_path: Path) -> None:
    result = full_result()
    packages = dict(reversed(result.environment.packages.items()))
    assert list(packages) != list(result.environment.packages)
    again = replace(result, environment=replace(result.environment, packages=packages))
    save(again, tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == saved.read_bytes()


def test_any_text_survives(tmp_path: Path) -> None:
    result = with_names(make_result(), 'β.<script>|"50%\\d~^\u2028\x00')
    save(result, tmp_path / "result.json")
    assert load(tmp_path / "result.json") == result


def test_a_file_cut_within_an_exponent_is_called_truncated(saved: Path) -> None:
    content = saved.read_bytes()
    saved.write_bytes(content[: content.index(b"e-", content.index(b'"folding"')) + 2])
    with pytest.raises(ResultError, match="truncated"):
        load(saved)


def test_no_torch_is_needed(saved: Path) -> None:
    code = (
        "import sys, snnbench; r = snnbench.load(sys.argv[1]); snnbench.save(r, sys.argv[1]);"
        "assert 'torch' not in sys.modules and 'pandas' not in sys.modules"
    )
    before = saved.read_bytes()
    subprocess.run([sys.executable, "-c", code, str(saved)], check=True)
    assert saved.read_bytes() == before


def edit(tree: Any, path: str, value: object) -> None:
    *parents, last = [int(key) if key.isdigit() else key for key in path.split("/")]
    for key in parents:
        tree = tree[key]
    tree[last] = value


@pytest.mark.parametrize(
    ("where", "value", "message"),
    [
        ("snn", None, r"Expected `object`, got `null` - at `\$\.snn`"),
        (
            "snn/layers/0/calls",
            "6",
            r"Expected `int`, got `str` - at `\$\.snn\.layers\[0\]\.calls`",
        ),
        ("snn/layers/0/calls", 6.5, r"Expected `int`, got `float`"),
        ("snn/layers/0/calls", True, r"Expected `int`, got `bool`"),
        ("snn/layers/0/role", "soma", r"Invalid enum value 'soma'"),
        ("weights/status", "tuned", r"Invalid enum value 'tuned' - at `\$\.weights\.status`"),
        ("snn/layers/0/calls", -1, r"-1 is negative, .* - at `\$\.snn\.layers\[0\]\.calls`"),
        ("snn/layers/2/effective/acs", -5, r"negative.* at `\$\.snn\.layers\[2\]\.effective\.acs`"),
        ("timings/0/raw_seconds/3", -0.5, r"negative.* at `\$\.timings\[0\]\.raw_seconds\[3\]`"),
        ("snn/layers/0/params", 2**63, r"beyond 64 bits - at `\$\.snn\.layers\[0\]\.params`"),
        ("snn/layers/0/params", 10**400, r"100000000000000000000000 is .* beyond 64 bits"),
        ("checks/0/expected", 10**400, r"out of range - at `\$\.checks\[0\]\.expected`"),
        ("snn/layers/0/efective", {}, r"unknown field 'efective' - at `\$\.snn\.layers\[0\]`"),
        ("snn/layers/3/name", "conv1", r"'conv1' repeats .*`\$\.snn\.layers\[0\]` - at .*\[3\]"),
        ("snn/layers/1/spikes_per_sample", [1], r"1 entries for 2 samples - at .*per_sample`"),
        ("snn/layers/1/spikes_per_timestep/0", 0, r"entries sum to \d+, the total is \d+ - at"),
        ("twin/layers/0/effective_per_timestep", [1, 2], r"2 entries for 1 timesteps - at `\$\.tw"),
        ("snn/layers/1/output_spikes", 10**9, r"sum to"),
        ("snn/layers/1/output_sites", 1, r"output_spikes \d+ exceeds output_sites 1 - at"),
        ("snn/layers/2/input_nonzero", 10**9, r"input_nonzero 1000000000 exceeds input_sites"),
        ("snn/layers/2/dense/acs", 1, r"effective \d+ exceeds dense 1 - at `\$\.snn\.layers\[2\]`"),
        ("snn/layers/2/dense/macs", 1, r"either MACs or ACs, not both - at .*\[2\]\.dense`"),
        ("snn/layers/2/input_alphabet/scale", None, r"alphabet has a scale .*input_alphabet`"),
        ("snn/layers/0/input_alphabet/scale", 1.0, r"alphabet has a scale .*input_alphabet`"),
        ("engine/flipped_spikes", 10**7, r"more spikes flipped .* at `\$\.engine\.flipped_spikes`"),
        ("engine/threads", 0, r"batch_size and threads are at least 1 - at `\$\.engine`"),
        ("engine/steps/1/input_sites", 1, r"input_spikes exceeds .*`\$\.engine\.steps\[1\]`"),
        ("engine/flipped_by_rounding", 10**7, r"more spikes flipped .*\.flipped_by_rounding`"),
        ("engine/steps/0/raw_seconds", [], r"no raw times - at `\$\.engine\.steps\[0\]\.raw"),
        ("engine/steps/0/layers/0/executed_macs", -1, r"-1 is negative, .*layers\[0\]\.executed"),
        ("snn/declared_dense", True, r"accumulates in a network declared dense"),
        ("accuracy/correct", 101, r"more correct answers than samples - at `\$\.accuracy`"),
        ("timings/1/raw_seconds", [], r"no raw times - at `\$\.timings\[1\]\.raw_seconds`"),
        ("timings/1/number_per_run", 0, r"at least 1 - at `\$\.timings\[1\]`"),
        ("energy_measured/0/runs", 0, r"runs is at least 1 - at `\$\.energy_measured\[0\]`"),
        ("schema_version", 0, r"no valid schema version - at `\$\.schema_version`"),
        ("schema_version", "1", r"no valid schema version"),
        ("schema_version", True, r"no valid schema version"),
        ("schema_version", None, r"no valid schema version"),
    ],
)
def test_a_wrong_value_is_named(saved: Path, where: str, value: object, message: str) -> None:
    tree = tree_of(saved)
    edit(tree, where, value)
    saved.write_text(json.dumps(tree))
    with pytest.raises(ResultError, match=message) as caught:
        load(saved)
    assert str(saved) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_count_does_not_read_as_zero(saved: Path) -> None:
    tree = tree_of(saved)
    del tree["snn"]["layers"][2]["effective"]["acs"]
    saved.write_text(json.dumps(tree))
    with pytest.raises(ResultError, match=r"'acs' is missing - at .*layers\[2\]\.effective`"):
        load(saved)


def test_numbers_that_may_be_negative(saved: Path) -> None:
    result = full_result()
    checks = (Check(name="drift", expected=-1.5, measured=-2.0, ok=False),)
    result = replace(result, checks=checks, config=replace(result.config, seed=-3))
    save(result, saved)
    assert load(saved) == result


def test_a_newer_version_says_to_upgrade(saved: Path) -> None:
    saved.write_text('{"schema_version": 2, "anything": "else"}')
    with pytest.raises(
        ResultError,
        match=r"result\.json has schema version 2; this snnbench reads up to 1: upgrade with "
        r"`pip install -U snnbench`",
    ):
        load(saved)


def test_a_newer_version_says_which_snnbench_reads_it(saved: Path) -> None:
    saved.write_text('{"schema_version": 7, "environment": {"snnbench": "0.9.2"}}')
    with pytest.raises(ResultError, match=r"`pip install -U 'snnbench>=0\.9\.2'`$"):
        load(saved)
    saved.write_text('{"schema_version": 7, "environment": {"snnbench": "0; rm -rf ~"}}')
    with pytest.raises(ResultError, match=r"`pip install -U snnbench`$"):
        load(saved)


def test_earlier_versions_are_migrated_step_by_step(
    saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    current = tree_of(saved)
    old = {key: value for key, value in current.items() if key != "title"} | {"schema_version": 1}
    saved.write_text(json.dumps(old | {"label": current["title"]}))
    monkeypatch.setattr("snnbench.results.files.SCHEMA_VERSION", 3)
    monkeypatch.setitem(
        MIGRATIONS,
        1,
        lambda tree: {**tree, "schema_version": 2, "heading": tree["label"], "label": None},
    )

    def to_third(tree: dict[str, Any]) -> dict[str, Any]:
        kept = {key: value for key, value in tree.items() if key not in ("label", "heading")}
        return kept | {"schema_version": 3, "title": tree["heading"]}

    monkeypatch.setitem(MIGRATIONS, 2, to_third)
    assert load(saved) == replace(full_result(), schema_version=3)


def test_there_is_a_migration_from_every_earlier_version() -> None:
    assert sorted(MIGRATIONS) == list(range(SCHEMA_VERSION))


def test_a_draft_before_the_engine_loads() -> None:
    tree = json.loads(DRAFT.read_text())
    assert "engine" not in tree
    assert tree["timings"]
    assert "execution" not in tree["timings"][0]
    result = load(DRAFT)
    assert result.schema_version == SCHEMA_VERSION
    assert (result.engine, result.twin_weights, result.config.latency_batches) == (None,) * 3
    assert result.timings[0].execution is None
    assert [layer.effective.synops for layer in result.snn.layers] == [
        layer["effective"]["acs"] + layer["effective"]["macs"] for layer in tree["snn"]["layers"]
    ]


@pytest.mark.parametrize("field", ["engine", "twin_weights"])
def test_a_file_with_one_field_of_the_engine_is_no_draft(tmp_path: Path, field: str) -> None:
    path = tmp_path / "result.json"
    path.write_text(json.dumps(json.loads(DRAFT.read_text()) | {field: None}))
    with pytest.raises(ResultError, match="is missing"):
        load(path)


@pytest.mark.parametrize("timings", [None, 3, [3]])
def test_a_damaged_draft_is_refused(tmp_path: Path, timings: object) -> None:
    path = tmp_path / "result.json"
    path.write_text(json.dumps(json.loads(DRAFT.read_text()) | {"timings": timings}))
    with pytest.raises(ResultError, match=r"\$\.timings"):
        load(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "truncated"),
        (b"\x89PNG\r\n\x1a\n\x00\xff", "damaged or not a snnbench result"),
        (b'{"schema_version": NaN}', "malformed"),
        (b'{"schema_version": Infinity}', "malformed"),
        (b'{"schema_version": 1e999}', "out of range"),
        (b'{"schema_version": 1' + b"0" * 5000 + b"}", "out of range"),
        (b'{"schema_version": 1' + b"0" * 300 + b"}", "reads up to 1"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b"[1, 2]", "expected a JSON object"),
        (b"null", "expected a JSON object"),
        (b"{}", "no valid schema version"),
        (b'{"schema_version": 1}', r"missing required field `benchmark`"),
    ],
)
def test_files_that_are_no_results(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "result.json"
    path.write_bytes(content)
    with pytest.raises(ResultError, match=message) as caught:
        load(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_files_and_folders(tmp_path: Path) -> None:
    with pytest.raises(ResultError, match=r"none\.json does not exist"):
        load(tmp_path / "none.json")
    with pytest.raises(ResultError, match="cannot be read: Is a directory"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (float("nan"), r"nan is .* not finite .* - at `\$\.checks\[0\]\.measured`"),
        (float("inf"), r"inf is .* not finite .* - at `\$\.checks\[0\]\.measured`"),
        (np.float64(1.0), "numpy.float64 is unsupported"),
        ("3", r"Expected `float \| null`, got `str` - at `\$\.checks\[0\]\.measured`"),
    ],
)
def test_what_cannot_be_read_back_is_not_written(saved: Path, bad: float, message: str) -> None:
    before = saved.read_bytes()
    result = make_result(checks=(Check(name="x", expected=None, measured=bad, ok=False),))
    with pytest.raises(ResultError, match=rf"result for .*cannot be saved: .*{message}"):
        save(result, saved)
    assert saved.read_bytes() == before


def test_unwritable_places(saved: Path, tmp_path: Path) -> None:
    result = make_result()
    with pytest.raises(OutputError, match=r"no folder .*none; create it first"):
        save(result, tmp_path / "none" / "result.json")
    with pytest.raises(OutputError, match=r"no folder .*result\.json; create it first"):
        save(result, saved / "result.json")
    with pytest.raises(OutputError, match="exists and is not a regular file"):
        save(result, tmp_path)
    with pytest.raises(OutputError, match="exists and is not a regular file"):
        save(result, "/dev/null")
    with pytest.raises(OutputError, match="free space or choose a writable folder"):
        save(result, "/proc/result.json")
    assert list(tmp_path.iterdir()) == [saved]


@pytest.mark.parametrize("failure", [OSError(errno.ENOSPC, "No space left"), KeyboardInterrupt()])
def test_an_earlier_result_outlives_every_failure(
    saved: Path, monkeypatch: pytest.MonkeyPatch, failure: BaseException
) -> None:
    before = saved.read_bytes()

    def fail(_: int) -> None:
        raise failure

    monkeypatch.setattr(files.os, "fsync", fail)
    with pytest.raises((OutputError, KeyboardInterrupt)):
        save(make_result(title="another"), saved)
    assert saved.read_bytes() == before
    assert list(saved.parent.iterdir()) == [saved]


def test_a_link_is_followed(saved: Path) -> None:
    link = saved.with_name("latest.json")
    link.symlink_to(saved)
    save(make_result(title="another"), link)
    assert link.is_symlink()
    assert load(saved).title == "another"


def test_permissions_are_those_of_any_new_file(saved: Path) -> None:
    plain = saved.with_name("plain")
    plain.touch()
    assert saved.stat().st_mode == plain.stat().st_mode


def lines_run_to_load(path: Path) -> int:
    """How many lines of Python run."""
    lines, before = 0, sys.gettrace()

    def trace(_frame: FrameType, event: str, _argument: object) -> object:
        nonlocal lines
        lines += event == "line"
        return trace

    sys.settrace(trace)
    try:
        load(path)
    finally:
        sys.settrace(before)
    return lines


def test_work_of_loading_grows_with_the_layers_and_no_faster(tmp_path: Path) -> None:
    layer = snn_profile().layers[2]
    work = []
    for count in (0, 100, 400):
        layers = tuple(replace(layer, name=f"layer{i}") for i in range(count))
        result = make_result(snn=replace(snn_profile(), layers=(*snn_profile().layers, *layers)))
        save(result, tmp_path / "result.json")
        assert load(tmp_path / "result.json") == result
        work.append(lines_run_to_load(tmp_path / "result.json"))
    none, some, many = work
    assert some > none
    assert many - none < 6 * (some - none)  # a quadratic check does 16 times as much


def test_the_committed_schema_is_current() -> None:
    assert json.loads(SCHEMA.read_text()) == json_schema()


def test_every_field_of_the_schema_is_documented() -> None:
    text = (ROOT / "docs" / "result-schema.md").read_text()
    for name, definition in json_schema()["$defs"].items():
        assert f"## {name}\n" in text, name
        section = text.partition(f"## {name}\n")[2].partition("\n## ")[0]
        for entry in definition.get("properties", definition.get("enum", ())):
            assert f"| `{entry}` |" in section, f"{name}.{entry}"
        for entry, field in definition.get("properties", {}).items():
            if "description" not in field:  # two numbers, or a machine: the names say it
                continue
            row = section.partition(f"| `{entry}` |")[2].partition("\n")[0]
            assert row.endswith(f"| {field['description']} |"), f"{name}.{entry}"


KINDS = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "null": (type(None),),
    "integer": (int,),
    "number": (int, float),
}
KEYWORDS = {
    *("$schema", "$defs", "$ref", "title", "description", "anyOf", "enum", "const", "type"),
    *("properties", "additionalProperties", "required", "items"),
}


def violations(value: object, schema: dict[str, Any], definitions: dict[str, Any]) -> list[str]:
    """What of the keywords the schema uses ``value`` violates; an unknown keyword is an error."""
    assert schema.keys() <= KEYWORDS
    if "$ref" in schema:
        name = schema["$ref"].removeprefix("#/$defs/")
        return violations(value, definitions[name], definitions)
    if "anyOf" in schema:
        return ["anyOf"] * all(violations(value, each, definitions) for each in schema["anyOf"])
    if "enum" in schema or "const" in schema:
        return ["enum"] * (value not in schema.get("enum", [schema.get("const")]))
    kind = schema["type"]
    if not isinstance(value, KINDS[kind]) or (isinstance(value, bool) and kind != "boolean"):
        return [kind]
    found: list[str] = []
    if isinstance(value, dict):
        found += ["required"] * (not set(schema.get("required", ())) <= value.keys())
        for key, child in value.items():
            inner = schema.get("properties", {}).get(key, schema["additionalProperties"])
            found += [key] if inner is False else violations(child, inner, definitions)
    if isinstance(value, list):
        found += [e for child in value for e in violations(child, schema["items"], definitions)]
    return found


def test_saved_results_validate_against_the_schema(saved: Path) -> None:
    schema = json.loads(SCHEMA.read_text())
    tree = tree_of(saved)
    assert violations(tree, schema, schema["$defs"]) == []
    tree["snn"]["layers"][0]["calls"] = None
    tree["extra"] = 1
    del tree["config"]["seed"]
    assert violations(tree, schema, schema["$defs"]) == ["required", "integer", "extra"]


def test_options_besides_the_shortcut_are_there_only_if_a_card_has_them(saved: Path) -> None:
    schema = json.loads(SCHEMA.read_text())
    assert "other_options" not in tree_of(saved)["config"]  # as in every file before there were any
    result = load(saved)
    assert result.config.options == {"shortcut": result.config.shortcut}
    fields = option_fields({"votes": "mean", "shortcut": "identity"})
    config = replace(result.config, **fields)
    save(replace(result, config=config), saved)
    assert tree_of(saved)["config"]["other_options"] == {"votes": "mean"}
    assert violations(tree_of(saved), schema, schema["$defs"]) == []
    assert load(saved).config.options == {"shortcut": "identity", "votes": "mean"}
    assert replace(config, **option_fields({})).options == {}


def test_the_schema_is_plain_json() -> None:
    assert json.loads(msgspec.json.encode(json_schema())) == json_schema()
