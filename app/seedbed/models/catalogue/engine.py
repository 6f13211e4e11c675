"""From a config to its tensors: loops over layers and experts, conditions, dimensions, inits."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from seedbed.errors import LimitError, ParameterError, SpecError, respelt
from seedbed.init import DIMENSION_MAX, SCHEMES, Block, Parameter, Scheme, scheme
from seedbed.models.base import Model
from seedbed.models.catalogue.expressions import Evaluator, compile_expression, place
from seedbed.models.catalogue.settling import Settled
from seedbed.models.catalogue.store import index, load
from seedbed.models.config import dtype_of
from seedbed.models.kept import kept

Json = Mapping[str, Any]
Scope = dict[str, Any]
INDICES = ("i", "j", "k", "l")
MAX_TENSORS = 1_000_000


@dataclass(frozen=True, slots=True)
class _Expression:
    """An expression, and whether it must be evaluated again in each turn of the innermost loops."""

    evaluate: Evaluator
    depth: int
    text: str

    @classmethod
    def of(cls, text: str) -> _Expression:
        names = set(re.findall(r"\b[ijkl]\b", re.sub(r"'[^']*'", "", text)))
        depth = max((INDICES.index(name) + 1 for name in names), default=0)
        return cls(compile_expression(text), depth, text)


@dataclass(frozen=True, slots=True)
class _Case:
    """One way in which a tensor starts, and when."""

    when: _Expression
    scheme: str | None
    parameters: Any
    numbers: tuple[_Expression, ...]
    row: _Expression | None


@dataclass(frozen=True, slots=True)
class _Pattern:
    """All tensors of one name but for the numbers in it."""

    parts: tuple[str, ...]
    when: _Expression
    shape: tuple[_Expression, ...]
    dtype: Any
    cases: tuple[_Case, ...]


@dataclass(frozen=True, slots=True)
class _Loop:
    """A number in names: where it starts and ends, and what is inside, in order."""

    start: _Expression
    stop: _Expression
    inside: tuple[_Pattern | _Loop, ...]


class _Program:
    """One class, ready to run."""

    def __init__(self, data: Json, architecture: str) -> None:
        self.settled = Settled(data, architecture)
        self.architecture = architecture
        entry = data["classes"][architecture]
        cases = [tuple(self._case(case) for case in cases) for cases in entry["inits"]]
        patterns = [
            (
                name,
                _Pattern(
                    tuple(name.split("*")),
                    _Expression.of(when),
                    tuple(_Expression.of(text) for text in shape),
                    dtype or None,
                    cases[init],
                ),
            )
            for name, when, shape, dtype, init in entry["tensors"]
        ]
        self._passes = entry.get("passes", {})
        self.body = self._nest(patterns, "", entry["loops"])

    @staticmethod
    def _case(case: Json) -> _Case:
        row = case.get("row")
        numbers: list[_Expression] = []

        def compiled(value: Any) -> Any:
            if isinstance(value, str) and value[:1] == "=":
                numbers.append(_Expression.of(value[1:]))
                return numbers[-1]
            if isinstance(value, dict):
                return {key: compiled(part) for key, part in value.items()}
            return [compiled(part) for part in value] if isinstance(value, list) else value

        parameters = compiled(case.get("with", {}))
        return _Case(
            _Expression.of(case.get("when", "True")),
            case.get("scheme"),
            parameters,
            tuple(numbers),
            None if row is None else _Expression.of(row),
        )

    def _nest(
        self, patterns: Sequence[tuple[str, _Pattern]], prefix: str, loops: Json
    ) -> tuple[_Pattern | _Loop, ...]:
        """Patterns with their loops around them, in order of first appearance.

        Some have a loop of their own: the library writes them for all indices, then the others.
        """
        inside: dict[Any, Any] = {}
        depth = prefix.count("*")
        for name, pattern in patterns:
            if name.count("*") == depth:
                # One name may stand for two kinds, such as a norm here and a convolution there.
                inside[name, len(inside)] = pattern
            else:
                loop = "*".join(name.split("*")[: depth + 1])
                number = self._passes.get(loop, {}).get(name, 0)
                inside.setdefault((loop, number), []).append((name, pattern))
        items: list[_Pattern | _Loop] = []
        for (key, _), value in inside.items():
            if isinstance(value, list):
                start, stop = loops[key]
                items.append(
                    _Loop(
                        _Expression.of(start),
                        _Expression.of(stop),
                        self._nest(value, f"{key}*", loops),
                    )
                )
            else:
                items.append(value)
        return tuple(items)


class _Run:
    """One config through one program."""

    def __init__(self, program: _Program, scope: Scope, most: int) -> None:
        self.program = program
        self.scope = scope
        self.most = most
        self.count = 0
        self.guessed: list[str] = []
        self._values: dict[tuple[int, tuple[int, ...]], Any] = {}
        self._schemes: dict[tuple[Any, ...], Scheme] = {}
        self._index: tuple[int, ...] = ()

    def value(self, expression: _Expression) -> Any:
        """Evaluated once for each turn of the loops that it depends on."""
        key = (id(expression), self._index[: expression.depth])
        if key not in self._values:
            self._values[key] = expression.evaluate(self.scope)
        return self._values[key]

    def parameters(
        self, body: Sequence[_Pattern | _Loop], index: tuple[int, ...] = ()
    ) -> Iterator[Parameter]:
        """In the order of the body, loop by loop."""
        for item in body:
            self._index = index
            if isinstance(item, _Loop):
                start, stop = self.value(item.start), self.value(item.stop)
                if not isinstance(stop, int):
                    message = f"there would be {stop!r} of {self._first(item)}"
                    raise ParameterError(message, place(item.stop.text))
                if stop - start > self.most:
                    raise LimitError("max_tensors", stop, self.most, "tensors")
                name = INDICES[len(index)]
                for i in range(start, stop):
                    self.scope[name] = i
                    yield from self.parameters(item.inside, (*index, i))
                self.scope.pop(name, None)
            elif self.value(item.when):
                self.count += 1
                if self.count > self.most:
                    raise LimitError("max_tensors", self.count, self.most, "tensors")
                yield self._parameter(item, index)

    @staticmethod
    def _first(loop: _Loop) -> str:
        """The first of the names in a loop."""
        first = loop.inside[0]
        while isinstance(first, _Loop):
            first = first.inside[0]
        return "*".join(first.parts)

    def _parameter(self, pattern: _Pattern, index: tuple[int, ...]) -> Parameter:
        first, *rest = pattern.parts
        name = first + "".join(f"{i}{part}" for i, part in zip(index, rest, strict=True))
        shape = tuple(self.value(expression) for expression in pattern.shape)
        for size, expression in zip(shape, pattern.shape, strict=True):
            if not isinstance(size, int) or not 0 <= size <= DIMENSION_MAX:
                message = f"{name} would have a dimension of {size}"
                raise ParameterError(message, place(expression.text))
        for case in pattern.cases:
            if self.value(case.when):
                init, blocks = self._init(case, name, shape)
                return Parameter(name, shape, init, (), {}, pattern.dtype, blocks)
        init, blocks = self._init(None, name, shape)
        return Parameter(name, shape, init, (), {}, pattern.dtype, blocks)

    def _init(
        self, case: _Case | None, name: str, shape: tuple[int, ...]
    ) -> tuple[Scheme, tuple[Block, ...]]:
        if case is None or case.scheme is None:
            self.guessed.append(name)
            return self._guess(name, shape), ()
        key = (id(case), *map(self.value, case.numbers))
        if key not in self._schemes:
            parameters = self._filled(case.parameters)
            try:
                self._schemes[key] = SCHEMES[case.scheme].model_validate(parameters)
            except ValueError as error:
                message = f"{name} would start as {case.scheme} of {parameters}"
                raise ParameterError(message) from error
        row = None if case.row is None else self.value(case.row)
        if row is None or not shape or not isinstance(row, int) or not -shape[0] <= row < shape[0]:
            return self._schemes[key], ()
        row %= shape[0]
        return self._schemes[key], (Block(row, row + 1, 0.0),)

    def _filled(self, parameters: Any) -> Any:
        """A scheme's parameters with the values of their expressions."""
        if isinstance(parameters, _Expression):
            return self.value(parameters)
        if isinstance(parameters, dict):
            return {key: self._filled(part) for key, part in parameters.items()}
        return [*map(self._filled, parameters)] if isinstance(parameters, list) else parameters

    def _guess(self, name: str, shape: tuple[int, ...]) -> Scheme:
        """What most models do: no bias, unit scales, small weights."""
        if name.endswith("bias"):
            return scheme("zeros")
        if len(shape) < 2:
            return scheme("ones")
        std = self.scope.get("initializer_range")
        return SCHEMES["normal"].model_validate(
            {"std": std if isinstance(std, float) and 0 < std < math.inf else 0.02}
        )


