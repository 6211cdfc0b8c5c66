"""See every operation a model dispatches, and count it, declare it free, or list it as uncounted.

The single place where synaptic operations are counted. Working below the Python interface, it sees
``nn.Conv2d`` and ``F.conv2d``, ``einsum`` and attention, scripted code and fused cells alike, under
``no_grad``, ``inference_mode`` and autocast. Forward hooks (see ``profiler``) tell it in which
module an operation runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from torch import Tensor, nn
from torch.utils._python_dispatch import (
    TorchDispatchMode,
    _get_current_dispatch_mode,
    _get_current_dispatch_mode_stack,
)
from torch.utils.flop_counter import flop_registry
from torch.utils.weak import WeakTensorKeyDictionary

from snnbench.core.errors import UncountedOperationError
from snnbench.count.attribution import Attribution, Scope
from snnbench.count.ledger import Ledger, Row
from snnbench.count.masks import MaskCache

_MULTIPLIES = frozenset(
    {"convolution", "mm", "addmm", "bmm", "baddbmm", "mv", "addmv", "dot", "vdot", "addbmm"}
)
# arithmetic that inside a neuron is part of its membrane update
_MEMBRANE_ARITHMETIC = frozenset(
    {"add", "sub", "add_", "sub_", "rsub", "mul", "div", "mul_", "div_"}
    | {"addcmul", "addcmul_", "addcdiv", "addcdiv_", "lerp", "lerp_", "sum", "mean", "cumsum"}
)


class Verdict(Enum):
    """How an operation is treated."""

    RULE = "counted by a rule"
    FREE = "does nothing that is counted"
    UNKNOWN = "decomposed, else listed as uncounted"


@dataclass(frozen=True, slots=True)
class Operation:
    """One dispatched operation.

    Attributes:
        packet: Name without overload, e.g. ``addmm``, or ``mylib.kernel`` outside ``aten``.
        out: Its result.
    """

    packet: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    out: Any

    @property
    def tensors(self) -> list[Tensor]:
        """The tensors among the arguments, those in lists included."""
        return list(tensors_of((*self.args, *self.kwargs.values())))


# Counts one operation that ran.
Rule = Callable[["Audit", Operation], None]


def tensors_of(values: Iterable[Any]) -> Iterator[Tensor]:
    """Yield the tensors among ``values`` and in lists and tuples among them."""
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from (item for item in value if isinstance(item, Tensor))


class Audit(TorchDispatchMode):
    """Dispatch mode that feeds a ``Ledger``.

    Args:
        model: The model whose parameters are weights.
        ledger: Receives the counts.
        rules: Counting rules by operation name.
        is_free: Tells whether an operation does no arithmetic that is counted anywhere.
        strict: Whether to raise at the first operation without a rule.
    """

    def __init__(
        self,
        model: nn.Module,
        ledger: Ledger,
        rules: dict[str, Rule],
        is_free: Callable[[Any], bool],
        *,
        strict: bool,
    ) -> None:
        super().__init__()
        self.place = Attribution(model, ledger)
        self.mask_of = MaskCache().mask_of
        self.zero_margins: Any = WeakTensorKeyDictionary()
        self._ledger = ledger
        self._rules = rules
        self._is_free = is_free
        self._strict = strict
        self._verdicts: dict[Any, Verdict] = {}
        self._within_neurons: set[Any] = set()
        self._neurons_running = 0
        self._parametrising = 0
        self._latest_product: tuple[Scope, Row, int] | None = None
        self._elementwise_only: dict[type[nn.Module], bool] = {}
        self._paused_by: Scope | None = None

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # saves a wrapper around every operation; compiled models are refused anyway

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Run ``func`` and account for it."""
        del types
        kwargs = kwargs or {}
        if not self.place.scopes or self._parametrising:
            return func(*args, **kwargs)
        verdict = self._verdicts.get(func) or self._judge(func)
        if verdict is Verdict.UNKNOWN:
            with self:  # composite operations arrive whole under inference_mode
                result = func.decompose(*args, **kwargs)
            if result is not NotImplemented:
                return result
        out = func(*args, **kwargs)
        source = self._weight_behind(args)
        elementwise = self._neurons_running and func in self._within_neurons
        if not source and (verdict is Verdict.FREE or elementwise):
            return out
        if self._neurons_running and not elementwise:
            self._elementwise_only.update((type(s.module), False) for s in self.place.scopes)
        self._account(func, Operation(_operation_name(func), args, kwargs, out), source)
        return out

    def _judge(self, func: Any) -> Verdict:
        """Decide, once per operation, how it is treated."""
        name = _operation_name(func)
        if name in self._rules:
            verdict = Verdict.RULE
        else:
            verdict = Verdict.FREE if self._is_free(func) else Verdict.UNKNOWN
        if verdict is Verdict.FREE or name in _MEMBRANE_ARITHMETIC:
            self._within_neurons.add(func)
        self._verdicts[func] = verdict
        return verdict

    def _weight_behind(self, args: tuple[Any, ...]) -> tuple[str, ...]:
        """Name the weight that the first argument is or comes from; a cheap test, mostly empty."""
        first = args[0] if args else None
        if isinstance(first, list | tuple) and first:
            first = first[0]
        return self.place.weights.names(first) if isinstance(first, Tensor) else ()

    def _account(self, func: Any, operation: Operation, source: tuple[str, ...]) -> None:
        """Count an operation that is not free, or that computes with weights."""
        weights = self.place.weights
        sources = {weights.names(t) for t in operation.tensors if t.dim()} if source else {()}
        if () not in sources:
            for tensor in tensors_of((operation.out,)):
                weights.derive(source, tensor)
            if operation.packet not in _MULTIPLIES or len(sources) == 1:
                return  # a weight is prepared, by itself alone
        verdict = self._verdicts[func]
        if verdict is Verdict.RULE:
            self._rules[operation.packet](self, operation)
        elif verdict is Verdict.UNKNOWN and any(
            t.is_floating_point() or t.is_complex() for t in operation.tensors
        ):
            self._uncounted(func, operation)

    def _uncounted(self, func: Any, operation: Operation) -> None:
        name = f"{func.namespace}.{func.overloadpacket.__name__}"
        module = self.place.scope.row_name
        if self._strict:
            msg = (
                f"operation {name} in module {module} has no counting rule; count without strict "
                "to see it listed, or register a rule (docs/extend.md)"
            )
            raise UncountedOperationError(msg)
        self._ledger.note_uncounted(module, name, _known_macs(func, operation))

    # -- modules, as the hooks see them --

    def enter(self, scope: Scope) -> None:
        """Begin a module's forward."""
        self.place.scopes.append(scope)
        self._neurons_running += scope.is_neuron
        self._parametrising += scope.computes_weight
        if self._may_pause_for(scope):
            self._paused_by = scope
            self.__exit__(None, None, None)

    def leave(self, scope: Scope) -> None:
        """End a module's forward, and with it those inside that raised and were caught."""
        last = None
        while last is not scope:
            last = self.place.scopes.pop()
            if last is self._paused_by:
                self._paused_by = None
                self.__enter__()
            self._parametrising -= last.computes_weight
            if last.is_neuron:
                self._neurons_running -= 1
                self._elementwise_only.setdefault(type(last.module), True)

    def forget_interrupted(self, scope: Scope) -> None:
        """Leave a module that was interrupted, before it begins again.

        No module can begin inside an unwatched neuron. If one seems to, Ctrl-C ended that neuron
        and the user caught it: PyTorch runs no hooks then.
        """
        if self._paused_by is not None and scope in self.place.scopes:
            self.leave(scope)

    def close(self) -> None:
        """Stop watching, wherever an interrupt left things."""
        self.place.scopes.clear()
        self._neurons_running = self._parametrising = 0
        self._paused_by = None
        later_modes = []
        while self in (running := _get_current_dispatch_mode_stack()):
            running[-1].__exit__(None, None, None)
            if running[-1] is not self:
                later_modes.append(running[-1])
        for mode in reversed(later_modes):  # modes that began later and have not ended yet
            mode.__enter__()

    def _may_pause_for(self, scope: Scope) -> bool:
        """Decide whether to stop watching while a neuron of a known library runs.

        Most operations of a spiking network are elementwise ones inside neurons; seeing each of
        them from Python would cost more than all counting. A class is watched once before it is
        trusted; neurons with weights and neuron classes of the user are always watched.
        """
        return (
            scope.is_known_elementwise
            and self._elementwise_only.get(type(scope.module), False)
            and self._paused_by is None
            and _get_current_dispatch_mode() is self
        )

    # -- what the rules add --

    def synapse_row(self, operation: Operation, weight: Tensor | None, key: Sequence[int]) -> Row:
        """Return the row of a synaptic operation; see ``Attribution.synapse_row``."""
        row = self.place.synapse_row(operation.packet, weight, key)
        if isinstance(operation.out, Tensor):
            self._latest_product = (self.place.scope, row, operation.out.numel())
        return row

    add_synops = staticmethod(Row.add_synops)

    def is_weight(self, tensor: Tensor) -> bool:
        """Tell whether ``tensor`` is a weight, a view of one, or made of weights alone."""
        place = self.place
        return bool(place.weights.names(tensor)) or place.scope.local_name(tensor) is not None

    def add_side(self, kind: str, amount: int) -> None:
        """Count work outside synapses on the innermost module's row (none within neurons)."""
        if not amount or self._neurons_running:
            return
        if isinstance(self.place.scope.module, nn.RMSNorm):  # torch fuses it on some devices only
            if kind == "elementwise_muls":
                return
            kind = "norm_ops"
        self.place.scope_row().side[kind] += amount

    def add_bias(self, amount: int) -> None:
        """Count a bias: on the row of the product just made, if it has as many elements."""
        product = self._latest_product
        if product and product[0] is self.place.scope and product[2] == amount:
            product[1].side["bias_adds"] += amount
        else:
            self.add_side("bias_adds", amount)


def _operation_name(func: Any) -> str:
    name: str = func.overloadpacket.__name__
    return name if func.namespace == "aten" else f"{func.namespace}.{name}"


def _known_macs(func: Any, operation: Operation) -> int | None:
    formula = flop_registry.get(func.overloadpacket)
    if formula is None:
        return None
    return int(formula(*operation.args, **operation.kwargs, out_val=operation.out)) // 2
