"""What rules and `same_as` come to, name by name, before anything is planned.

The plan follows these decisions, and so does the canonical spec, which leaves out rules that decide
nothing. Names are those of random streams: of a layer's parameters PyTorch's, in every framework.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from seedbed.errors import ParameterError, Path, SpecError
from seedbed.init.fill import Fill
from seedbed.init.globs import matcher
from seedbed.init.layers import Framework, Layer, Parameter
from seedbed.init.rules import NOTHING, Rule, Rules, Said
from seedbed.init.schemes import Scheme, Shape
from seedbed.init.tensors import TensorSpec
from seedbed.stream import DTYPES, Dtype, ParameterProblem

_PART = {"init": "fill", "same_as": "fill"}
"""What of a name these fields decide together; others have one each."""

_NEAR = 3
"""Names that an error proposes."""

_COMPLAINTS = 5
"""Rules that decide nothing which are told of at once."""

_COMPARED = 1000
"""Names that are compared for that: each takes some microseconds."""


class Subject(NamedTuple):
    """What has a name of its own, and so a random stream.

    Attributes:
        name: of the stream.
        place: in the spec.
        of: the tensor or parameter.
        layer: that it is a parameter of, if it is one.
    """

    name: str
    place: Path
    of: TensorSpec | Parameter
    layer: Layer | None = None

    @property
    def same_as(self) -> str | None:
        """The name that it says it is equal to."""
        return self.layer.equal_of(self.of.name) if self.layer else self.of.same_as

    @property
    def init(self) -> Scheme | None:
        """How it is filled if no rule says so."""
        if self.layer is not None and isinstance(self.of, Parameter):
            return self.layer.chosen(self.of)[0]
        return self.of.init

    @property
    def is_counter(self) -> bool:
        """Whether it is an integer by its nature, which no change to all weights is meant for."""
        code = self.of.dtype
        return isinstance(self.of, Parameter) and code is not None and not DTYPES[code].is_float


class Decisions:
    """The decisions about every name of a spec.

    Args:
        rules: in their order.
        tensors: of their own.
        layers: by whose parameters' names rules speak.
        model: parameters of a model.
        framework: that stores the layers.
        place_in_model: where in the spec a parameter of the model is said, by its name.

    Raises:
        SpecError: a tensor is said to equal one that there is not, that has another shape, or
            itself.
    """

    def __init__(
        self,
        rules: Sequence[Rule] = (),
        tensors: Sequence[TensorSpec] = (),
        layers: Sequence[Layer] = (),
        model: Sequence[Parameter] = (),
        framework: Framework = "torch",
        place_in_model: Callable[[str], Path] = lambda _: ("model",),
    ) -> None:
        self.place_in_model = place_in_model
        self.rules = rules
        self._framework = framework
        self.changed = [0] * len(rules)
        self._deciding: set[tuple[int, str]] = set()  # rules with what of them decides something
        self._heard: set[int] = set()  # rules that are the last to say something of some name
        self._compiled = Rules(rules)
        self._spec = (tensors, layers, model)
        self._said: dict[str, Said] = {}
        self._equal: dict[str, str] = {}
        self._roots: dict[str, Subject] = {}
        if rules or any(tensor.same_as for part in self._spec for tensor in part):
            self._decide()

    def said(self, name: str) -> Said:
        """What the rules say of a name."""
        return self._said.get(name, NOTHING)

    def root(self, name: str) -> Subject | None:
        """What a name is equal to in the end, if it is said to equal anything."""
        return self._roots.get(name)

    def leaves_alone(self, name: str) -> bool:
        """Whether nothing is said of a name, by a rule or `same_as`."""
        return name not in self._said and name not in self._roots

    def drops(self, name: str) -> bool:
        """Whether a name is left out."""
        drop = self.said(name).drop
        return drop is not None and bool(self.rules[drop].drop)

    def _overruled(self, keep: int, name: str) -> Iterator[int]:
        """The rules that would drop a name, but for a later one that keeps it."""
        earlier = enumerate(self.rules[:keep])
        return (i for i, rule in earlier if rule.drop and self._compiled.match(i, name))

    def source(self, name: str, field: str | int) -> Path | None:
        """Where the rule says what it does that decided `init`, `dtype` or `drop` of a name."""
        said = self.said(name)
        if field == "dtype" and said.dtype is not None:
            return ("rules", said.dtype, "dtype")
        if field == "drop" and said.drop is not None:
            return ("rules", said.drop, "drop")
        if field == "init" and said.fill is not None:
            return ("rules", said.fill, "init" if said.same_as is None else "same_as")
        return None

    def is_about(self, index: int, name: str) -> bool:
        """Whether the pattern of a rule matches a name."""
        return self._compiled.match(index, name)

    @property
    def idle(self) -> list[int]:
        """The rules of which a part decides nothing and that do not say that it may."""
        pairs = enumerate(self.rules)
        return [i for i, rule in pairs if not rule.optional and self.without_effect(i)]

    def without_effect(self, index: int) -> list[str]:
        """The fields of a rule by which it decides nothing."""
        rule = self.rules[index]
        fields = ("init", "same_as", "dtype", "drop")
        said = [field for field in fields if getattr(rule, field) is not None]
        return [field for field in said if (index, _PART.get(field, field)) not in self._deciding]

    @property
    def heard(self) -> list[int]:
        """The rules that are the last to say something of some name, in order.

        Without the others no name would be told anything else. Some of these decide nothing and
        yet keep an earlier rule from deciding: what is said of a counter and does not apply to it,
        or of what is dropped.
        """
        return sorted(self._heard)

    def complaints(self) -> Iterator[SpecError]:
        """What is wrong with rules that decide nothing and do not say that they may.

        With the names that are nearest to their patterns, of no more than a few rules.
        """
        for index in self.idle[:_COMPLAINTS]:
            rule = self.rules[index]
            names = [subject.name for subject in self._subjects()]
            matched = sum(self._compiled.match(index, name) for name in names)
            idle = self.without_effect(index)
            field = "match"
            near: Sequence[str] = ()
            if not matched:
                said, near = f"{rule.match!r} matches no tensor", _nearest(rule.match, names)
            else:
                what = "decides nothing"
                if self.changed[index]:
                    field = idle[0]
                    what = f"decides nothing by its {' and '.join(idle)}"
                said = f"{rule.match!r} matches {matched:,} of the names and {what}: " + (
                    "no earlier rule drops them"
                    if rule.drop is False and idle == ["drop"]
                    else "later rules overrule it, or what it matches is dropped; tensors of their "
                    "own are not"
                )
                if self._framework != "torch":
                    said += f"; {self._framework} stores no num_batches_tracked"
            yield SpecError(f'{said}; with "optional": true it may', ("rules", index, field), near)

    def _subjects(self) -> Iterator[Subject]:
        tensors, layers, model = self._spec
        for i, tensor in enumerate(tensors):
            yield Subject(tensor.name, ("tensors", i), tensor)
        for i, layer in enumerate(layers):
            for parameter in layer.parameters():
                yield Subject(f"{layer.name}.{parameter.name}", ("layers", i), parameter, layer)
        for parameter in model:
            yield Subject(parameter.name, ("model",), parameter)

    def _decide(self) -> None:
        dropped: dict[str, int | None] = {}  # with the rule that filled them
        for subject in self._subjects():
            said = self._say(subject)
            if said is not NOTHING:
                self._said[subject.name] = said
            if said.same_as is not None:
                self._equal[subject.name] = said.same_as
            elif said.fill is None and (other := subject.same_as) is not None:
                self._equal[subject.name] = other
            if not self._is_stored(subject):
                dropped[subject.name] = said.fill
            elif self.drops(subject.name):
                dropped[subject.name] = said.fill
                self._count(drop=said.drop)
            else:
                self._count(fill=said.fill, dtype=said.dtype, drop=said.drop)
        if self._equal:
            self._resolve(dropped)

    def _is_stored(self, subject: Subject) -> bool:
        """Whether the framework has such a thing in its files: only PyTorch has counters."""
        return self._framework == "torch" or not (subject.layer and subject.is_counter)

    def _count(self, **deciding: int | None) -> None:
        """Count a name for the rules that decide these parts of it."""
        parts = {(rule, part) for part, rule in deciding.items() if rule is not None}
        self._deciding |= parts
        for rule in {rule for rule, _ in parts}:
            self.changed[rule] += 1

    def _say(self, subject: Subject) -> Said:
        """What the rules say, as far as it applies to what has the name."""
        said = self._compiled.say(subject.name)
        if isinstance(subject.of, TensorSpec) and said.drop is not None:
            said = said._replace(drop=None)
        self._heard.update(i for i in (said.fill, said.dtype, said.drop) if i is not None)
        if said.drop is not None and not self.rules[said.drop].drop:
            self._heard.update(self._overruled(said.drop, subject.name))
        if isinstance(subject.of, TensorSpec):
            return said
        if said is NOTHING or not subject.is_counter:
            return said
        code = None if said.dtype is None else self.rules[said.dtype].dtype
        if code is not None and DTYPES[code].is_float:
            code, said = None, said._replace(dtype=None)
        init = None if said.fill is None else self.rules[said.fill].init
        dtype = DTYPES[code or subject.of.dtype or "I64"]
        if init is not None and not _holds(init, subject.of.shape, dtype):
            said = said._replace(fill=None)
        return said

    def _resolve(self, dropped: Mapping[str, int | None]) -> None:
        """Follow every name to what it is equal to in the end."""
        subjects = {subject.name: subject for subject in self._subjects()}
        counted: set[str] = set()
        for name in sorted(self._equal, key=dropped.__contains__):  # first what is in the file
            path: dict[str, None] = {}
            at = name
            while at in self._equal and at not in self._roots:
                if at in path:
                    raise self._wrong(subjects[name], f"{name!r} would be equal to itself")
                path[at] = None
                at = self._equal[at]
            root = self._roots.get(at) or subjects.get(at)
            if root is None:
                *_, last = path
                raise self._wrong(
                    subjects[last],
                    f"there is no tensor {at!r} to be equal to",
                    difflib.get_close_matches(at[:100], [*subjects][:_COMPARED], _NEAR),
                )
            for member in path:
                if subjects[member].of.shape != root.of.shape:
                    shapes = [list(each.of.shape) for each in (subjects[member], root)]
                    raise self._wrong(
                        subjects[member],
                        f"{member!r} has the shape {shapes[0]} and {root.name!r}, which it is to "
                        f"be equal to, {shapes[1]}",
                    )
                self._roots[member] = root
            if name not in dropped:
                for member in {*path, root.name}.intersection(dropped) - counted:
                    counted.add(member)
                    self._count(fill=dropped[member])

    def _wrong(self, subject: Subject, message: str, near: Sequence[str] = ()) -> SpecError:
        """An error where it is said what a subject is equal to."""
        return SpecError(message, self.place_of_equal(subject), near)

    def place_of_equal(self, subject: Subject) -> Path:
        """Where it is said what a subject is equal to."""
        of_model = subject.place == ("model",)
        place = self.place_in_model(subject.name) if of_model else subject.place
        return self.source(subject.name, "init") or (*place, "same_as")


def fill_for(
    scheme: Scheme, shape: Shape, dtype: Dtype, make: Callable[[], Fill] | None = None
) -> Fill:
    """The fill of a scheme for a shape, once it is known that the dtype can hold it.

    Args:
        scheme: that fills it.
        shape: in PyTorch's order.
        dtype: of the elements.
        make: in place of the scheme's own `fill`.

    Raises:
        ParameterError: the scheme's parameters do not go together, the dtype is too narrow, or the
            elements fill no whole bytes.
        ShapeError: the scheme takes no such shape.
    """
    try:
        fill = scheme.fill(shape) if make is None else make()
        fill.check(dtype)
    except ParameterProblem as problem:
        if problem.parameter in type(scheme).model_fields:
            raise ParameterError(problem.message, ("init", problem.parameter)) from problem
        raise ParameterError(
            f"{scheme.scheme} makes no draws for shape {list(shape)}: {problem.message}", ("init",)
        ) from problem
    if (elements := math.prod(shape)) % dtype.per_unit:
        raise ParameterError(
            f"{elements:,} elements of {dtype.bits} bits fill no whole bytes: {dtype.code} comes "
            f"in multiples of {dtype.per_unit}",
            ("dtype",),
        )
    return fill


def _holds(scheme: Scheme, shape: Shape, dtype: Dtype) -> bool:
    """Whether a scheme can fill a tensor of this dtype."""
    try:
        fill_for(scheme, shape, dtype)
    except SpecError:
        return False
    return True


def _nearest(pattern: str, names: Sequence[str]) -> Sequence[str]:
    """Names that a pattern was perhaps meant to match.

    Parts between dots that no name has are read as the nearest that some name has; if nothing
    matches even so, it is names that look like the pattern.
    """
    some = names[:_COMPARED]
    parts = {part: None for name in some for part in name.split(".")}
    likely = [
        part if part in parts else (difflib.get_close_matches(part, parts, 1) or [part])[0]
        for part in pattern[:200].split(".")
    ]
    match = matcher(".".join(likely))
    matching = [name for name in some if match(name) is not None][:_NEAR]
    return matching or difflib.get_close_matches(pattern[:100], some, _NEAR, 0.4)