@lru_cache(maxsize=32)
def _program(model_type: str, architecture: str) -> _Program:
    return _Program(load(model_type), architecture)


def types() -> Mapping[str, Mapping[str, Any]]:
    """Model types that were studied: their classes, each with its status."""
    return index()["types"]  # type: ignore[no-any-return]


def _architecture(config: Json, data: Json, asked: str | None) -> str:
    """The class that a config is for.

    Raises:
        SpecError: it names none, or one that was not solved.
    """
    known = tuple(data["classes"])
    named = config.get("architectures")
    if asked is None:
        if isinstance(named, (list, tuple)) and named and isinstance(named[0], str):
            asked = named[0]
        else:
            raise SpecError(
                "which class? A config says so in architectures", ("architectures",), known
            )
    if asked not in data["classes"]:
        state = index()["types"][data["type"]].get(asked)
        reason = (
            "is not a class that was studied"
            if state is None
            else (f"was studied, but is not fully explained ({state['status']})")
        )
        raise SpecError(f"{asked!r} {reason}", ("architectures", 0), respelt(known, asked))
    return asked


def build(config: Json, architecture: str | None = None, *, most: int = MAX_TENSORS) -> Model:
    """The tensors that a new model of this config would be saved as.

    Args:
        config: of a `config.json`: `model_type`, `architectures`, and fields; absent fields are
            the library's defaults.
        architecture: the class, if it is not the first of `architectures`.
        most: tensors at most.

    Raises:
        SpecError: a type, class, field or value that the catalogue does not know, with its path.
        LimitError: more tensors than `most`.
    """
    model_type = config.get("model_type")
    if not isinstance(model_type, str):
        raise SpecError("a config says of what model_type it is", ("model_type",))
    data = load(model_type)
    name = _architecture(config, data, architecture)
    program = _program(model_type, name)
    dtype_of(config)
    ignored: list[str] = []
    run = _Run(program, program.settled.settle(config, ignored), most)
    parameters = tuple(run.parameters(program.body))
    return Model(
        parameters,
        config=dict(config),
        library=f"transformers {data['transformers']}",
        guessed=frozenset(run.guessed),
        kept=kept(name, parameters),
        ignored=tuple(sorted(ignored)),
    )
