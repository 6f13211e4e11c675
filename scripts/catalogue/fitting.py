"""Expressions for inits: which structure a tensor starts with, and each number in it.

An init is what the recorder says: a scheme's name, or an object with numbers. Told apart are the
structure (all but the numbers) and the numbers. A structure is told by a condition on fields and
indices; a number is a constant, a field, or fields over roots of dimensions. What is found is no
knowledge yet: `starting` holds it to configs that took no part.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from seedbed.errors import SeedbedError
from seedbed.init import SCHEMES
from seedbed.models.catalogue.expressions import evaluate
from seedbed.models.catalogue.settling import at

NEAR = 2e-6
"""Relative error of a number: a recorded one may have been float32."""

LITERALS = 400
PAIRED = 40
"""Conditions that are tried alone, and two together."""

INDICES = "ijkl"
_SPREAD = re.compile(r"init|std|range|factor|scale|gain|dt|time_step")
_POWERS = ((-0.5, "{f} / sqrt({e})"), (0.5, "{f} * sqrt({e})"), (-1, "{f} / ({e})"),
           (1, "{f} * ({e})"))  # fmt: skip

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Row:
    """One tensor of one recorded model.

    Attributes:
        sample: number of the model.
        scope: fields and indices that expressions may name.
        init: the recorder's word.
        values: of a real build, where the recorder has no word.
    """

    sample: int
    scope: Mapping[str, Any]
    init: Any
    shape: tuple[int, ...]
    same_as: str | None = None
    values: Any = None


@dataclass(frozen=True, slots=True)
class Claim:
    """An init taken apart.

    Attributes:
        structure: the init with `None` for its numbers, spelled.
        scheme: its name.
        template: its other fields, with `Number(n)` where the nth number is.
        numbers: all of them, in order.
        row: of zeros, if there is one in an init that is otherwise plain.
    """

    structure: str
    scheme: str
    template: Any
    numbers: tuple[float, ...]
    row: int | None


@dataclass(frozen=True, slots=True)
class Number:
    """The place of a number."""

    index: int


TABLE = 3e-4
"""Of sines: the library works with float32, and an angle is as large as a position."""


def tables(width: str) -> Iterator[dict[str, str]]:
    """Ways to write sines and cosines of positions; the last has interleaved's frequencies."""
    yield {"layout": "interleaved"}
    yield {"layout": "concatenated"}
    base = f"=exp(log(10000) * (({width}) - 2) / ({width}))"
    yield {"layout": "concatenated", "base": base}


_FILLED = {"zeros": 0.0, "ones": 1.0}


