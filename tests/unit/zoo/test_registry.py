import shutil
import subprocess
import sys
from importlib import invalidate_caches
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from snnbench.core.errors import UsageError
from snnbench.zoo import registry
from snnbench.zoo.registry import Benchmark

BUILT_IN = [
    *("plain20", "resnet17", "resnet17-nmnist"),
    *("resnet19", "resnet34", "resnet34-large", "resnet50"),
]
CARD = Path(registry.__file__).parents[2] / "models" / "cards" / "resnet19.toml"
BUILDER = "snnbench.models.resnet:build"


@pytest.fixture
def install(monkeypatch):
    """Add entry points ``(name, value)`` to the installed ones."""

    def add(*points: tuple[str, str]) -> None:
        installed = list(registry.entry_points(group=registry.GROUP))
        extra = [EntryPoint(name, value, registry.GROUP) for name, value in points]

        def entry_points(*, group: str, name: str | None = None) -> list[EntryPoint]:
            return [p for p in installed + extra if p.group == group and name in (None, p.name)]

        monkeypatch.setattr(registry, "entry_points", entry_points)

    return add


def test_the_zoo_is_listed():
    assert set(BUILT_IN) <= set(registry.names())


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_benchmark_has_the_card_of_its_name(name: str):
    assert registry.get(name).card.name == name


def test_listing_and_versions_load_no_torch():
    code = (
        "import sys; from snnbench.zoo import registry\n"
        "for name in registry.names(): registry.get(name).card, registry.get(name).version\n"
        "print('torch' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"


def test_unknown_name_says_what_is_near():
    with pytest.raises(UsageError) as caught:
        registry.get("resnet43")
    assert str(caught.value).startswith(
        "unknown benchmark 'resnet43': did you mean resnet34? choose one of "
    )
    assert str(caught.value).endswith(", ".join(registry.names()))


def test_unknown_name_like_no_other_lists_all():
    with pytest.raises(
        UsageError, match="unknown benchmark 'vgg': choose one of plain20, resnet17, "
    ):
        registry.get("vgg")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("no_such_package:x", r"'theirs' .*no_such_package:x\) cannot be loaded: No module named"),
        ("snnbench.zoo.registry:nothing", "'theirs' .* cannot be loaded: .*no attribute 'nothing'"),
        (
            "snnbench.zoo.registry:GROUP",
            "'theirs' .* is a str, not a snnbench.zoo.registry.Benchmark",
        ),
    ],
)
def test_a_broken_entry_point_is_named_and_breaks_no_other(install, value: str, message: str):
    install(("theirs", value))
    assert "theirs" in registry.names()
    assert registry.get("resnet19").card.name == "resnet19"
    with pytest.raises(UsageError, match=message):
        registry.get("theirs")


def test_a_name_with_two_providers_is_refused(install):
    install(("resnet19", "snnbench.models.catalog:resnet17"))
    with pytest.raises(UsageError, match=r"'resnet19' is provided by .* and "):
        registry.get("resnet19")


def version_of(folder: Path, text: str) -> str:
    """The version of ResNet-19 with another card."""
    path = folder / "resnet19.toml"
    path.write_text(text, newline="")
    return Benchmark(path=path, builder=BUILDER).version


def test_the_version_follows_the_values_of_the_card(tmp_path: Path):
    text, version = CARD.read_text(), registry.get("resnet19").version
    assert version_of(tmp_path, text) == version
    assert version_of(tmp_path, text.replace("\n", "\r\n")) == version
    assert version_of(tmp_path, f"# a remark\n{text}") == version
    assert version_of(tmp_path, text.replace("timesteps = 6", "timesteps = 5", 1)) != version


