"""Which tensors a spec names, and what fills each of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import NamedTuple

from seedbed.errors import Path, SpecError
from seedbed.init.arrays import Array
from seedbed.init.decisions import Decisions, Subject, fill_for
from seedbed.init.fill import Fill
from seedbed.init.layers import Framework, Layer, Parameter, Stored
from seedbed.init.limits import Limits
from seedbed.init.names import count_elements
from seedbed.init.rules import Rule
from seedbed.init.schemes import Fans, Scheme, Shape
from seedbed.init.tensors import TensorSpec
from seedbed.init.views import Named
from seedbed.stream import DTYPES, Dtype, DtypeCode, FloatCode


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
        same_as: name of the stream that it draws from, if it is said to equal what has that name.
        view_of: name of the weight that it is stored for, if it is a part of a quantised one:
            its codes, whose scheme is the weight's, or what stands beside them.
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
    same_as: str | None = None
    view_of: str | None = None

    @property
    def size_bytes(self) -> int:
        """Bytes of all elements."""
        return self.dtype.bytes_of(self.elements)

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
    unsaid: AbstractSet[str] = frozenset(),
    decisions: Callable[[], Decisions] | None = None,
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
        unsaid: which of those have none.
        decisions: about these names, if somebody keeps them; asked for once limits are held.

    Raises:
        SpecError: with the place in the spec: `("tensors", 0, "shape")`, `("rules", 0, "init")`.
        LimitError: too many tensors or dimensions, or too long a name.
    """
    limits.require("max_tensors", len(tensors) + len(layers) + len(model), "tensors and layers")
    limits.require("max_rules", len(rules), "rules")
    decided = decisions() if decisions else Decisions(rules, tensors, layers, model, framework)
    planner = _Planner(decided, dtype, limits, framework)
    faults = _Faults()
    for i, tensor in enumerate(tensors):
        try:
            planner.add(tensor, i)
        except SpecError as error:
            faults.add(_placed(error, ("tensors", i), tensor.name, decided))
    for i, layer in enumerate(layers):
        with faults:
            planner.add_layer(layer, i)
    for parameter in model:
        with faults:
            planner.add_of_model(parameter, guessed, unsaid)
    faults.check()
    planner.refuse_rules_of_file_names()
    for complaint in decided.complaints():
        faults.add(complaint)
    faults.check()
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


class _How(NamedTuple):
    """How a tensor or parameter is filled.

    Attributes:
        root: whose draw it is: its own, unless it is said to equal another.
        scheme: that fills this.
        dtype: of its own elements.
        by_rule: whether a rule says the scheme.
        same_as: name of the root, where that is another.
    """

    root: Subject
    scheme: Scheme
    dtype: Dtype
    by_rule: bool
    same_as: str | None


class _Draft(NamedTuple):
    """What a tensor comes to, but for its name.

    Attributes:
        shape: in the file.
        dtype: of the elements.
        scheme: that was asked for.
        fill: that it came to.
        elements: product of the shape.
        known_fans: see `TensorPlan`.
        same_as: likewise.
        by_rule: whether a rule says the scheme.
    """

    shape: Shape
    dtype: Dtype
    scheme: Scheme
    fill: Fill
    elements: int
    known_fans: Fans | None
    same_as: str | None
    by_rule: bool

    def named(self, name: str, *, guessed: bool = False) -> TensorPlan:
        """The plan of a tensor of this name."""
        return TensorPlan(
            name,
            self.shape,
            self.dtype,
            self.scheme,
            self.fill,
            self.elements,
            guessed=guessed,
            known_fans=self.known_fans,
            same_as=self.same_as,
        )


@dataclass(frozen=True, slots=True)
class _Decided:
    """A parameter of a layer: everything but how the file stores it."""

    array: Array
    how: _How
    fans: Fans | None