def taken_apart(init: Any) -> Claim:
    """The claim of a recorded init."""
    row = None
    if isinstance(init, Mapping) and init["scheme"] == "parts" and len(init["parts"]) == 1:
        box = init["parts"][0]["box"]
        first, rest = box[0], box[1:]
        plain = first is not None and first[1] == first[0] + 1 and not any(rest)
        if plain and len(box) > 1 and init["parts"][0]["init"] == "zeros":
            row, init = first[0], init["init"]
    if isinstance(init, str):
        init = (
            {"scheme": "constant", "value": _FILLED[init]} if init in _FILLED else {"scheme": init}
        )
    numbers: list[float] = []

    def look(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {one: look(part) for one, part in value.items()}
        if isinstance(value, list | tuple):
            return [look(part) for part in value]
        if isinstance(value, int | float) and not isinstance(value, bool):
            numbers.append(value)
            return Number(len(numbers) - 1)
        return value

    template = {one: look(part) for one, part in init.items() if one != "scheme"}
    scheme = init["scheme"]
    return Claim(f"{scheme} {template!r}", scheme, template, tuple(numbers), row)


def filled(template: Any, texts: Sequence[str]) -> Any:
    """A template with an expression, or a constant, for each number."""
    if isinstance(template, Number):
        text = texts[template.index]
        try:
            return int(text) if re.fullmatch(r"-?\d+", text) else float(text)
        except ValueError:
            return f"={text}"
    if isinstance(template, Mapping):
        return {one: filled(part, texts) for one, part in template.items()}
    if isinstance(template, list):
        return [filled(part, texts) for part in template]
    return template


class Fitter:
    """Fits inits of one class.

    Args:
        one: the class's data: its dimensions and loops are what spreads follow from.
    """

    def __init__(self, one: Mapping[str, Any]) -> None:
        texts = {text: None for entry in one["tensors"] for text in entry[2]}
        stops = {loop[1]: None for loop in one["loops"].values()}
        self._dimensions = [t for t in texts if not re.fullmatch(r"\d+", t)]
        self._stops = [t for t in stops if not re.fullmatch(r"\d+", t)]

    def fit(self, entry: Sequence[Any], rows: Sequence[Row]) -> list[Json] | str:
        """Cases of an entry of the data, or why there are none."""
        rows = [row for row in rows if math.prod(row.shape)]
        if not rows:
            return "no elements"
        if any(row.same_as for row in rows):
            return "equal to another tensor"
        if all(row.init is None and row.values is not None for row in rows):
            return self._table(entry, rows)
        if any(row.init is None for row in rows):
            return "cannot be said"
        claims = [taken_apart(row.init) for row in rows]
        return self._cases(entry, rows, claims)

    def _table(self, entry: Sequence[Any], rows: Sequence[Row]) -> list[Json] | str:
        """Cases of a table that has the same values in every build: sines of positions."""
        if any(len(row.shape) != 2 or row.shape[1] % 2 or row.shape[1] < 4 for row in rows):
            return "cannot be said"
        zero = [
            next((n for n, line in enumerate(row.values) if not np.asarray(line).any()), None)
            for row in rows
        ]
        row = self._row(rows, zero)
        for filling in tables(entry[2][1]):
            for one, line in zip(rows, zero, strict=True):
                parameters = {
                    name: evaluate(value[1:], one.scope) if value[:1] == "=" else value
                    for name, value in filling.items()
                }
                fill: Any = SCHEMES["sinusoidal"].model_validate(parameters).fill(one.shape)
                values = fill.formula.at(np.arange(math.prod(one.shape))).reshape(one.shape)
                if line is not None:
                    values[line] = 0.0
                if not np.allclose(values, one.values, rtol=0, atol=TABLE):
                    break
            else:
                if row is False:
                    return "which row is zeros"
                case: Json = {"scheme": "sinusoidal", "with": filling}
                return [case if row is None else {**case, "row": row}]
        return "cannot be said"

    def _cases(
        self, entry: Sequence[Any], rows: Sequence[Row], claims: Sequence[Claim]
    ) -> list[Json] | str:
        structures = list(dict.fromkeys(claim.structure for claim in claims))
        structures.sort(key=lambda s: sum(c.structure == s for c in claims))
        cases = []
        rest = list(range(len(rows)))
        for n, structure in enumerate(structures):
            mine = [r for r in rest if claims[r].structure == structure]
            case: Json = {"scheme": claims[mine[0]].scheme}
            if n < len(structures) - 1:
                those = [rows[r] for r in rest]
                when = condition(those, [claims[r].structure == structure for r in rest])
                if when is None:
                    return f"when it is {structure[:60]}"
                case["when"] = when
            texts = []
            for number in range(len(claims[mine[0]].numbers)):
                values = [claims[r].numbers[number] for r in mine]
                text = self.number(entry, [rows[r] for r in mine], values)
                if text is None:
                    return f"{claims[mine[0]].scheme}: number {number} of {sorted(set(values))[:3]}"
                texts.append(text)
            filling = filled(claims[mine[0]].template, texts)
            if case["scheme"] == "constant" and filling["value"] in (0.0, 1.0):
                case["scheme"] = "ones" if filling.pop("value") else "zeros"
            if case["scheme"] == "normal" and filling.get("mean") == 0.0:
                del filling["mean"]
            if filling:
                case["with"] = filling
            row = self._row([rows[r] for r in mine], [claims[r].row for r in mine])
            if row is False:
                return "which row is zeros"
            if row is not None:
                case["row"] = row
            cases.append(case)
            rest = [r for r in rest if r not in set(mine)]
        return cases

    # ------------------------------------------------------------------ numbers

    def number(
        self, entry: Sequence[Any], rows: Sequence[Row], values: Sequence[float], deep: bool = True
    ) -> str | None:
        """An expression of these numbers."""
        if all(_near(value, values[0]) for value in values):
            return repr(values[0])
        factors = list(self._factors(rows))
        for text, column in factors:
            if all(map(_near, values, column)):
                return text
            if all(map(_near, values, [-c for c in column])):
                return f"-{text}"
        if all(isinstance(value, int) for value in values):
            found = self._whole(entry, rows, values)
            if found is not None:
                return found
        if all(values):
            found = self._scaled(entry, rows, values, factors) or self._log(entry, rows, values)
            if found is not None:
                return found
        return self._by_cases(entry, rows, values) if deep else None

    def _factors(self, rows: Sequence[Row]) -> Iterator[tuple[str, list[float]]]:
        """Fields that are real numbers wherever the tensor is."""
        paths = [
            path for path in flattened(rows[0].scope) if isinstance(at(rows[0].scope, path), float)
        ]
        for path in sorted(paths, key=lambda p: (not _SPREAD.search(p), p.count("."), p)):
            column = [at(row.scope, path) for row in rows]
            if all(isinstance(c, float) and math.isfinite(c) for c in column):
                yield path, column

    def _integers(
        self, entry: Sequence[Any], rows: Sequence[Row]
    ) -> Iterator[tuple[str, list[float]]]:
        """Whole expressions, the tensor's own fans first; each column of values once."""
        seen: set[tuple[float, ...]] = set()
        own = [f"({text})" if " " in text else text for text in entry[2]]
        texts = []
        if len(own) > 1:
            fan_in, fan_out = " * ".join(own[1:]), " * ".join([own[0], *own[2:]])
            texts += [fan_in, fan_out, f"{fan_in} + {fan_out}"]
        texts += own
        texts += [*self._stops, *self._dimensions]
        texts += [f"({stop}) {more}" for stop in self._stops for more in ("+ 1", "- 1")]
        texts += [path for path in flattened(rows[0].scope) if type(at(rows[0].scope, path)) is int]
        for text in dict.fromkeys(texts):
            column = _column(text, rows)
            if column is None or min(column) <= 0 or tuple(column) in seen:
                continue
            seen.add(tuple(column))
            yield text, column

    def _whole(
        self, entry: Sequence[Any], rows: Sequence[Row], values: Sequence[float]
    ) -> str | None:
        for text, column in self._integers(entry, rows):
            for more in (0, -1, 1, -2, 2):
                if all(c + more == v for c, v in zip(column, values, strict=True)):
                    return f"{text} + {more}" if more > 0 else f"{text} - {-more}" if more else text
        return None

    def _scaled(
        self,
        entry: Sequence[Any],
        rows: Sequence[Row],
        values: Sequence[float],
        factors: Sequence[tuple[str, list[float]]],
    ) -> str | None:
        """A constant times fields times a power of a dimension, or of a product of two."""
        spreads = [one for one in factors if _SPREAD.search(one[0])]
        double = [
            (f"{a} * {b}", [x * y for x, y in zip(f, g, strict=True)])
            for (a, f), (b, g) in itertools.combinations(spreads[:8], 2)
        ]
        roots = [
            (f"sqrt({name})", [math.sqrt(c) for c in column])
            for name, column in spreads[:8]
            if min(column) > 0
        ]
        plain = [("", [1.0] * len(rows))]
        moving = [one for one in (*plain, *factors[:24], *double, *roots) if all(one[1])]
        for name, column in moving[1:]:
            text = _constant(name, [v / c for v, c in zip(values, column, strict=True)])
            if text is not None:
                return text
        single = list(self._integers(entry, rows))
        pairs = [
            (f"{_part(a)} * {_part(b)}", [x * y for x, y in zip(e, g, strict=True)])
            for (a, e), (b, g) in itertools.combinations(single[:28], 2)
        ]
        for integers, some in ((single, moving), (pairs, moving[: 1 + len(spreads)])):
            for name, column in some:
                ratio = [v / c for v, c in zip(values, column, strict=True)]
                for text, whole in integers:
                    for power, form in _POWERS:
                        first = ratio[0] / whole[0] ** power
                        if not all(
                            abs(r / w**power - first) <= NEAR * abs(first)
                            for r, w in zip(ratio, whole, strict=True)
                        ):
                            continue
                        top = _top(name, first)
                        return form.format(f=top, e=text) if top else None
        return None

    def _log(
        self, entry: Sequence[Any], rows: Sequence[Row], values: Sequence[float]
    ) -> str | None:
        """The logarithm of a dimension, of one more or one less, or minus that."""
        if any(abs(value) > 30 for value in values):
            return None
        for sign in ("", "-"):
            whole = [math.exp(-value if sign else value) for value in values]
            near = [round(value) for value in whole]
            if all(abs(w - n) < 4 * NEAR * w for w, n in zip(whole, near, strict=True)):
                text = self._whole(entry, rows, near)
                if text is not None:
                    return f"{sign}log({text})"
        return None

    def _by_cases(
        self, entry: Sequence[Any], rows: Sequence[Row], values: Sequence[float]
    ) -> str | None:
        """One expression where a condition holds, and another where it does not."""
        for text, bits in literals(rows)[:PAIRED]:
            if re.match(r"[ijkl] [<=]= ?\d", text):
                continue  # a turn of a loop explains whatever it is asked to
            yes = [n for n, bit in enumerate(bits) if bit]
            no = [n for n, bit in enumerate(bits) if not bit]
            if min(len({rows[n].sample for n in part}) for part in (yes, no)) < 3:
                continue
            parts = []
            for these in (yes, no):
                found = self.number(
                    entry, [rows[n] for n in these], [values[n] for n in these], deep=False
                )
                if found is None:
                    break
                parts.append(found)
            else:
                return f"{parts[0]} if {text} else ({parts[1]})"
        return None

    def _row(self, rows: Sequence[Row], targets: Sequence[int | None]) -> Any:
        """The row of zeros: an expression, None where there never is one, False if unexplained."""
        if all(target is None for target in targets):
            return None
        paths = [
            path
            for path in flattened(rows[0].scope)
            if isinstance(at(rows[0].scope, path), int | None)
        ]
        paths.sort(key=lambda p: ("pad" not in p, p.count("."), p))
        there = [n for n, target in enumerate(targets) if target is not None]

        def value(path: str, n: int) -> int | None:
            found = at(rows[n].scope, path)
            if not isinstance(found, int) or isinstance(found, bool):
                return None
            size = rows[n].shape[0]
            return found % size if -size <= found < size else None

        for path in paths:
            if all(value(path, n) == target for n, target in enumerate(targets)):
                return path
        texts = [p for p in paths if "pad" in p and all(value(p, n) == targets[n] for n in there)]
        if len({targets[n] for n in there}) == 1:
            texts.append(str(targets[there[0]]))
        for text in texts:
            if len(there) == len(targets):
                return text
            when = condition(rows, [target is not None for target in targets])
            if when is not None:
                return f"{text} if {when} else None"
        return False


def flattened(defaults: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Dotted paths of all fields that are no objects."""
    for key, value in defaults.items():
        if isinstance(value, Mapping):
            yield from flattened(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


def _near(one: float, two: float) -> bool:
    return one == two or math.isclose(one, two, rel_tol=NEAR, abs_tol=0.0)


def _part(text: str) -> str:
    return f"({text})" if re.search(r"[ ]", text) else text


def _column(text: str, rows: Sequence[Row]) -> list[float] | None:
    found = []
    for row in rows:
        try:
            value = evaluate(text, row.scope)
        except SeedbedError:
            return None
        if type(value) is not int:
            return None
        found.append(value)
    return found


def _constant(name: str, ratio: Sequence[float]) -> str | None:
    """A field times one constant."""
    if not all(_near(r, ratio[0]) for r in ratio):
        return None
    return _top(name, ratio[0])


def _top(name: str, constant: float) -> str:
    """A constant times a field, as it is best written."""
    text = nice(constant)
    if not name:
        return text
    return name if text == "1" else f"{text} * {name}"


def nice(value: float) -> str:
    """A constant, as a small fraction or its root if it is one: recorded float32 is not exact."""
    sign, size = ("-", -value) if value < 0 else ("", value)
    for bottom in range(1, 33):
        top = size * bottom
        if round(top) and abs(top - round(top)) < NEAR * top and round(top) < 1000:
            return f"{sign}{round(top)}" if bottom == 1 else f"{sign}({round(top)} / {bottom})"
    for bottom in range(1, 33):
        top = size * size * bottom
        if round(top) and abs(top - round(top)) < NEAR * top and round(top) < 200:
            inner = f"{round(top)}" if bottom == 1 else f"{round(top)} / {bottom}"
            return f"{sign}sqrt({inner})"
    return repr(value)


# ---------------------------------------------------------------- conditions


def literals(rows: Sequence[Row]) -> list[tuple[str, tuple[bool, ...]]]:
    """Conditions that are true of some rows and not of others, the simplest first."""
    found: dict[tuple[bool, ...], str] = {}

    def add(text: str, bits: Sequence[Any]) -> None:
        whole = tuple(map(bool, bits))
        if any(whole) and not all(whole) and len(found) < LITERALS:
            found.setdefault(whole, text)
            found.setdefault(tuple(not one for one in whole), f"not {_part(text)}")

    for name in INDICES:
        if all(name in row.scope for row in rows):
            column = [row.scope[name] for row in rows]
            for value in sorted(set(column))[:8]:
                add(f"{name} == {value}", [c == value for c in column])
                add(f"{name} < {value}", [c < value for c in column])
    paths = sorted(flattened(rows[0].scope), key=lambda p: (p.count("."), p))
    columns = {path: [at(row.scope, path) for row in rows] for path in paths}
    for path, column in columns.items():
        if all(isinstance(c, bool) for c in column):
            add(path, column)
    for path, column in columns.items():
        add(f"{path} is None", [c is None for c in column])
        words = {c for c in column if isinstance(c, str)}
        for word in sorted(words):
            add(f"{path} == {word!r}", [c == word for c in column])
        if any(isinstance(c, bool) for c in column) and not all(
            isinstance(c, bool) for c in column
        ):
            add(f"{path} == True", [c is True for c in column])
        if all(isinstance(c, list) for c in column) and all("i" in row.scope for row in rows):
            items = [
                c[row.scope["i"]] if row.scope["i"] < len(c) else None
                for c, row in zip(column, rows, strict=True)
            ]
            if all(isinstance(item, str | bool) for item in items):
                for word in sorted(set(items), key=str):
                    add(f"{path}[i] == {word!r}", [item == word for item in items])
    whole = [p for p, c in columns.items() if all(type(v) is int for v in c)]
    for path in whole:
        for value in sorted(set(columns[path]))[:3]:
            if -1 <= value <= 2:
                add(f"{path} == {value}", [c == value for c in columns[path]])
                add(f"{path} > {value}", [c > value for c in columns[path]])
    for one, two in itertools.combinations(whole[:24], 2):
        pairs = list(zip(columns[one], columns[two], strict=True))
        add(f"{one} == {two}", [a == b for a, b in pairs])
    for name in INDICES:
        if all(name in row.scope for row in rows):
            for path in whole[:24]:
                pairs = [(row.scope[name], c) for row, c in zip(rows, columns[path], strict=True)]
                add(f"{name} < {path}", [a < b for a, b in pairs])
                add(f"{name} == {path} - 1", [a == b - 1 for a, b in pairs])
    return sorted(
        ((text, bits) for bits, text in found.items()), key=lambda one: (len(one[0]) > 60, 0)
    )


def condition(rows: Sequence[Row], wanted: Sequence[bool]) -> str | None:
    """What is true of exactly these rows."""
    goal = tuple(map(bool, wanted))
    some = literals(rows)
    for text, bits in some:
        if bits == goal:
            return text
    ands = [(t, b) for t, b in some if all(x for x, g in zip(b, goal, strict=True) if g)]
    ors = [(t, b) for t, b in some if not any(x for x, g in zip(b, goal, strict=True) if not g)]
    for usable, word, join in ((ands, "and", all), (ors, "or", any)):
        for (a, x), (b, y) in itertools.combinations(usable[:120], 2):
            if tuple(join(pair) for pair in zip(x, y, strict=True)) == goal:
                return f"{_part(a)} {word} {_part(b)}"
    return None
