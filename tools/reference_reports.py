"""The reference reports: made by one command, and what of them stays the same byte for byte.

``python tools/reference_reports.py`` remakes in ``reports/reference`` those that need no data,
``python tools/reference_reports.py NAME=PATH`` one that is made from data. Reports with trained
weights take those that come with snnbench.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "reports" / "reference"


@dataclass(frozen=True)
class Reference:
    """How a report is made.

    Attributes:
        arguments: Arguments of ``snnbench run``.
        kind: Kind of data it needs, as in ``--data KIND=PATH``; ``None`` for embedded data.
    """

    arguments: tuple[str, ...]
    kind: str | None = None


REFERENCES = {
    "resnet19-digits": Reference(("resnet19", "--samples", "300")),
    "resnet34-large-untrained": Reference(("resnet34-large", "--samples", "1")),
    "resnet19-cifar10": Reference(
        (
            *("resnet19", "--samples", "1000"),
            *("--weights", "shipped:cifar10-jpeg-q75-w0.25"),
            *("--twin-weights", "shipped:cifar10-jpeg-q75-w0.25-twin"),
        ),
        kind="images",
    ),
    "resnet17-nmnist": Reference(("resnet17-nmnist", "--samples", "100"), kind="nmnist"),
}


def remake(name: str, folder: Path, data: Path | None = None) -> None:
    """Run one reference, and write what is committed of it to ``folder``.

    As ``snnbench run ARGUMENTS --no-latency --threads 1`` does, but for the pixel images of the
    figures: their vector images are enough.
    """
    reference = REFERENCES[name]
    command = [sys.executable, "-m", "snnbench", "run", *reference.arguments]
    command += ["--no-latency", "--threads", "1"]
    if data is not None:  # named without its folder, so that the report does not depend on it
        command += ["--data", f"{reference.kind}={data.name}"]
    with tempfile.TemporaryDirectory() as made:
        subprocess.run([*command, "--out", made], check=True, cwd=data.parent if data else None)
        for image in Path(made).glob("figures/*.png"):
            image.unlink()
        if folder.exists():
            shutil.rmtree(folder)
        shutil.copytree(made, folder)


def same_bytes(folder: Path) -> dict[str, bytes]:
    """Files of which equal results give equal bytes, by their path in the folder."""
    files = sorted([*folder.glob("tables/*"), *folder.glob("figures/*.svg")])
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def main() -> None:
    """Remake the named references, else all that need no data."""
    named = dict(argument.partition("=")[::2] for argument in sys.argv[1:])
    names = list(named) or [n for n, reference in REFERENCES.items() if reference.kind is None]
    for name in names:
        if name not in REFERENCES or bool(named.get(name)) != bool(REFERENCES[name].kind):
            choices = ", ".join(f"{n}=PATH" if r.kind else n for n, r in REFERENCES.items())
            sys.exit(f"{name}: choose from {choices}")
    for name in names:
        remake(name, FOLDER / name, Path(named[name]).resolve() if named.get(name) else None)
        print(f"{name}: written")


if __name__ == "__main__":
    main()
