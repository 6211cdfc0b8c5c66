"""Files of weights: safe reading and writing, checked assignment, and a hash of the values.

Pickles are read only as plain tensors (``weights_only``), so a file cannot run code.
"""

from __future__ import annotations

import hashlib
import json
import pickle
import re
import stat
import struct
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from snnbench.core.errors import WeightsError
from snnbench.core.files import write_atomically

_PICKLES = (".pt", ".pth", ".ckpt")
_WRAPPERS = ("state_dict", "model")
_PARALLEL_PREFIX = "module."
_SHOWN = 3
_GLOBAL = re.compile(r"GLOBAL ([\w.]+)")
# What torch's unpickler raises on bytes that are no pickle, or only a part of one.
_DAMAGE = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    ImportError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    pickle.UnpicklingError,
    struct.error,
)


def load_state(path: str | Path) -> dict[str, Tensor]:
    """Read named tensors onto the CPU.

    A checkpoint's ``state_dict`` or ``model`` entry is unwrapped, and the ``module.`` that data
    parallelism puts before every name is taken off.

    Args:
        path: A ``.safetensors`` file, or a ``.pt``, ``.pth`` or ``.ckpt`` file of plain tensors.

    Raises:
        WeightsError: The file is missing, empty, damaged, of another kind, or a pickle that holds
            more than plain tensors.
    """
    path = Path(path)
    _check_file(path)
    tensors = _unwrap(_read_safetensors(path) if _is_safetensors(path) else _read_pickle(path))
    if not isinstance(tensors, dict) or not tensors:
        msg = f"weights {path} hold no state dict of tensors; save model.state_dict()"
        raise WeightsError(msg)
    for name, value in tensors.items():
        if not isinstance(name, str) or not is_dense(value):
            msg = (
                f"weights {path} are not a state dict of dense tensors: entry {name!r} is a "
                f"{type(value).__name__}; save model.state_dict()"
            )
            raise WeightsError(msg)
    if all(name.startswith(_PARALLEL_PREFIX) for name in tensors):
        tensors = {name.removeprefix(_PARALLEL_PREFIX): value for name, value in tensors.items()}
    return {name: value.detach() for name, value in tensors.items()}


def load_metadata(path: str | Path) -> dict[str, str]:
    """Read what ``save_state`` wrote about the weights.

    Args:
        path: A ``.safetensors`` file; other files carry no metadata and give an empty dict.

    Raises:
        WeightsError: The file is missing, empty or damaged.
    """
    path = Path(path)
    _check_file(path)
    if not _is_safetensors(path):
        return {}
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            return dict(file.metadata() or {})
    except (safetensors.SafetensorError, OSError) as error:
        _damaged(path, error)


def save_state(model: nn.Module, path: str | Path, metadata: Mapping[str, str]) -> None:
    """Write a model's state as safetensors, atomically.

    Args:
        model: Tensors that share memory are written once per name.
        path: A ``.safetensors`` file in an existing folder.
        metadata: Provenance: accuracy, data, command.

    Raises:
        WeightsError: The path has another extension.
        OutputError: The file cannot be written.
    """
    path = Path(path)
    if not _is_safetensors(path):
        msg = f"weights are written as safetensors: name the file {path.stem}.safetensors"
        raise WeightsError(msg)
    state = {
        name: value.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, value in model.state_dict().items()
    }
    write_atomically(path, safetensors.torch.save(state, metadata=dict(metadata)))


def apply_state(model: nn.Module, state: Mapping[str, Tensor], *, source: str = "weights") -> None:
    """Put a state into a model, completely or, on an error, not at all.

    Args:
        model: Model whose parameters and buffers keep their types and devices.
        state: Tensors by name: a finite one of the right shape for each parameter and buffer.
        source: Name of the state in messages.

    Raises:
        WeightsError: The state does not fit; the message names the first tensors that do not.
    """
    target = model.state_dict()
    problems: dict[str, list[str]] = {}
    for name in {**target, **state}:
        problem, details = _problem(state.get(name), target.get(name))
        problems.setdefault(problem, []).append(f"{name}{details}")
    problems.pop("", None)
    if problems:
        listed = "; ".join(_listed(problem, names) for problem, names in problems.items())
        msg = (
            f"{source} do not fit {type(model).__name__}: {listed}; "
            "use weights made for this network, with its width and options"
        )
        raise WeightsError(msg)
    model.load_state_dict(state)


