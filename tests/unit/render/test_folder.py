import io
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console
from support.factories import HOSTILE_NAME, make_result, timing, trained, with_names, with_uncounted

from snnbench.core.errors import OutputError
from snnbench.energy import models as energy_models
from snnbench.metrics.catalogue import measured
from snnbench.render.figures import figures
from snnbench.render.folder import write_report
from snnbench.render.html import folding_sentence, glossary, remake_command, report_html
from snnbench.render.tables import tables
from snnbench.render.terminal import print_summary
from snnbench.render.text import UNKNOWN


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("report")
    write_report(make_result(), path)
    return path


class Page(HTMLParser):
    """Collects tags and text; knows which tags are open."""

    VOID = frozenset({"meta", "img", "br", "link"})

    def __init__(self, page):
        super().__init__()
        self.tags, self.open, self.images = [], [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag == "img":
            self.images.append(dict(attrs))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def screen(result, width=80):
    console = Console(width=width, file=io.StringIO(), color_system=None)
    print_summary(result, console)
    return console.file.getvalue()


def test_an_energy_model_with_memory_terms_is_one_file_and_shows_everywhere(
    tmp_path, monkeypatch, request
):
    tables_folder = tmp_path / "tables"
    tables_folder.mkdir()
    package, files = "snnbench.energy.tables", energy_models.resources.files
    for table in files(package).iterdir():
        if table.name.endswith(".toml"):
            (tables_folder / table.name).write_bytes(table.read_bytes())
    cost = '[[costs]]\noperation = "{}"\npj = {}\nsource = "table 1"\n'
    (tables_folder / "with-memory.toml").write_text(
        'title = "Chip with SRAM"\nsource = "a paper"\nscope = "all"\n'
        + cost.format("ac", 1)
        + cost.format("mac", 2)
        + cost.format("weight_read", 5)
    )
    monkeypatch.setattr(
        energy_models.resources,
        "files",
        lambda name: tables_folder if name == package else files(name),
    )
    request.addfinalizer(energy_models.models.cache_clear)
    energy_models.models.cache_clear()
    result = make_result()

    (energy,) = (table for table in tables(result) if table.name == "energy")
    picture = next(plot for plot in figures(result) if plot.name == "energy")

    assert "Memory traffic is included by Chip with SRAM only. Sources" in energy.caption
    snn = result.snn.effective
    rows = energy.data[energy.data["model"] == "with-memory"].set_index("network")
    assert rows.loc["SNN", "pj"] == (snn.acs + 2 * snn.macs + 5 * snn.synops) / 2
    assert rows.loc["SNN", "excluded"].startswith("input reads; potential reads")
    assert "memory traffic included by Chip with SRAM only" in picture.title
    assert "Energy estimate, Chip with SRAM" in screen(result)
    assert "(estimate; memory traffic not included)" in " ".join(screen(result).split())
    assert measured(result).values["energy.with-memory"] == 2 * rows.loc["SNN", "pj"]


def test_a_report_is_complete(folder):
    names = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}

    stems = ("operations", "energy", "latency", "layers", "side_work", "checks")
    expected = {f"tables/{stem}.{kind}" for stem in stems for kind in ("csv", "md", "tex")}
    figure_stems = (
        "spikes_per_neuron",
        "operations_by_layer",
        "energy",
        "firing_rate_by_timestep",
        "latency",
    )
    expected |= {f"figures/{stem}.{kind}" for stem in figure_stems for kind in ("svg", "png")}
    assert names == expected | {"report.html"}


def test_the_same_result_gives_the_same_bytes(folder, tmp_path: Path):
    later = make_result(created_utc="2031-01-01T00:00:00+00:00")

    for path in write_report(later, tmp_path):
        if path.suffix != ".html":
            assert path.read_bytes() == (folder / path.relative_to(tmp_path)).read_bytes(), path


def test_every_figure_says_untrained_and_what_was_run(folder):
    for path in (folder / "figures").glob("*.svg"):
        drawn = path.read_text()
        assert "untrained weights: ResNet-19, T = 6, photos (2 samples)" in drawn, path
        assert "<script" not in drawn


def test_no_label_touches_the_edge_of_a_figure(folder):
    for path in (folder / "figures").glob("*.png"):
        ink = np.asarray(Image.open(path).convert("L")) < 255
        assert ink.any()
        assert not ink[:, :4].any(), path
        assert not ink[:, -4:].any(), path
        assert not ink[:4].any(), path
        assert not ink[-4:].any(), path


def test_the_page_stands_alone(folder):
    page = (folder / "report.html").read_text()
    parsed = Page(page)

    assert parsed.open == []
    assert len(parsed.images) == 5
    assert all(image["src"].startswith("data:image/svg+xml;base64,") for image in parsed.images)
    assert all("untrained weights" in image["alt"] for image in parsed.images)
    assert not {"script", "link", "iframe"} & set(parsed.tags)
    assert not re.search(r"(?:src|href)=\"(?:https?:)?//", page)
    for needle in ("untrained weights", "snnbench run resnet19", "ab" * 32, "cd" * 32, "0a1b2c3d"):
        assert needle in page


def test_uncounted_operations_stand_before_every_number():
    page = report_html(with_uncounted(result := make_result()), tables(result), ())

    assert page.index("aten.cdist") < page.index("Findings") < page.index("<table>")


