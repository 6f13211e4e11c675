"""Which tensors a spec names, and what fills each of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, ConfigDict, FailFast, Field

from seedbed.errors import ParameterError, Path, SpecError
from seedbed.init.arrays import Array
from seedbed.init.fill import Fill
from seedbed.init.layers import Framework, Layer, Parameter, Stored
from seedbed.init.limits import Limits
from seedbed.init.names import AnyDtype, Dimension, TensorName, count_elements
from seedbed.init.rules import Rule, Rules
from seedbed.init.schemes import Fans, Init, Scheme, Shape
from seedbed.init.views import Named
from seedbed.stream import DTYPES, Dtype, FloatCode, ParameterProblem


class TensorSpec(BaseModel):
    """One tensor: name, shape, and how to fill it."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: TensorName = Field(description="Unique name; it takes part in the random stream.")
    shape: Annotated[tuple[Dimension, ...], FailFast(), Field(strict=False)] = Field(
        description="Dimensions in PyTorch's order, (out, in, *kernel); [] is a scalar."
    )
    init: Init | None = Field(
        None, description="Scheme name or object; may be left to a rule that matches the name."
    )
    dtype: AnyDtype | None = Field(
        None, description="Overrides the checkpoint's dtype. Integers and BOOL hold constants only."
    )


@dataclass(frozen=True, slots=True)
class TensorPlan:
    """One tensor of the file, decided.

    Attributes:
        name: unique in the file.
        shape: in the file.
        dtype: of the elements.
        scheme: that was asked for; of several parameters in one tensor, that of the first.
        fill: that it came to.
        elements: product of the shape.
        origin: of a layer's tensor.
        guessed: whether nothing but its name and rank says how it starts.
        known_fans: that a model knows where the shape would mislead, if the scheme used them.
    """

    name: str
    shape: Shape
    dtype: Dtype
    scheme: Scheme
    fill: Fill
    elements: int
    origin: Origin | None = None
    guessed: bool = False
    known_fans: Fans | None = None

    @property
    def size_bytes(self) -> int:
        """Bytes of all elements."""
        return self.elements * self.dtype.size_bytes

    @property
    def fans(self) -> Fans | None:
        """The fans that the scheme used, if it uses any."""
        if self.origin is not None:
            return self.origin.fans
        return self.known_fans or self.scheme.fans(self.shape)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a layer's tensor comes from.

    Attributes:
        layer: type of the layer.
        parameters: PyTorch's names of what it is made of; their streams have these names.
        expression: how it is made of them, in NumPy's words.
        fans: that the first parameter's scheme used, if it uses any.
    """

    layer: str
    parameters: tuple[str, ...]
    expression: str
    fans: Fans | None


def plan(
    tensors: Sequence[TensorSpec],
    rules: Sequence[Rule],
    dtype: FloatCode,
    limits: Limits,
    layers: Sequence[Layer] = (),
    framework: Framework = "torch",
    model: Sequence[Parameter] = (),
    guessed: AbstractSet[str] = frozenset(),
) -> tuple[TensorPlan, ...]:
    """Decide every tensor: those of their own, of the layers, of the model, each in its order.

    Rules speak of PyTorch's names in every framework, so that the weights are the same in all.

    Args:
        tensors: of their own.
        rules: changes by name.
        dtype: of what does not say otherwise.
        limits: upper bounds.
        layers: whose parameters are stored as the framework does.
        framework: whose names and layouts those are.
        model: parameters of a model, stored as they are.
        guessed: which of those have an init that is a guess.

    Raises:
        SpecError: with the place in the spec: `("tensors", 0, "shape")`, `("rules", 0, "init")`.
        LimitError: too many tensors or dimensions, or too long a name.
    """
    limits.require("max_tensors", len(tensors) + len(layers) + len(model), "tensors and layers")
    limits.require("max_rules", len(rules), "rules")
    planner = _Planner(Rules(rules), dtype, limits, framework)
    faults = _Faults()
    for i, tensor in enumerate(tensors):
        try:
            planner.add(tensor, i)
        except SpecError as error:
            faults.add(_placed(error, ("tensors", i), tensor.name, planner.rules))
    for i, layer in enumerate(layers):
        with faults:
            planner.add_layer(layer, i)
    for parameter in model:
        with faults:
            planner.add_of_model(parameter, guessed)
    faults.check()
    planner.refuse_rules_of_file_names()
    if not planner.plans and any(rule.drop for rule in rules):
        raise SpecError("the rules drop every tensor", ("rules",))
    return tuple(planner.plans)


class _Faults:
    """What is wrong with several parts of a spec, of each place the first, to be told together."""

    def __init__(self) -> None:
        self._first: dict[Path, SpecError] = {}
        self._count = 0

    def __enter__(self) -> None:
        """Go on behind a part that is wrong."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if not isinstance(error, SpecError):
            return False
        self.add(error)
        return True

    def add(self, error: SpecError) -> None:
        """Remember it; raise those that there are if it is enough."""
        self._first.setdefault(error.path, error)
        self._count += 1
        if len(self._first) >= _MOST_PLACES or self._count >= _MOST_FAULTS:
            self.check()

    def check(self) -> None:
        """Raise the first with the others, if there is any."""
        if self._first:
            first, *others = self._first.values()
            first.others = tuple(others)
            raise first


