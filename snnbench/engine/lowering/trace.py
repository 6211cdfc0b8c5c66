"""Recording of one run of a network's forward: layers, and operations between them.

Python runs the forward as it is written, so loops, checks and shapes are the user's own. Layers
whose output shape is known return zeros instead of computing, so recording costs no inference.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NoReturn

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_flatten, tree_map
from torch.utils.weak import WeakTensorKeyDictionary

from snnbench.core.errors import StructureError
from snnbench.nn.neuron import Neuron, dynamics_of
from snnbench.nn.norm import ChannelAffine, ThresholdDependentBatchNorm2d

_CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)
_LAYERS = (Neuron, ChannelAffine, ThresholdDependentBatchNorm2d)
_NOTHING = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout)
_READS_VALUES = {
    *("__bool__", "__float__", "__int__", "__index__", "__contains__", "item", "tolist", "numpy"),
    *("equal", "allclose", "is_nonzero"),
}


@dataclass(frozen=True, slots=True)
class Slot:
    """Stands for a recorded tensor among the arguments of a function."""

    position: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Call:
    """One layer or function that ran.

    Attributes:
        name: Name of the module, or of the module that called the function.
        inputs: Indices of the earlier calls whose outputs it reads; call 0 is the input.
        shape: Shape of the output.
        module: The layer; ``None`` for a function.
        function: The function; ``None`` for a layer.
        args: Arguments of the function, with ``Slot`` for tensors.
        kwargs: Keyword arguments of the function, likewise.
        reason: Why a composite module was taken as one layer.
    """

    name: str
    inputs: tuple[int, ...]
    shape: tuple[int, ...]
    module: nn.Module | None = None
    function: Callable[..., Any] | None = None
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    reason: str | None = None

    @property
    def operation(self) -> str:
        """Name of the function without its underscores."""
        return getattr(self.function, "__name__", "").strip("_")


class _UntraceableError(Exception):
    """A module does something that cannot be recorded."""

    def __init__(self, module: str, reason: str) -> None:
        super().__init__(reason)
        self.module = module
        self.reason = reason


@torch.no_grad()
def record(model: nn.Module, example: Tensor) -> tuple[list[Call], int]:
    """Run a network once and list its calls.

    A module inside it that cannot be recorded, for instance one that steps through time itself,
    is taken as one layer. The network is in evaluation mode and has no hooks; no other thread may
    use its layers meanwhile.

    Returns:
        The calls in order, and the index of the one that made the output.

    Raises:
        StructureError: The network's own forward does something that cannot be recorded.
    """
    opaque: dict[str, str] = {}
    while True:
        recorder = _Recorder(model, opaque)
        try:
            return recorder.run(example)
        except _UntraceableError as error:
            if not error.module:
                msg = (
                    f"{type(model).__name__}: its forward {error.reason}; move that into a module "
                    "of its own, and the engine runs it densely"
                )
                raise StructureError(msg) from None
            opaque[error.module] = error.reason


class _Recorder(TorchFunctionMode):
    def __init__(self, model: nn.Module, opaque: dict[str, str]) -> None:
        super().__init__()
        self._model = model
        self._opaque = opaque
        self._calls: list[Call] = []
        self._known = WeakTensorKeyDictionary()
        self._stale: set[int] = set()
        self._scopes = [""]
        self._in_layer = False

    def run(self, example: Tensor) -> tuple[list[Call], int]:
        x = example.detach().clone()  # layers may work in place
        self._add(x, Call(name="input", inputs=(), shape=tuple(x.shape)))
        with self._wrapped(), self:
            y = self._model(x)
        if not isinstance(y, Tensor) or y not in self._known:
            msg = f"{type(self._model).__name__} must return one tensor made from its input"
            raise StructureError(msg)
        return self._calls, self._known[y]

    def __torch_function__(
        self, func: Any, _types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        if self._in_layer:
            return out
        tensors = [x for x in tree_flatten((args, kwargs))[0] if isinstance(x, Tensor)]
        if any(x in self._known for x in tensors):
            self._record_function(func, args, kwargs, tensors, out)
        return out

    def _record_function(
        self, func: Any, args: Any, kwargs: Any, tensors: list[Tensor], out: Any
    ) -> None:
        name = getattr(func, "__name__", "")
        if name in _READS_VALUES:
            self._refuse("depends on the values of a tensor")
        if not isinstance(out, Tensor):
            if any(isinstance(x, Tensor) for x in tree_flatten(out)[0]):
                self._refuse(f"takes a tensor apart with '{name}' instead of all timesteps at once")
            return
        inputs: list[int] = []
        slots = partial(self._slot, inputs)
        args, kwargs = tree_map(slots, args), tree_map(slots, kwargs)
        call = Call(
            name=self._scopes[-1],
            inputs=tuple(inputs),
            shape=tuple(out.shape),
            function=func,
            args=args,
            kwargs=kwargs,
        )
        self._add(out, call, overwrites=any(x is out for x in tensors))

    def _slot(self, inputs: list[int], x: Any) -> Any:
        if not isinstance(x, Tensor):
            return x
        if x in self._known:
            inputs.append(self._index(x))
            return Slot(len(inputs) - 1)
        if not isinstance(x, nn.Parameter):
            self._refuse("computes with a tensor that is neither a parameter nor made of its input")
        return x.detach()

    def _add(self, out: Tensor, call: Call, *, overwrites: bool = False) -> None:
        if overwrites:
            storage = out.untyped_storage().data_ptr()
            for other in self._known:
                if other is not out and other.untyped_storage().data_ptr() == storage:
                    self._stale.add(self._known[other])
        self._known[out] = len(self._calls)
        self._calls.append(call)

    def _index(self, x: Tensor) -> int:
        index: int = self._known[x]
        if index in self._stale:
            self._refuse("changes a tensor in place and then uses an older view of it")
        return index

    def _refuse(self, reason: str) -> NoReturn:
        raise _UntraceableError(self._scopes[-1], reason)

    @contextmanager
    def _wrapped(self) -> Iterator[None]:
        """Make the model's modules report to this recorder."""
        own = {}
        modules = dict(self._model.named_modules())
        try:
            for name, module in modules.items():
                own[name] = module.__dict__.get("forward")
                wrap = self._run_layer if self._is_layer(name, module) else self._run_composite
                module.forward = partial(wrap, name, module, module.forward)
            yield
        finally:
            for name, forward in own.items():
                del modules[name].forward
                if forward is not None:
                    modules[name].forward = forward

    def _is_layer(self, name: str, module: nn.Module) -> bool:
        if not name:
            return False
        builtin = type(module).__module__.startswith("torch.nn.")
        return (
            name in self._opaque
            or isinstance(module, _LAYERS)
            or (builtin and not isinstance(module, _CONTAINERS))
        )

    def _run_composite(
        self, name: str, _module: nn.Module, forward: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> Any:
        if self._in_layer:
            return forward(*args, **kwargs)
        self._scopes.append(name)
        out = forward(*args, **kwargs)
        self._scopes.pop()
        return out

    def _run_layer(
        self, name: str, module: nn.Module, forward: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> Any:
        if self._in_layer:
            return forward(*args, **kwargs)
        if kwargs or not all(isinstance(x, Tensor) and x in self._known for x in args):
            self._refuse(f"calls '{name}' with arguments other than tensors made from its input")
        if type(module) in _NOTHING:
            return args[0]
        self._in_layer = True
        out = _zeros_for(module, *args)
        out = forward(*args) if out is None else out
        self._in_layer = False
        if not isinstance(out, Tensor):
            self._refuse(f"calls '{name}', which returns more than one tensor")
        call = Call(
            name=name,
            inputs=tuple(self._index(x) for x in args),
            shape=tuple(out.shape),
            module=module,
            reason=self._opaque.get(name),
        )
        self._add(out, call, overwrites=any(x is out for x in args))
        return out


def _zeros_for(module: nn.Module, x: Tensor, *_others: Tensor) -> Tensor | None:
    """Make zeros of the shape that a layer would return, if that is simple to tell."""
    if type(module) is ChannelAffine or (isinstance(module, Neuron) and dynamics_of(module)):
        return torch.zeros_like(x)
    if type(module) is nn.Linear and x.shape[-1] == module.in_features:
        return x.new_zeros((*x.shape[:-1], module.out_features))
    if type(module) is not nn.Conv2d or x.ndim != 4 or x.shape[1] != module.in_channels:
        return None  # the layer itself raises if the input does not fit
    if isinstance(module.padding, str):
        return None
    size = (
        (length + 2 * pad - dilation * (kernel - 1) - 1) // stride + 1
        for length, pad, dilation, kernel, stride in zip(
            x.shape[2:],
            module.padding,
            module.dilation,
            module.kernel_size,
            module.stride,
            strict=True,
        )
    )
    return x.new_zeros((len(x), module.out_channels, *size))