def state_sha256(state: Mapping[str, Tensor]) -> str:
    """SHA-256 over names, types, shapes and values, in the order of the names.

    Independent of the device, the memory layout and the file format the tensors came from.

    Args:
        state: Dense tensors of any type.
    """
    digest = hashlib.sha256()
    for name in sorted(state):
        value = state[name].detach().cpu().resolve_conj().resolve_neg().contiguous()
        header = json.dumps([name, str(value.dtype), list(value.shape)])
        digest.update(f"{header}\n".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def is_dense(value: object) -> bool:
    """Return whether ``value`` is a tensor whose elements can be read one by one."""
    return (
        isinstance(value, Tensor)
        and not (is_lazy(value) or value.is_quantized or value.is_meta)
        and value.layout is torch.strided
    )


def _is_safetensors(path: Path) -> bool:
    return path.suffix.lower() == ".safetensors"


def _check_file(path: Path) -> None:
    try:
        status = path.stat()
    except FileNotFoundError:
        msg = f"weights {path} do not exist"
        raise WeightsError(msg) from None
    except OSError as error:
        msg = f"weights {path} cannot be read: {error.strerror}"
        raise WeightsError(msg) from error
    if not stat.S_ISREG(status.st_mode):
        msg = f"weights {path} are not a file; name a .safetensors file"
        raise WeightsError(msg)
    if not _is_safetensors(path) and path.suffix.lower() not in _PICKLES:
        msg = (
            f"weights {path} have an unknown extension; known: .safetensors, {', '.join(_PICKLES)}"
        )
        raise WeightsError(msg)
    if status.st_size == 0:
        msg = f"weights {path} are empty; copy or download the file again"
        raise WeightsError(msg)


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return safetensors.torch.load_file(path, device="cpu")
    except (safetensors.SafetensorError, OSError) as error:
        _damaged(path, error)


def _read_pickle(path: Path) -> Any:
    try:
        with warnings.catch_warnings():
            # About TorchScript and old pickle protocols; an error follows where it matters.
            warnings.simplefilter("ignore", UserWarning)
            return torch.load(path, weights_only=True, map_location="cpu")
    except _DAMAGE as error:
        found = _GLOBAL.search(str(error))
        if "TorchScript" not in str(error) and found is None:
            _damaged(path, error)
        what = f"GLOBAL {found[1]}" if found else "a TorchScript program"
        msg = (
            f"weights {path} are a pickle that holds more than plain tensors (found {what}); "
            "convert it to safetensors"
        )
        raise WeightsError(msg) from None


def _damaged(path: Path, error: BaseException) -> NoReturn:
    reason = " ".join(str(error).split()).partition(". ")[0][:120] or type(error).__name__
    msg = f"weights {path} are truncated or damaged ({reason}); copy or download the file again"
    raise WeightsError(msg) from error


def _unwrap(value: Any) -> Any:
    while isinstance(value, dict):
        inner = next((value[key] for key in _WRAPPERS if isinstance(value.get(key), dict)), None)
        if inner is None:
            break
        value = inner
    return value


def _problem(value: Tensor | None, target: Tensor | None) -> tuple[str, str]:
    """Why ``value`` cannot take the place of ``target``, with details; empty if it can."""
    if value is None:
        return "missing", ""
    if target is None:
        return "unexpected", ""
    if value.shape != target.shape:
        return "of another shape", f" {list(value.shape)} for {list(target.shape)}"
    kinds = [(t.dtype.is_floating_point, t.dtype.is_complex) for t in (value, target)]
    if kinds[0] != kinds[1]:
        return "of another kind", f" {value.dtype} for {target.dtype}"
    # in the model's own type, in which a finite float64 may overflow
    return ("" if value.to(target.dtype).isfinite().all() else "not finite"), ""


def _listed(problem: str, names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{len(names)} {problem}: {', '.join(names[:_SHOWN])}{more}"