def test_a_hostile_name_is_only_text():
    result = with_names(make_result(blocks=0, timings=(), folding=None), HOSTILE_NAME)
    plots = figures(result)

    page = report_html(result, tables(result), plots)

    assert "script" not in Page(page).tags
    assert "&lt;script&gt;" in page
    assert all(b"<script" not in plot.svg for plot in plots)
    assert "latency" not in {plot.name for plot in plots}
    assert "[/bold]" in screen(with_names(result, "[/bold] \U0001f600"))
    assert not set("\x1b\x00\u202e") & set(screen(with_names(result, "a\x1b[31m\x00\u202e")))


def test_folding_is_told_in_numbers():
    assert folding_sentence(None) is None
    sentence = folding_sentence(make_result().folding)
    assert "19 layers (0 could not be)" in sentence
    assert "3.1e-06 at outputs up to 2.4; 2 of 1,000,000 spike sites flipped" in sentence


def test_the_remake_command_holds_every_option():
    config = replace(make_result().config, data="my data", strict=True, latency=False)

    command = remake_command(make_result(config=config))

    assert command == (
        "snnbench run resnet19 --timesteps 6 --samples 2 --batch-size 2 --seed 0 --threads 1 "
        "--device cpu --width 1 --shortcut paper --data 'my data' --untrained --strict --no-latency"
    )


def test_the_remake_command_of_a_users_model():
    result = make_result()
    config = replace(
        result.config, benchmark="pkg:net", layout="TN", width=None, shortcut=None, latency=False
    )
    data = replace(result.data, name="random spikes:0.1")

    command = remake_command(replace(result, config=config, data=data))

    assert command == (
        "snnbench profile pkg:net --input 3x32x32 --timesteps 6 --layout TN --batch-size 2 "
        "--values spikes:0.1 --seed 0"
    )


def test_the_glossary_keeps_the_first_explanation():
    meanings = glossary(tables(make_result()))

    assert meanings["Network"].startswith("The spiking network")
    assert set(meanings) >= {"Additions", "Row / SNN", "Firing rate"}


@pytest.mark.parametrize("width", [80, 100])
def test_the_screen_fits(width):
    result = with_uncounted(trained(make_result()))

    shown = screen(result, width)

    assert max(len(line) for line in shown.splitlines()) <= width
    assert "1.8e9" in shown
    assert "Additions, published, T = 6" in shown
    assert "-> add a counting rule" in " ".join(shown.split())
    assert shown.index("aten.cdist") < shown.index("Quantity")


def test_the_screen_without_twin_shows_dashes_not_zeros():
    shown = screen(make_result(twin=None, timings=(), published=()))

    line = next(line for line in shown.splitlines() if "Additions, effective" in line)
    assert line.split()[-2:] == [UNKNOWN, UNKNOWN]


def test_a_folder_that_cannot_be_made_is_a_one_line_error(tmp_path: Path):
    blocker = tmp_path / "file"
    blocker.write_text("")

    with pytest.raises(OutputError, match=r"cannot write to folder .*; choose another with --out"):
        write_report(make_result(blocks=0, timings=()), blocker / "sub")


def test_a_failed_write_leaves_the_old_file_and_no_rest(tmp_path: Path, monkeypatch):
    old = tmp_path / "report.html"
    old.write_text("old")

    def fail(self, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fail)
    monkeypatch.setattr("snnbench.render.folder.figures", lambda result: ())
    with pytest.raises(OutputError, match="No space left on device"):
        write_report(make_result(blocks=0, timings=()), tmp_path)

    assert old.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_the_screen_sets_a_latency_beside_the_twin_of_its_own_conditions():
    slower = [replace(timing(name, ms), threads=4) for name, ms in (("snn", 9), ("ann-twin", 3))]
    result = make_result(timings=(timing("snn", 16), timing("ann-twin", 16), *slower))

    lines = [line.split() for line in screen(result).splitlines() if "Latency (ms)" in line]

    assert [line[2] for line in lines] == ["snn", "snn"]
    first, second = (float(line[4]) for line in lines)
    assert first == pytest.approx(8, rel=0.05)
    assert second == pytest.approx(1.5, rel=0.05)


def test_what_an_earlier_report_had_more_of_goes_only_after_the_new_one_is_written(
    tmp_path: Path, monkeypatch
):
    stale = tmp_path / "tables" / "latency.csv"
    stale.parent.mkdir()
    stale.write_text("old")
    result = make_result(blocks=0, timings=())
    monkeypatch.setattr("snnbench.render.folder.figures", lambda result: ())

    def fail(self, target):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", fail)
        with pytest.raises(OutputError, match="No space left"):
            write_report(result, tmp_path)
    assert stale.read_text() == "old"

    write_report(result, tmp_path)
    assert not stale.exists()


def test_an_outdated_file_that_cannot_be_removed_is_a_one_line_error(tmp_path: Path, monkeypatch):
    (tmp_path / "tables" / "latency.csv").mkdir(parents=True)
    monkeypatch.setattr("snnbench.render.folder.figures", lambda result: ())

    with pytest.raises(OutputError, match=r"cannot remove outdated .*latency\.csv"):
        write_report(make_result(blocks=0, timings=()), tmp_path)