class _Planner:
    """A plan under way."""

    def __init__(
        self, decisions: Decisions, dtype: FloatCode, limits: Limits, framework: Framework
    ) -> None:
        self.decisions = decisions
        self.plans: list[TensorPlan] = []
        self._dtype = dtype
        self._limits = limits
        self._framework = framework
        self._fills: dict[tuple[str, Shape, str], Fill] = {}
        self._drafts: dict[tuple[int, Shape, DtypeCode | None], _Draft] = {}
        self._places: dict[str, tuple[str, int]] = {}  # of names in the file
        self._streams: dict[str, tuple[str, int]] = {}  # and of layers' parameters, if others

    def add(self, tensor: TensorSpec, index: int) -> None:
        """Decide a tensor of its own."""
        self._claim(tensor.name, ("tensor", index))
        self._limits.require("max_rank", len(tensor.shape), "dimensions")
        self.plans.append(self._draft(tensor, tensor.name, "tensors", index).named(tensor.name))

    def add_layer(self, layer: Layer, index: int) -> None:
        """Decide the parameters of a layer, then store them as the framework does."""
        self._refuse_unstored(layer, index)
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
        arrays = {name[len(layer.name) + 1 :]: decision.array for name, decision in decided.items()}
        try:
            for stored in layer.stored(self._framework, arrays):
                self._store(layer, stored, decided, index)
        except SpecError as error:
            if error.path[:1] == ("rules",):
                raise
            raise error.within("layers", index) from error

    def _refuse_unstored(self, layer: Layer, index: int) -> None:
        """Refuse what a layer says of a parameter that only PyTorch stores."""
        if self._framework == "torch":
            return
        equal = layer.same_as if isinstance(layer.same_as, dict) else {}
        for field, said in (("init", layer.init), ("same_as", equal)):
            for parameter in layer.parameters() if said else ():
                subject = Subject(parameter.name, (), parameter, layer)
                if parameter.name in said and subject.is_counter:
                    raise SpecError(
                        f"{self._framework} stores no {parameter.name}",
                        ("layers", index, field, parameter.name),
                    )

    def add_of_model(
        self, parameter: Parameter, guessed: AbstractSet[str], unsaid: AbstractSet[str]
    ) -> None:
        """Decide a parameter of a model, whose names and layouts are those of the file."""
        name = parameter.name
        if self.decisions.drops(name):
            return
        self._limits.require("max_rank", len(parameter.shape), "dimensions")
        try:
            self._claim(name, ("tensor of the model", len(self.plans)))
            draft = self._draft(parameter, name, "model")
        except SpecError as error:
            raise self._placed_in_model(error, name) from error
        is_guess = not draft.by_rule and (draft.same_as or name) in guessed
        if is_guess:
            self._refuse_trap(draft, name, unsaid)
        self.plans.append(draft.named(name, guessed=is_guess))

    def _draft(self, of: TensorSpec | Parameter, name: str, *place: str | int) -> _Draft:
        """What a tensor comes to: looked at once for all that are alike, of which many have many.

        Alike are those of one scheme, shape and dtype of which nothing is said by name.
        """
        alike = None
        if _is_plain(of) and self.decisions.leaves_alone(name):
            alike = (id(of.init), of.shape, of.dtype)  # which the spec keeps alive
            if (draft := self._drafts.get(alike)) is not None:
                return draft
        elements = count_elements(of.shape)
        how = self._how(Subject(name, place, of))
        fill = _unnamed(self._fill(how), name)
        draft = _Draft(
            of.shape,
            how.dtype,
            how.scheme,
            fill,
            elements,
            _known_fans(how),
            how.same_as,
            how.by_rule,
        )
        if alike is not None:
            self._drafts[alike] = draft
        return draft

    def _refuse_trap(self, draft: _Draft, name: str, unsaid: AbstractSet[str]) -> None:
        """Refuse a tensor of which a guess would look right and be wrong."""
        made_whole = self.decisions.said(name).dtype is not None and not draft.dtype.is_float
        if (draft.same_as or name) in unsaid or made_whole:
            raise SpecError(
                f"nothing says what {name!r} holds, and its name and dtype allow no guess: give it "
                "an init (of integers, perhaps random_integers) or same_as, or a rule that does; "
                "or leave it out, if the model makes it",
                self.decisions.place_in_model(name),
            )

    def refuse_rules_of_file_names(self) -> None:
        """A rule that speaks of a framework's own names would silently do nothing."""
        if self._framework == "torch":
            return
        named = [(plan.name, plan.origin) for plan in self.plans if plan.origin]
        streams = [stream for _, origin in named for stream in origin.parameters]
        for index in self.decisions.idle:
            if any(self.decisions.is_about(index, stream) for stream in streams):
                continue
            for name, origin in named:
                if self.decisions.is_about(index, name):
                    raise SpecError(
                        f"rules match PyTorch's names in every framework: {name!r} is "
                        f"{' and '.join(map(repr, origin.parameters))} there",
                        ("rules", index, "match"),
                    )

    def _decide(self, layer: Layer, parameter: Parameter, stream: str, index: int) -> _Decided:
        if self._framework != "torch":
            self._claim(stream, ("layer", index), self._streams)
        count_elements(parameter.shape)
        how = self._how(Subject(stream, ("layers", index), parameter, layer))
        array = Array(self._fill(how), parameter.shape, (stream,), parameter.name)
        return _Decided(array, how, _fans(how.scheme, how.root.of))

    def _how(self, subject: Subject) -> _How:
        """What fills a tensor or parameter, in which dtype."""
        rules, said = self.decisions.rules, self.decisions.said
        rule = said(subject.name).dtype
        code = None if rule is None else rules[rule].dtype
        of_layer = subject.layer.dtype if subject.layer else None
        dtype = DTYPES[code or subject.of.dtype or of_layer or self._dtype]
        root = self.decisions.root(subject.name) or subject
        rule = said(root.name).fill
        init = None if rule is None else rules[rule].init
        scheme = init or root.init
        if scheme is None:
            raise SpecError(
                f"nothing says how to fill {root.name!r}: it has no init and no rule with "
                "an init matches it",
                ("init",),
            )
        self._limits.require("max_literal_elements", scheme.listed, "numbers of one literal")
        same_as = None if root is subject else root.name
        return _How(root, scheme, dtype, init is not None, same_as)

    def _fill(self, how: _How) -> Fill:
        """The fill of a root, from its stream: named, if that is not the tensor's own."""
        of, name, scheme = how.root.of, how.root.name, how.scheme
        if isinstance(of, TensorSpec) or (how.root.layer is None and _is_plain(of)):
            shared = self._shared_fill(scheme, of.shape, how.dtype)
            return shared if how.same_as is None else Named(shared, name)
        fill = fill_for(scheme, of.shape, how.dtype, lambda: of.fill(scheme, name))
        self._bound(fill)
        return fill

    def _shared_fill(self, scheme: Scheme, shape: Shape, dtype: Dtype) -> Fill:
        """The fill of a scheme for a shape: one for all tensors that are alike."""
        key = (scheme.spelling, shape, dtype.code)
        if (fill := self._fills.get(key)) is None:
            fill = self._fills[key] = fill_for(scheme, shape, dtype)
            self._bound(fill)
        return fill

    def _store(
        self, layer: Layer, stored: Stored, decided: Mapping[str, _Decided], index: int
    ) -> None:
        name = file_name(layer.name, stored, self._framework)
        sources = stored.array.sources or tuple(decided)[:1]
        if dropped := [source for source in sources if self.decisions.drops(source)]:
            if left := next((source for source in sources if source not in dropped), None):
                raise SpecError(
                    f"{name!r} is made of {dropped[0]!r}, which is dropped, and {left!r}, which is "
                    f"not: in {self._framework} they are there together or not at all",
                    self.decisions.source(dropped[0], "drop") or ("rules",),
                )
            return
        self._claim(name, ("layer", index))
        self._limits.require("max_rank", len(stored.array.shape), "dimensions")
        first = decided[sources[0]]
        for other in sources[1:]:
            if decided[other].how.dtype is not first.how.dtype:
                raise SpecError(
                    f"{name!r} is made of {sources[0]!r} and {other!r}, which have different "
                    f"dtypes: {first.how.dtype.code} and {decided[other].how.dtype.code}",
                    ("dtype",),
                )
        stored.array.fill.check(first.how.dtype)
        self.plans.append(
            TensorPlan(
                name,
                stored.array.shape,
                first.how.dtype,
                first.how.scheme,
                _unnamed(stored.array.fill, name),
                stored.array.size,
                Origin(layer.type, stored.array.sources, stored.array.text, first.fans),
                same_as=first.how.same_as if len(sources) == 1 else None,
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
        rule = self.decisions.source(name, what)
        place: Path = ("model",) if rule is None else (*rule, *error.path[1:])
        return type(error)(f"{error.message} ({name!r})", place, error.allowed)

    def _placed_in_layer(
        self, error: SpecError, layer: Layer, parameter: Parameter, index: int
    ) -> SpecError:
        """An error of one parameter, seen from the spec: what decided, a rule or the layer."""
        stream = f"{layer.name}.{parameter.name}"
        what, *rest = error.path
        field = "init" if what == "shape" else what  # the scheme is what takes no such shape
        path: Path = (field, *rest)
        if (rule := self.decisions.source(stream, field)) is not None:
            place: Path = (*rule, *rest)
            path = ()
        else:
            place = ("layers", index)
            if field == "init" and layer.equal_of(parameter.name) is not None:
                path = ("same_as",)
            elif field == "init":
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


def _is_plain(of: TensorSpec | Parameter) -> bool:
    """Whether scheme, shape and dtype say all of how it is filled."""
    return isinstance(of, TensorSpec) or not (of.blocks or of.fans or of.gates > 1)


def _unnamed(fill: Fill, name: str) -> Fill:
    """A fill without the name of its stream, where that is the name in the file."""
    return fill.fill if isinstance(fill, Named) and fill.name == name else fill


def _known_fans(how: _How) -> Fans | None:
    """The fans that a root knows where the shape would mislead."""
    of = how.root.of
    is_plain = isinstance(of, TensorSpec) or not (of.fans or of.gates > 1)
    return None if is_plain else _fans(how.scheme, of)


def _fans(scheme: Scheme, of: TensorSpec | Parameter) -> Fans | None:
    """The fans that a scheme used, if it uses any."""
    if isinstance(of, TensorSpec):
        return scheme.fans(of.shape)
    rows = of.shape[0] // of.gates if of.shape else 0
    shape = (rows, *of.shape[1:]) if of.shape else ()
    return scheme.fans(shape, of.fans_for(scheme))


def _placed(error: SpecError, place: Path, name: str, decisions: Decisions) -> SpecError:
    """An error of one tensor, seen from the spec: in the tensor, or in the rule that decided."""
    rule = decisions.source(name, error.path[0])
    if rule is None and decisions.root(name) is not None and error.path[:1] != ("dtype",):
        return type(error)(error.message, (*place, "same_as"), error.allowed)
    if rule is None:
        return error.within(*place)
    return type(error)(f"{error.message} ({name!r})", (*rule, *error.path[1:]), error.allowed)
