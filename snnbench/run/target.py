"""Import of a user's models and neurons by name, ``module:name``."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from snnbench.core.errors import UsageError

# errors to expect from a user's code; others keep their traceback
_USER_ERRORS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    NameError,
    OSError,
    RuntimeError,
    SyntaxError,
    SystemExit,
    TypeError,
    ValueError,
)


@contextmanager
def user_errors(what: str) -> Iterator[None]:
    """Turn errors of a user's code into one line.

    Args:
        what: What failed; the type and the first line of the error follow.

    Raises:
        UsageError: The block raised an error.
    """
    try:
        yield
    except _USER_ERRORS as error:
        lines = str(error).splitlines()
        words = f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
        msg = f"{what}: {words}"
        raise UsageError(msg) from error


@contextmanager
def current_folder_importable() -> Iterator[None]:
    """Import from the current folder too, as ``python -m`` does, also inside the user's code."""
    sys.path.insert(0, "")
    try:
        yield
    finally:
        sys.path.remove("")


def import_model(target: str) -> nn.Module:
    """The model that ``module:factory`` names.

    Raises:
        UsageError: It cannot be imported, or makes no ``torch.nn.Module``.
    """
    factory = _import(target, "FACTORY, such as mynets:make_net")
    if not isinstance(factory, nn.Module):
        if not callable(factory):
            msg = f"{target} is a {type(factory).__name__}, neither a module nor a function"
            raise UsageError(msg)
        with user_errors(f"{target}() failed"):
            factory = factory()
    if not isinstance(factory, nn.Module):
        msg = f"{target}() returned a {type(factory).__name__}, not a torch.nn.Module"
        raise UsageError(msg)
    return factory


def import_neuron(target: str) -> type[nn.Module]:
    """The class of neurons that ``module:Class`` names.

    Raises:
        UsageError: It cannot be imported, or is not a class of ``torch.nn.Module``.
    """
    neuron = _import(target, "CLASS, such as mynets:MyLIF")
    if not (isinstance(neuron, type) and issubclass(neuron, nn.Module)):
        msg = f"--neuron {target} is not a class of torch.nn.Module"
        raise UsageError(msg)
    return neuron


def _import(target: str, expected: str) -> object:
    """The object that ``module:name`` names."""
    module_name, _, name = target.partition(":")
    if not module_name or not name:
        msg = f"{target!r} must be MODULE:{expected}"
        raise UsageError(msg)
    with user_errors(f"cannot import {module_name}"):
        module = importlib.import_module(module_name)
    found: object = getattr(module, name, None)
    if found is None:
        msg = f"module {module_name} has no {name!r}"
        raise UsageError(msg)
    return found