@pytest.fixture
def layers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of ``snnbench``'s sources that versions are made of."""
    package = Path(registry.__file__).parents[1]
    folder = tmp_path / "snnbench"
    shutil.copytree(package, folder, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(registry, "_NN", folder / "nn")
    return folder


def changed(path: Path, old: str, new: str) -> str:
    """The version of ResNet-19 with another text in a file."""
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    return Benchmark(path=CARD, builder=BUILDER).version


def test_the_version_follows_the_layers_that_are_counted(layers: Path):
    version = registry.get("resnet19").version
    for name in registry.COUNTED:
        assert changed(layers / "nn" / name, "import annotations", "import division") != version
        assert changed(layers / "nn" / name, "import division", "import annotations") == version


def test_what_is_not_counted_leaves_the_version(layers: Path):
    version = registry.get("resnet19").version
    neuron = layers / "nn" / "neuron.py"
    for path in (
        layers / "train" / "fast" / "kernels.py",
        layers / "render" / "text.py",
        layers / "nn" / "meters.py",
        layers / "nn" / "neuron_spec.py",
    ):
        assert changed(path, "import annotations", "import division") == version
    assert changed(neuron, "from torch", "# PyTorch's\n\nfrom torch") == version
    assert changed(neuron, '    """', '    """Other words.\n\n    ') == version
    assert changed(neuron, "import UsageError", "import UsageError  # a remark") == version
    assert changed(neuron, 'f"LIF: ', 'f"LIF#: ') != version  # a text is no comment


def test_the_version_follows_the_builder_s_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    versions = []
    for body in ("return 1", "return 1  # a remark", "return 2"):
        (tmp_path / "zoo_of_a_test.py").write_text(f'def build():\n    """Make."""\n    {body}\n')
        versions.append(Benchmark(path=CARD, builder="zoo_of_a_test:build").version)
    assert versions[0] == versions[1] != versions[2]


def test_the_version_follows_the_module_of_neurons_of_your_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.syspath_prepend(str(tmp_path))
    text = CARD.read_text().replace('class = "LIF"', 'class = "neurons_of_a_test:Own"')
    with pytest.raises(UsageError, match="neuron class neurons_of_a_test:Own does not exist"):
        version_of(tmp_path, text)
    versions = []
    for body in ("pass", "pass  # a remark", "threshold = 2"):
        (tmp_path / "neurons_of_a_test.py").write_text(f"class Own:\n    {body}\n")
        invalidate_caches()
        versions.append(version_of(tmp_path, text))
    assert versions[0] == versions[1] != versions[2]


def test_versions_of_different_benchmarks_differ():
    assert len({registry.get(name).version for name in BUILT_IN}) == len(BUILT_IN)


@pytest.mark.parametrize(
    "builder", ["snnbench.models.nothing:build", "nowhere.at.all:build", ":build", ".near:build"]
)
def test_a_missing_builder_is_named(builder: str):
    benchmark = Benchmark(path=CARD, builder=builder)
    with pytest.raises(UsageError, match=f"resnet19: builder {builder} does not exist"):
        _ = benchmark.version
    with pytest.raises(UsageError, match=f"resnet19: builder {builder} cannot be loaded"):
        benchmark.build()


def test_a_builder_without_source_has_no_version():
    with pytest.raises(UsageError, match="builder sys:exit does not exist as a file of Python"):
        _ = Benchmark(path=CARD, builder="sys:exit").version


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def build(card, *, timesteps, width): ...", "take the card: .*argument 'shortcut'"),
        ("def build(*_, **__): ...", "returns a NoneType, no torch module"),
        ("def build(:", "cannot be loaded: invalid syntax"),
    ],
)
def test_a_builder_that_cannot_be_called_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, message: str
):
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "wrong_builder", raising=False)
    (tmp_path / "wrong_builder.py").write_text(text)
    invalidate_caches()
    with pytest.raises(UsageError, match=f"resnet19: builder wrong_builder:build .*{message}"):
        Benchmark(path=CARD, builder="wrong_builder:build").build()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"timesteps": 0}, "resnet19: timesteps must be at least 1, got 0"),
        ({"width": 0.0}, "resnet19: width must be positive and finite, got 0.0"),
        ({"width": float("inf")}, "width must be positive and finite, got inf"),
        ({"shortcut": "none"}, "shortcut must be paper or identity, got 'none'"),
    ],
)
def test_arguments_out_of_range_are_refused(options, message: str):
    with pytest.raises(UsageError, match=message):
        registry.get("resnet19").build(**options)


@pytest.mark.parametrize(
    ("line", "wrong", "where"),
    [
        ("pool = 2", "pool = 0", "pool"),
        ("stem_stride = 1", "stem_stride = 0", "stem_stride"),
        ("stem_channels = 128", "stem_channels = 0", "stem_channels"),
        ("timesteps = 6\nclasses", "timesteps = 0\nclasses", "timesteps"),
        ("std = [0.2470", "std = [0.0", "input.std"),
    ],
)
def test_a_card_with_a_number_out_of_range_is_refused(tmp_path: Path, line, wrong, where: str):
    path = tmp_path / "resnet19.toml"
    path.write_text(CARD.read_text().replace(line, wrong, 1))
    with pytest.raises(UsageError, match=rf"resnet19.* is not valid: Expected .*`\$\.{where}"):
        Benchmark(path=path, builder=BUILDER).build(width=0.125)
