"""See every operation a model dispatches, and count it, declare it free, or list it as uncounted.

The single place where synaptic operations are counted. Working below the Python interface, it sees
``nn.Conv2d`` and ``F.conv2d``, ``einsum`` and attention, scripted code and fused cells alike, under
``no_grad``, ``inference_mode`` and autocast. Forward hooks (see ``profiler``) tell it in which
module an operation runs.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode, _get_current_dispatch_mode
from torch.utils.flop_counter import flop_registry
from torch.utils.weak import WeakTensorKeyDictionary

from snnbench.count.alphabet import Counts, MaskCache
from snnbench.count.ledger import Ledger, Row
from snnbench.count.weights_map import WeightsMap, collapse
from snnbench.errors import UncountedOperationError

ROOT = "(model)"

# One operation that ran: positional and keyword arguments, and its result.
Rule = Callable[["Audit", "Operation"], None]


class Verdict(Enum):
    """What becomes of an operation."""

    RULE = "counted by a rule"
    FREE = "does nothing that is counted"
    UNKNOWN = "decomposed, else listed as uncounted"


@dataclass(frozen=True, slots=True)
class Scope:
    """A module whose forward is running.

    Attributes:
        name: Qualified name, empty for the model itself.
        module: The module.
        is_neuron: Inside it, elementwise work is part of the membrane update.
        is_weightless: It holds no weight matrix, so that it cannot hide a synapse.
    """

    name: str
    module: nn.Module
    is_neuron: bool
    is_weightless: bool


@dataclass(frozen=True, slots=True)
class Operation:
    """One dispatched operation.

    Attributes:
        packet: Name without overload, e.g. ``addmm``.
        args: Positional arguments, those with defaults filled in.
        kwargs: Keyword-only arguments.
        out: Its result.
    """

    packet: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    out: Any

    @property
    def tensors(self) -> list[Tensor]:
        """Tensors among the arguments, lists of tensors flattened."""
        return list(tensors_of((*self.args, *self.kwargs.values())))


def tensors_of(values: Iterable[Any]) -> Iterator[Tensor]:
    """Tensors among ``values``, one level of nesting deep."""
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from (item for item in value if isinstance(item, Tensor))


class Audit(TorchDispatchMode):
    """Dispatch mode that feeds a ``Ledger``.

    Args:
        model: The model whose parameters are weights.
        ledger: Where counts go.
        rules: Counting rules by operation name.
        is_free: Whether an operation does no arithmetic that is counted anywhere.
        strict: Raise at the first operation without a rule.
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
        self.scopes: list[Scope] = []
        self.ledger = ledger
        self.weights = WeightsMap(model)
        self.zero_margins: Any = WeakTensorKeyDictionary()
        self._rules = rules
        self._is_free = is_free
        self._strict = strict
        self.mask_of = MaskCache().mask_of
        self._used: set[str] = set()
        self._verdicts: dict[Any, Verdict] = {}
        self._elementwise: set[Any] = set()
        self._neurons_running = 0
        self._elementwise_only: dict[type[nn.Module], bool] = {}
        self._paused_by: Scope | None = None
        self._sites: dict[tuple[Any, ...], str] = {}
        self._sites_per_name: Counter[str] = Counter()

    def __torch_dispatch__(
        self,
        func: Any,  # noqa: ANN401 - an OpOverload, which torch does not type
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401 - whatever the operation returns
        """Run ``func`` and account for it."""
        del types
        kwargs = kwargs or {}
        if not self.scopes or (self._neurons_running and func in self._elementwise):
            return func(*args, **kwargs)
        verdict = self._verdicts.get(func) or self._judge(func)
        if verdict is Verdict.UNKNOWN:
            with self:  # composite operations arrive whole under inference_mode
                result = func.decompose(*args, **kwargs)
            if result is not NotImplemented:
                return result
        out = func(*args, **kwargs)
        source = self._weight_behind(args)
        if verdict is Verdict.FREE and source is None:
            return out
        if self._neurons_running:
            self._elementwise_only.update((type(s.module), False) for s in self.scopes)
        self._account(func, Operation(func.overloadpacket.__name__, args, kwargs, out), source)
        return out

    def _judge(self, func: Any) -> Verdict:  # noqa: ANN401
        """Decide once per operation what becomes of it."""
        if func.namespace == "aten" and func.overloadpacket.__name__ in self._rules:
            verdict = Verdict.RULE
        else:
            verdict = Verdict.FREE if self._is_free(func) else Verdict.UNKNOWN
        if verdict is Verdict.FREE or func.overloadpacket.__name__ in ELEMENTWISE:
            self._elementwise.add(func)
        self._verdicts[func] = verdict
        return verdict

    def _account(self, func: Any, operation: Operation, source: str | None) -> None:  # noqa: ANN401
        """Count an operation that is not free, or that computes with weights."""
        rule = self._rules.get(operation.packet) if func.namespace == "aten" else None
        if source is not None and all(self.weights.name(t) for t in operation.tensors):
            self._follow(source, operation)
            if operation.packet not in MULTIPLIES:
                return
        if rule is not None:
            rule(self, operation)
        elif self._verdicts[func] is Verdict.UNKNOWN and any(
            t.is_floating_point() or t.is_complex() for t in operation.tensors
        ):
            self._uncounted(func, operation)

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # saves a wrapper around every operation; compiled models are refused anyway

    def enter(self, scope: Scope) -> None:
        """A module's forward begins."""
        self.scopes.append(scope)
        self._neurons_running += scope.is_neuron
        if self._may_pause_for(scope):
            self.__exit__(None, None, None)
            self._paused_by = scope

    def _may_pause_for(self, scope: Scope) -> bool:
        """Whether to look away: a neuron without weights whose class did elementwise work only.

        Most operations of a spiking network are elementwise ones inside neurons; seeing each of
        them from Python would cost more than all counting.
        """
        return (
            scope.is_neuron
            and scope.is_weightless
            and self._elementwise_only.get(type(scope.module), False)
            and self._paused_by is None
            and _get_current_dispatch_mode() is self
        )

    def leave(self, scope: Scope) -> None:
        """A module's forward ends, and with it those inside that raised and were caught."""
        while True:
            last = self.scopes.pop()
            if last is self._paused_by:
                self._paused_by = None
                self.__enter__()
            self._neurons_running -= last.is_neuron
            if last.is_neuron:
                self._elementwise_only.setdefault(type(last.module), True)
            if last is scope:
                return

    # -- where an operation runs --

    @property
    def scope(self) -> Scope:
        """Innermost running module."""
        return self.scopes[-1]

    @property
    def in_neuron(self) -> bool:
        """Whether elementwise work here belongs to a membrane update."""
        return self._neurons_running > 0

    def scope_row(self) -> Row:
        """Row of the innermost module, for work outside synapses."""
        scope = self.scope
        return self.ledger.row(scope.name or ROOT, type(scope.module).__name__)

    def synapse_row(self, operation: Operation, weight: Tensor | None, key: Sequence[int]) -> Row:
        """Row of a synaptic operation: by its weight, else by its place in the code.

        Args:
            operation: What ran.
            weight: The operand that is a weight, if one is.
            key: Sizes that tell products of one line of code apart.
        """
        scope = self.scope
        module = scope.name or ROOT
        parameter = None if weight is None else self.weights.name(weight)
        if parameter is not None:
            self._used.add(parameter)
            local = collapse(parameter, scope.name)
        elif weight is not None and self._is_own_weight(weight):
            local = None
        else:
            return self._row_of_site(operation, module, key)
        name = module if local is None else f"{module}::{local}"
        type_name = type(scope.module).__name__ if local is None else operation.packet
        row = self.ledger.row(name, type_name)
        if not row.params and weight is not None:
            self._note_parameters(row, parameter, weight)
        return row

    def _is_own_weight(self, weight: Tensor) -> bool:
        """Whether the module holds this tensor as ``weight`` without its being a parameter."""
        own = vars(self.scope.module).get("weight")
        if own is None:
            own = self.scope.module._parameters.get("weight")  # noqa: SLF001 - swapped by functional_call
        return isinstance(own, Tensor) and own.data_ptr() == weight.data_ptr()

    def is_weight(self, tensor: Tensor) -> bool:
        """Whether ``tensor`` is a weight of the model, a view of one, or made of weights alone."""
        return self.weights.name(tensor) is not None or self._is_own_weight(tensor)

    def _row_of_site(self, operation: Operation, module: str, key: Sequence[int]) -> Row:
        site = (module, operation.packet, *key, *_call_site())
        name = self._sites.get(site)
        if name is None:
            base = f"{module}::{_READABLE.get(operation.packet, operation.packet)}"
            self._sites_per_name[base] += 1
            count = self._sites_per_name[base]
            name = self._sites[site] = base if count == 1 else f"{base}#{count}"
        return self.ledger.row(name, operation.packet)

    def uses_parameters_of(self, name: str, module: nn.Module) -> bool:
        """Whether ``module`` has no parameters of its own or one of them was used elsewhere."""
        own = [
            f"{name}.{local}" if name else local
            for local, _ in module.named_parameters(recurse=False)
        ]
        return not own or any(parameter in self._used for parameter in own)

    def _note_parameters(self, row: Row, parameter: str | None, weight: Tensor) -> None:
        tensor = weight if parameter is None else self.weights.parameters[parameter]
        row.params = tensor.numel()
        row.nonzero_params = int(torch.count_nonzero(tensor.detach()).item())

    # -- what an operation adds --

    def add_bias(self, row: Row, elements: int) -> None:
        """Count a bias reaching ``elements`` outputs."""
        row.side["bias_adds"] += elements

    def add_side(self, kind: str, amount: int) -> None:
        """Count work outside synapses on the innermost module's row (none within neurons)."""
        if amount and not self.in_neuron:
            row = self.scope_row()
            row.side[kind] += amount

    def add_synops(
        self, row: Row, shape: tuple[int, ...], *, dense: int, in_image: int, effective: Counts
    ) -> None:
        """Count one synaptic operation; ``shape`` is its input's, batch first."""
        row.called(shape)
        row.add_synops(dense=dense, in_image=in_image, effective=effective)

    # -- weights and gaps --

    def _weight_behind(self, args: tuple[Any, ...]) -> str | None:
        """The weight that the first argument is or comes from: a cheap test that mostly says no."""
        first = args[0] if args else None
        if isinstance(first, list | tuple) and first:
            first = first[0]
        return self.weights.name(first) if isinstance(first, Tensor) else None

    def _follow(self, source: str, operation: Operation) -> None:
        for tensor in tensors_of((operation.out,)):
            if tensor.is_floating_point():
                self.weights.derive(source, tensor)

    def _uncounted(self, func: Any, operation: Operation) -> None:  # noqa: ANN401
        name = f"{func.namespace}.{operation.packet}"
        module = self.scope.name or ROOT
        if self._strict:
            msg = (
                f"operation {name} in module {module} has no counting rule; count without strict "
                "to see it listed, or register a rule (docs/extend.md)"
            )
            raise UncountedOperationError(msg)
        self.ledger.note_uncounted(module, name, _known_macs(func, operation))


MULTIPLIES = frozenset({"mm", "addmm", "bmm", "baddbmm", "mv", "addmv", "dot", "vdot", "addbmm"})
# arithmetic that inside a neuron is part of its membrane update
ELEMENTWISE = frozenset(
    {"add", "sub", "add_", "sub_", "rsub", "mul", "div", "mul_", "div_"}
    | {"addcmul", "addcmul_", "addcdiv", "addcdiv_", "lerp", "lerp_", "sum", "mean", "cumsum"}
)
_READABLE = {"mm": "matmul", "bmm": "matmul", "mv": "matmul", "dot": "matmul", "vdot": "matmul"}


def _known_macs(func: Any, operation: Operation) -> int | None:  # noqa: ANN401
    formula = flop_registry.get(func.overloadpacket)
    if formula is None:
        return None
    return int(formula(*operation.args, **operation.kwargs, out_val=operation.out)) // 2


def _call_site() -> tuple[tuple[int, int], ...]:
    """Places in the code from the operation up to the forward of its module.

    Tells two products in one forward apart while a loop over time returns to the same place.
    """
    site = []
    frame = sys._getframe(1)  # noqa: SLF001 - the documented way to see the caller
    while frame.f_back is not None:
        module = frame.f_globals.get("__name__", "")
        if module == "torch.nn.modules.module":
            break
        if not module.startswith(("torch.", "snnbench.count.")):
            site.append((id(frame.f_code), frame.f_lasti))
        frame = frame.f_back
    return tuple(site)
