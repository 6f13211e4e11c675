"""What a spec costs, counted before any of it is planned.

Planning takes time and memory by the tensor, by each rule that is tried on each name, and by the
byte of header. A few words can ask for much of that: one LSTM may have 2,560 tensors, one rule a
thousand characters to match. So it is counted first, in the order in which a count is cheap: names
before rules see them, tensors before they are listed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from seedbed.files.spec import CheckpointSpec
from seedbed.init import Limits, Origin, Shape, TensorPlan, scheme
from seedbed.models import ModelOfList
from seedbed.quantization import MOST_OF_A_WEIGHT, cost, matching_work
from seedbed.stream import DTYPES, DtypeCode

_ENTRY_BYTES = len('"":{"dtype":"F32","shape":[],"data_offsets":[0,0]},')
"""Of a header, for a tensor without its name: no entry is shorter."""


@dataclass(frozen=True, slots=True)
class Price:
    """What planning takes.

    Attributes:
        tensors: of layers, models and their own, before rules drop any; those of a quantised
            checkpoint as it stores them.
        name_bytes: of their names together, in UTF-8.
        rule_work: steps of trying each rule once on each name.
        header_bytes: of the whole file's header, at least.
    """

    tensors: int
    name_bytes: int
    rule_work: int
    header_bytes: int


def price(spec: CheckpointSpec, limits: Limits) -> Price:
    """What a spec costs to plan; a model is built for that.

    Raises:
        LimitError: more than a limit, or too long a name, and then as little as possible was done.
        SpecError: there is no such model.
    """
    limits.require("max_rules", len(spec.rules), "rules")
    limits.require("max_tensors", len(spec.tensors) + len(spec.layers), "tensors and layers")
    names = [*_own_names(spec, limits)]
    if isinstance(spec.model, ModelOfList):  # before its ranges are names
        count = len(names) + spec.model.count
        limits.require("max_tensors", count, "tensors, with those of the model,")
    model = spec.built
    if model is not None:
        count = len(names) + len(model.parameters)
        limits.require("max_tensors", count, "tensors, with those of the model,")
        names += [parameter.name for parameter in model.parameters]
    longest = max(names, key=len, default="")
    if 4 * len(longest) > limits.max_name_bytes:
        _require_short(names, limits)
    tensors, name_bytes = len(names), len("".join(names).encode())
    work = rule_work(spec, tensors, name_bytes)
    limits.require("max_rule_work", work, "steps of rules on names")
    drops = any(rule.drop for rule in spec.rules)
    method = spec.method
    if method is not None:
        limits.require(
            "max_rule_work",
            matching_work(method, len(longest)),
            "steps of the quantisation's patterns on one name",
        )
        quantised = cost(method, [*_unfilled(spec)], spec.model_type)
        tensors, name_bytes = quantised.tensors, quantised.name_bytes
        if not drops:
            limits.require("max_tensors", tensors, "tensors, with those of quantisation,")
    header = name_bytes + _ENTRY_BYTES * tensors
    if not drops:
        limits.require("max_header_bytes", header, "bytes of header, or more,")
    return Price(tensors, name_bytes, work, header)


def rule_work(spec: CheckpointSpec, tensors: int, name_bytes: int) -> int:
    """Steps of trying each rule once on each of so many names, in units of about 5 ns.

    Most take a look at the whole name and the whole pattern; of hostile ones each character is
    compared with each, a sixteenth of a unit a time.
    """
    return sum(
        name_bytes + tensors * len(rule.match) + name_bytes * len(rule.match) // 16
        for rule in spec.rules
    )


def is_short(spec: CheckpointSpec, most: int, most_work: int) -> bool:
    """Whether planning surely takes a few milliseconds; this is known at once.

    Args:
        spec: that has been read, and whose names may have any length.
        most: tensors.
        most_work: steps of rules on names.
    """
    if spec.model is not None or len(spec.tensors) + len(spec.layers) > most:
        return False
    method = spec.method
    each = 1 if method is None else MOST_OF_A_WEIGHT
    parameters = (parameter for layer in spec.layers for parameter in layer.parameters())
    tensors = len(spec.tensors) + sum(1 for _ in islice(parameters, most + 1))
    weights = (tensor.init.weight - 1 for tensor in spec.tensors if tensor.init is not None)
    of_layers = (init.weight - 1 for layer in spec.layers for init in layer.init.values())
    heaviest = max((rule.init.weight for rule in spec.rules if rule.init is not None), default=1)
    if tensors * each * heaviest + sum(weights) + sum(of_layers) > most:
        return False
    names = [*(tensor.name for tensor in spec.tensors), *(layer.name for layer in spec.layers)]
    longest = max(map(len, names), default=0)
    work = rule_work(spec, tensors, 4 * tensors * (longest + 32))
    if method is not None:
        expressions = [*method.expressions()]
        work += _COMPILING * sum(map(len, expressions))
        work += tensors * matching_work(method, longest + 32)
    return work <= most_work


_COMPILING = 4000
"""Of a regular expression, the work of compiling a character of it."""


def _unfilled(spec: CheckpointSpec) -> Iterator[TensorPlan]:
    """What quantisation looks at, of every tensor that has PyTorch's names and shapes."""
    zeros = scheme("zeros")
    fill = zeros.fill(())

    def plan(name: str, shape: Shape, code: DtypeCode, layer: str | None = None) -> TensorPlan:
        origin = None if layer is None else Origin(layer, (), "", None)
        return TensorPlan(name, shape, DTYPES[code], zeros, fill, 0, origin)

    for tensor in spec.tensors:
        yield plan(tensor.name, tensor.shape, tensor.dtype or spec.dtype)
    for layer in spec.layers:
        for part in layer.parameters():
            yield plan(
                f"{layer.name}.{part.name}", part.shape, part.dtype or spec.dtype, layer.type
            )
    for part in spec.built.parameters if spec.built else ():
        yield plan(part.name, part.shape, part.dtype or spec.dtype)


def _own_names(spec: CheckpointSpec, limits: Limits) -> Iterator[str]:
    """Names of tensors and of layers' parameters, as rules see them.

    Raises:
        LimitError: a name is too long, or there are too many; no more were listed than that takes.
    """
    _require_short([tensor.name for tensor in spec.tensors], limits)
    _require_short([layer.name for layer in spec.layers], limits)
    yield from (tensor.name for tensor in spec.tensors)
    count = len(spec.tensors)
    for layer in spec.layers:
        for parameter in layer.parameters():
            count += 1
            limits.require("max_tensors", count, "tensors, with those of layers, or more,")
            yield f"{layer.name}.{parameter.name}"


def _require_short(names: Iterable[str], limits: Limits) -> None:
    for name in names:
        if 4 * len(name) > limits.max_name_bytes:
            limits.require("max_name_bytes", len(name.encode()), "bytes of tensor name")