_MOST_PLACES = 20
_MOST_FAULTS = 100
"""Faults after which planning ends: one rule may be wrong for every tensor of a model."""


@dataclass(frozen=True, slots=True)
class _Decided:
    """A parameter of a layer: everything but how the file stores it."""

    array: Array
    dtype: Dtype
    scheme: Scheme
    fans: Fans | None


class _Planner:
    """A plan under way."""

    def __init__(
        self, rules: Rules, dtype: FloatCode, limits: Limits, framework: Framework
    ) -> None:
        self.rules = rules
        self.plans: list[TensorPlan] = []
        self._dtype = dtype
        self._limits = limits
        self._framework = framework
        self._fills: dict[tuple[str, Shape, str], Fill] = {}
        self._places: dict[str, tuple[str, int]] = {}  # of names in the file
        self._streams: dict[str, tuple[str, int]] = {}  # and of layers' parameters, if others

    def add(self, tensor: TensorSpec, index: int) -> None:
        """Decide a tensor of its own."""
        self._claim(tensor.name, ("tensor", index))
        self._limits.require("max_rank", len(tensor.shape), "dimensions")
        elements = count_elements(tensor.shape)
        init, code = self.rules.apply(tensor.name)
        scheme = init or tensor.init
        if scheme is None:
            raise SpecError(
                f"nothing says how to fill {tensor.name!r}: it has no init and no rule with "
                "an init matches it",
                ("init",),
            )
        decided = DTYPES[code or tensor.dtype or self._dtype]
        fill = self._shared_fill(scheme, tensor.shape, decided)
        self.plans.append(TensorPlan(tensor.name, tensor.shape, decided, scheme, fill, elements))

    def add_layer(self, layer: Layer, index: int) -> None:
        """Decide the parameters of a layer, then store them as the framework does."""
        decided: dict[str, _Decided] = {}
        for parameter in layer.parameters():
            stream = f"{layer.name}.{parameter.name}"
            try:
                decided[stream] = self._decide(layer, parameter, stream, index)
            except SpecError as error:
                raise self._placed_in_layer(error, layer, parameter, index) from error
            self._limits.require(
                "max_tensors", len(self.plans) + len(decided), "tensors, with those of layers,"
            )
        arrays = {name[len(layer.name) + 1 :]: one.array for name, one in decided.items()}
        try:
            for stored in layer.stored(self._framework, arrays):
                self._store(layer, stored, decided, index)
        except SpecError as error:
            raise error.within("layers", index) from error

    def add_of_model(self, parameter: Parameter, guessed: AbstractSet[str]) -> None:
        """Decide a parameter of a model, whose names and layouts are those of the file."""
        name, shape = parameter.name, parameter.shape
        if self.rules.drops(name):
            return
        self._limits.require("max_rank", len(shape), "dimensions")
        fans: Fans | None = None
        try:
            self._claim(name, ("tensor of the model", len(self.plans)))
            elements = count_elements(shape)
            scheme, dtype, by_rule = self._scheme_and_dtype(
                parameter, name, parameter.init, self._dtype
            )
            if parameter.blocks or parameter.fans or parameter.gates > 1:
                fill = _fill(scheme, shape, dtype, lambda: parameter.fill(scheme, name))
                fans = _fans(scheme, parameter)
                if isinstance(fill, Named) and fill.name == name:
                    fill = fill.fill
                self._bound(fill)
            else:
                fill = self._shared_fill(scheme, shape, dtype)
        except SpecError as error:
            raise self._placed_in_model(error, name) from error
        self.plans.append(
            TensorPlan(
                name,
                shape,
                dtype,
                scheme,
                fill,
                elements,
                guessed=name in guessed and not by_rule,
                known_fans=fans,
            )
        )

    def refuse_rules_of_file_names(self) -> None:
        """A rule that speaks of a framework's own names would silently do nothing."""
        if self._framework == "torch":
            return
        named = [(plan.name, plan.origin) for plan in self.plans if plan.origin]
        streams = [*self._streams, *(plan.name for plan in self.plans if plan.origin is None)]
        for index in self.rules.without(streams):
            for name, origin in named:
                if self.rules.is_about(index, name):
                    raise SpecError(
                        f"rules match PyTorch's names in every framework: {name!r} is "
                        f"{' and '.join(map(repr, origin.parameters))} there",
                        ("rules", index, "match"),
                    )

    def _decide(self, layer: Layer, parameter: Parameter, stream: str, index: int) -> _Decided:
        if self._framework != "torch":
            self._claim(stream, ("layer", index), self._streams)
        count_elements(parameter.shape)
        scheme, dtype, _ = self._scheme_and_dtype(
            parameter, stream, layer.chosen(parameter)[0], layer.dtype or self._dtype
        )
        fill = _fill(scheme, parameter.shape, dtype, lambda: parameter.fill(scheme, stream))
        self._bound(fill)
        array = Array(fill, parameter.shape, (stream,), parameter.name)
        return _Decided(array, dtype, scheme, _fans(scheme, parameter))

    def _scheme_and_dtype(
        self, parameter: Parameter, name: str, own: Scheme, default: FloatCode
    ) -> tuple[Scheme, Dtype, bool]:
        """What fills a parameter, in which dtype, and whether a rule says how it is filled."""
        init, code = self.rules.apply(name)
        dtype = DTYPES[code or parameter.dtype or default]
        if parameter.dtype is not None and not DTYPES[parameter.dtype].is_float:
            # A counter, which no change to all weights is meant for.
            if dtype.is_float:
                dtype = DTYPES[parameter.dtype]
            if init and not _holds(init, parameter.shape, dtype):
                init = None
        return init or own, dtype, init is not None

    def _shared_fill(self, scheme: Scheme, shape: Shape, dtype: Dtype) -> Fill:
        """The fill of a scheme for a shape: one for all tensors that are alike."""
        key = (scheme.spelling, shape, dtype.code)
        if (fill := self._fills.get(key)) is None:
            fill = self._fills[key] = _fill(scheme, shape, dtype)
            self._bound(fill)
        return fill

    def _store(
        self, layer: Layer, stored: Stored, decided: Mapping[str, _Decided], index: int
    ) -> None:
        name = file_name(layer.name, stored, self._framework)
        sources = stored.array.sources or tuple(decided)[:1]
        if all(map(self.rules.drops, sources)):
            return
        self._claim(name, ("layer", index))
        self._limits.require("max_rank", len(stored.array.shape), "dimensions")
        first = decided[sources[0]]
        for other in sources[1:]:
            if decided[other].dtype is not first.dtype:
                raise SpecError(
                    f"{name!r} is made of {sources[0]!r} and {other!r}, which have different "
                    f"dtypes: {first.dtype.code} and {decided[other].dtype.code}",
                    ("dtype",),
                )
        fill = stored.array.fill
        fill.check(first.dtype)
        if isinstance(fill, Named) and fill.name == name:
            fill = fill.fill
        origin = Origin(layer.type, stored.array.sources, stored.array.text, first.fans)
        self.plans.append(
            TensorPlan(
                name,
                stored.array.shape,
                first.dtype,
                first.scheme,
                fill,
                stored.array.size,
                origin,
            )
        )

    def _claim(
        self, name: str, place: tuple[str, int], places: dict[str, tuple[str, int]] | None = None
    ) -> None:
        """Refuse a name that is taken."""
        places = self._places if places is None else places
        if (first := places.setdefault(name, place)) is not place:
            raise SpecError(f"{name!r} also names {first[0]} {first[1]}", ("name",))
        if places is self._streams and (first := self._places.get(name, place))[0] == "tensor":
            raise SpecError(f"{name!r} also names {first[0]} {first[1]}", ("name",))
        self._limits.require("max_name_bytes", len(name.encode()), "bytes of tensor name")

    def _bound(self, fill: Fill) -> None:
        """Refuse a matrix that is too large to be made as a whole."""
        if elements := fill.dense_elements:
            self._limits.require("max_dense_elements", elements, "elements made as a whole")
            self._limits.require(
                "max_dense_bytes", fill.dense_bytes, "bytes to make a matrix as a whole"
            )

    def _placed_in_model(self, error: SpecError, name: str) -> SpecError:
        """An error of a model's parameter, seen from the spec: a rule decided, or the model."""
        what = "init" if error.path[:1] == ("shape",) else next(iter(error.path), "init")
        rule = self.rules.source(name, what)
        place: Path = ("model",) if rule is None else ("rules", rule, what, *error.path[1:])
        return type(error)(f"{error.message} ({name!r})", place, error.allowed)

    def _placed_in_layer(
        self, error: SpecError, layer: Layer, parameter: Parameter, index: int
    ) -> SpecError:
        """An error of one parameter, seen from the spec: what decided, a rule or the layer."""
        stream = f"{layer.name}.{parameter.name}"
        what, *rest = error.path
        field = "init" if what == "shape" else what  # the scheme is what takes no such shape
        path: Path = (field, *rest)
        if (rule := self.rules.source(stream, field)) is not None:
            place: Path = ("rules", rule)
        else:
            place = ("layers", index)
            if field == "init":
                _, key = layer.chosen(parameter)
                path = () if key is None else ("init", key, *rest)
        return type(error)(f"{error.message} ({stream!r})", (*place, *path), error.allowed)


