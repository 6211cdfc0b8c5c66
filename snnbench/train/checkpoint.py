"""Checkpoints: weights, optimiser and place of a training, complete or not there at all.

A checkpoint is a folder that is filled under another name and then renamed. ``last`` is the newest,
``previous`` the one before it; while ``last`` is being replaced there may be only ``previous``,
which is then complete. A training's folder belongs to one training at a time.
"""

from __future__ import annotations

import hashlib
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NoReturn

import msgspec
import safetensors.torch
from filelock import FileLock, Timeout
from torch import Tensor, nn

from snnbench.core.errors import OutputError, UsageError
from snnbench.core.files import write_atomically
from snnbench.train.log import EpochRecord
from snnbench.train.recipe import Recipe, as_dict, differences, from_dict
from snnbench.zoo import weight_files

FOLDER = "checkpoints"
_LAST, _PREVIOUS = "last", "previous"
_WEIGHTS, _OPTIMISER, STATE = "weights.safetensors", "optimiser.safetensors", "state.json"


class Sums(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Running sums of an epoch, over all processes.

    Attributes:
        loss: Sum of the samples' losses.
        correct: Number of correct answers.
        samples: Number of samples trained on.
        seconds: Time so far.
        loading_s: Time the input pipeline would need for these samples at full speed.
        rate: Sum of the sampled firing rates.
        rates: Number of sampled firing rates.
    """

    loss: float = 0.0
    correct: int = 0
    samples: int = 0
    seconds: float = 0.0
    loading_s: float = 0.0
    rate: float = 0.0
    rates: int = 0


class State(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How far a training is, and all that must be the same when it is resumed.

    Attributes:
        recipe: Recipe of the training.
        benchmark_version: Hash of the card and of the network's source.
        train_sha256: Hash of the training data.
        test_sha256: Hash of the test data; ``None`` without a test part.
        processes: Number of processes that share a step.
        epoch: Epoch of the next step, from 0.
        step: Next step within that epoch, from 0.
        sums: Sums over the steps of that epoch so far.
        history: Records of the epochs that are done.
        best: Test accuracy, or minus the training loss, of the best epoch.
        scaler: State of the gradient scaler of ``16-mixed``, whose counts must stay integers.
        versions: Versions of snnbench and torch, to explain a difference.
        files: SHA-256 of the tensor files.
    """

    recipe: Recipe
    benchmark_version: str
    train_sha256: str
    test_sha256: str | None
    processes: int
    epoch: int
    step: int
    sums: Sums
    history: tuple[EpochRecord, ...]
    best: float | None
    scaler: dict[str, int | float] = {}
    versions: dict[str, str] = {}
    files: dict[str, str] = {}

    @property
    def finished(self) -> bool:
        """Whether the last epoch is done."""
        return self.epoch >= self.recipe.epochs


def save(folder: Path, state: State, network: nn.Module, optimiser: Mapping[str, Tensor]) -> None:
    """Make a new ``last`` checkpoint in ``folder`` and keep the one before it.

    Raises:
        OutputError: It cannot be written.
    """
    temporary = folder / f".{secrets.token_hex(8)}.tmp"
    try:
        folder.mkdir(exist_ok=True)
        for left in folder.glob(".*.tmp"):  # by a killed process
            shutil.rmtree(left)
        temporary.mkdir()
        weight_files.save_state(network, temporary / _WEIGHTS, {})
        contiguous = {name: value.cpu().contiguous() for name, value in optimiser.items()}
        write_atomically(temporary / _OPTIMISER, safetensors.torch.save(contiguous))
        hashes = {name: _sha256(temporary / name) for name in (_WEIGHTS, _OPTIMISER)}
        values = msgspec.structs.asdict(state) | {"files": hashes, "recipe": as_dict(state.recipe)}
        text = msgspec.json.encode(values)
        write_atomically(temporary / STATE, msgspec.json.format(text, indent=1))
        if (folder / _LAST).exists():
            if (folder / _PREVIOUS).exists():
                shutil.rmtree(folder / _PREVIOUS)
            (folder / _LAST).rename(folder / _PREVIOUS)
        temporary.rename(folder / _LAST)
    except OSError as error:
        msg = f"cannot write checkpoint {folder}: {error.strerror}; free space, then --resume"
        raise OutputError(msg) from error


def exists(folder: Path) -> bool:
    """Whether there is a checkpoint in ``folder``."""
    return any((folder / name).is_dir() for name in (_LAST, _PREVIOUS))


def load(folder: Path) -> tuple[State, dict[str, Tensor], dict[str, Tensor]]:
    """Read the newest checkpoint.

    Returns:
        The training's state, its weights, and the optimiser's state by parameter.

    Raises:
        UsageError: There is no checkpoint, or it is damaged.
    """
    if not exists(folder):
        msg = f"there is no checkpoint in {folder} to resume; train without --resume"
        raise UsageError(msg)
    newest = folder / _LAST if (folder / _LAST).is_dir() else folder / _PREVIOUS
    state = _read_state(newest)
    for name in (_WEIGHTS, _OPTIMISER):
        try:
            sha256 = _sha256(newest / name)
        except OSError as error:
            _refuse(newest, name, str(error.strerror))
        if sha256 != state.files.get(name):
            _refuse(newest, name, "its SHA-256 differs")
    optimiser = safetensors.torch.load_file(newest / _OPTIMISER)
    return state, weight_files.load_state(newest / _WEIGHTS), optimiser


def check_same(state: State, ours: State) -> None:
    """Check that a checkpoint belongs to this training.

    The number of epochs may differ, and so may the place of the data, but not its content.

    Args:
        state: State in the checkpoint.
        ours: State with which this training would begin.

    Raises:
        UsageError: Something else differs; the message says what.
    """
    theirs = state.recipe
    same = msgspec.structs.replace(ours.recipe, epochs=theirs.epochs, data=theirs.data)
    differing = [f"recipe: {text}" for text in differences(theirs, same)]
    begun = len(state.history) + (state.step > 0)
    if ours.recipe.epochs < begun:
        differing.append(f"recipe: epochs {ours.recipe.epochs}, but {begun} are done or begun")
    labels = {
        "benchmark_version": "card or source of the network (SHA-256)",
        "train_sha256": "training data (SHA-256)",
        "test_sha256": "test data (SHA-256)",
        "processes": "processes",
    }
    for name, label in labels.items():
        before, now = getattr(state, name), getattr(ours, name)
        if before != now:
            differing.append(f"{label} {str(before)[:12]}, not {str(now)[:12]}")
    if differing:
        reasons = "; ".join(differing)
        msg = f"the checkpoint is from another training ({reasons}); choose another --out"
        raise UsageError(msg)


def _read_state(folder: Path) -> State:
    try:
        values = msgspec.json.decode((folder / STATE).read_bytes(), type=dict[str, Any])
        recipe = from_dict(msgspec.convert(values.get("recipe"), dict[str, Any]))
        return msgspec.convert(values | {"recipe": recipe}, State)
    except OSError as error:
        _refuse(folder, STATE, str(error.strerror))
    except (msgspec.MsgspecError, ValueError) as error:
        _refuse(folder, STATE, " ".join(str(error).split()))


def _refuse(folder: Path, name: str, reason: str) -> NoReturn:
    msg = f"checkpoint {folder / name} is damaged ({reason}); delete {folder} to continue from the "
    other = folder.parent / _PREVIOUS
    older = folder != other and other.is_dir()
    msg += "one before it" if older else "start, without --resume"
    raise UsageError(msg)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Lock a folder against other trainings, until the process ends at the latest.

    Raises:
        UsageError: Another training has locked it.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(FileLock(folder / ".training.lock", blocking=False))
        except Timeout:
            msg = f"another training is writing to {folder}; wait for it or choose another --out"
            raise UsageError(msg) from None
        except (OSError, NotImplementedError):
            pass  # a file system without locks, as clusters have
        yield
