"""Rooms and their faces: what they list is complete, and what they export loads."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from doctest import script_from_examples
from importlib import import_module
from pathlib import Path

import pytest

import snnbench

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "snnbench"
FOLDERS = sorted(path.parent for path in PACKAGE.rglob("__init__.py") if path.parent != PACKAGE)
ROOMS = sorted(folder.name for folder in FOLDERS if folder.parent == PACKAGE)
TORCHLESS = ("core", "results", "energy", "metrics", "render", "compare")
FACES = ["snnbench", *(f"snnbench.{room}" for room in ROOMS)]
PUBLIC = {
    *FACES,
    *(f"{face}.{name}" for face in FACES for name in getattr(import_module(face), "__all__", [])),
}
LISTED = re.compile(r"^(\w+/?) +\S", re.MULTILINE)
CODE = re.compile(r"^```(python|pycon)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def named(folder: Path) -> str:
    return ".".join(folder.relative_to(ROOT).parts)


def listed(docstring: str) -> list[str]:
    """What a face lists, which begins after the last empty line."""
    return LISTED.findall(docstring.rpartition("\n\n")[2])


def contents(folder: Path) -> list[str]:
    files = [path.stem for path in folder.glob("*.py") if path.stem != "__init__"]
    inner = [f"{path.parent.name}/" for path in folder.glob("*/__init__.py")]
    return sorted(files + inner)


def strange_imports(code: str) -> list[str]:
    """What is imported of the package and is neither a room nor exported by a face."""
    found = []
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found += [f"{node.module}.{alias.name}" for alias in node.names]
    return [name for name in found if name.split(".")[0] == "snnbench" and name not in PUBLIC]


def test_the_package_has_its_rooms_and_two_files() -> None:
    assert len(ROOMS) == 15
    assert contents(PACKAGE) == sorted(["__main__", *(f"{room}/" for room in ROOMS)])


@pytest.mark.parametrize("folder", FOLDERS, ids=named)
def test_a_face_names_every_file_once(folder: Path) -> None:
    face = ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8")))
    assert face is not None
    assert sorted(listed(face)) == contents(folder) or (not contents(folder) and "\n" not in face)


def test_a_list_shows_what_is_missing_or_twice() -> None:
    face = "Purpose, with a/ slash.\n\nfiles   atomic writing\ninner/  more\nfiles   again"
    assert listed(face) == ["files", "inner/", "files"]


@pytest.mark.parametrize("face", FACES)
def test_exported_names_load_and_hide_no_file(face: str) -> None:
    module = import_module(face)
    exported = getattr(module, "__all__", [])
    files = {name.rstrip("/") for name in contents(Path(str(module.__file__)).parent)}
    assert not files & set(exported)
    assert len(set(exported)) == len(exported)
    for name in exported:
        assert getattr(module, name) is not None
        assert name in dir(module)


def test_every_stub_is_attached_to_its_face() -> None:
    stubs = {named(path.parent) for path in PACKAGE.rglob("*.pyi")}
    assert stubs == {face for face in FACES if hasattr(import_module(face), "__all__")}


def test_an_unknown_name_is_said() -> None:
    with pytest.raises(AttributeError, match="No snnbench attribute nothing"):
        _ = snnbench.nothing


def test_faces_load_nothing_heavy() -> None:
    script = (
        "import sys\n"
        "from importlib import import_module\n"
        f"for room in {ROOMS}:\n    import_module('snnbench.' + room)\n"
        "heavy = {'torch', 'numpy', 'pandas', 'click', 'rich'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        f"for room in {TORCHLESS}:\n"
        "    face = import_module('snnbench.' + room)\n"
        "    for name in getattr(face, '__all__', []):\n        getattr(face, name)\n"
        "from snnbench.zoo import get, names\n"
        "get(names()[0]).card\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


PAGES = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pages_import_through_faces(page: Path) -> None:
    for language, body in CODE.findall(page.read_text(encoding="utf-8")):
        if body.startswith("# snnbench/"):  # a file of the package itself, which names files
            continue
        assert strange_imports(script_from_examples(body) if language == "pycon" else body) == []


@pytest.mark.parametrize("path", sorted((ROOT / "models").glob("*.py")), ids=lambda path: path.name)
def test_the_zoo_imports_through_faces(path: Path) -> None:
    assert strange_imports(path.read_text(encoding="utf-8")) == []


def test_imports_of_files_are_noticed() -> None:
    code = "import snnbench, torch\nfrom snnbench.nn import LIF, blocks\nfrom snnbench import zoo"
    assert strange_imports(code) == ["snnbench.nn.blocks"]
    code = "def f():\n    import snnbench.zoo.registry\n    from snnbench.nn.neuron import LIF"
    assert strange_imports(code) == ["snnbench.zoo.registry", "snnbench.nn.neuron.LIF"]