def file_name(layer: str, stored: Stored, framework: Framework) -> str:
    """The name in the file of a layer's tensor."""
    name = f"{layer}{stored.suffix}"
    if framework == "keras":
        return f"{name}/{stored.name}"
    dotted = f"{name}.{stored.name.replace('/', '.')}"
    return f"{stored.collection}.{dotted}" if framework == "flax" else dotted


def _fans(scheme: Scheme, parameter: Parameter) -> Fans | None:
    """The fans that a scheme used, if it uses any."""
    rows = parameter.shape[0] // parameter.gates if parameter.shape else 0
    shape = (rows, *parameter.shape[1:]) if parameter.shape else ()
    return scheme.fans(shape, parameter.fans_for(scheme))


def _holds(scheme: Scheme, shape: Shape, dtype: Dtype) -> bool:
    """Whether a scheme can fill a tensor of this dtype."""
    try:
        _fill(scheme, shape, dtype)
    except SpecError:
        return False
    return True


def _fill(
    scheme: Scheme, shape: Shape, dtype: Dtype, make: Callable[[], Fill] | None = None
) -> Fill:
    """The fill of a scheme for a shape, once it is known that the dtype can hold it."""
    try:
        fill = scheme.fill(shape) if make is None else make()
    except ParameterProblem as problem:
        if problem.parameter in type(scheme).model_fields:
            raise ParameterError(problem.message, ("init", problem.parameter)) from problem
        raise ParameterError(
            f"{scheme.scheme} makes no draws for shape {list(shape)}: {problem.message}", ("init",)
        ) from problem
    fill.check(dtype)
    return fill


def _placed(error: SpecError, place: Path, name: str, rules: Rules) -> SpecError:
    """An error of one tensor, seen from the spec: in the tensor, or in the rule that decided."""
    rule = rules.source(name, error.path[0])
    if rule is None:
        return error.within(*place)
    named = type(error)(f"{error.message} ({name!r})", error.path, error.allowed)
    return named.within("rules", rule)
