"""Rules for fields that a config class derives, solved from what the class itself makes of configs.

No model is built, so there are samples enough, at every depth. A rule is a number of cases, each a
condition of at most two parts over fields and the index of an item; it is kept if it holds in
every sample, and in as many that took no part.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from random import Random
from typing import Any

from scripts.catalogue import oracle, reading
from seedbed.errors import SeedbedError
from seedbed.models.catalogue.expressions import evaluate

SAMPLES = 60
"""Configs to solve from; as many more to check with."""

PERIODS = range(2, 9)
_UNDECLARED = object()

Row = dict[str, Any]


def samples(
    kind: str, field: str, data: Mapping[str, Any], choice: Random, count: int
) -> list[tuple[Row, Any]]:
    """Configs: the fields that a field's object has, and what the field became.

    Where it has a default it is among the fields, as it was given; else it is left out.
    """
    prefix, _, _ = field.rpartition(".")
    at = tuple(prefix.split(".")) if prefix else ()
    defaults = reading.level(data["defaults"], at)
    near, own = _listened(kind, prefix), field.rpartition(".")[2]
    names = [
        name
        for name, value in defaults.items()
        if name in near
        and not isinstance(value, Mapping)
        and (name != own or (value is not None and not isinstance(value, list)))
    ]
    depths = [name for name in names if reading.LAYERS.search(name)]
    found: list[tuple[Row, Any]] = []
    for number in range(8 * count):
        if len(found) >= count:
            break
        given: Row = {}
        for name in depths:
            if choice.random() < 0.85:
                given[name] = choice.choice((*reading.DEPTHS, choice.randint(1, 40)))
        share = 0.3 if number < 4 * count else 0.1
        for name in names:
            if name not in depths and choice.random() < share:
                given[name] = _drawn(defaults[name], name, choice)
        if not number:
            given = {}
        config = reading.having({}, at, given) if at else given
        try:
            read = oracle.config_of({"model_type": kind, **config})
        except Exception:
            continue
        became = reading.reached(read, field)
        inner = read
        for name in at:
            inner = getattr(inner, name)
        row = {name: reading.reached(inner, name) for name in names}
        if own in names:
            row[own] = given.get(own, defaults[own])
        found.append(({k: v for k, v in row.items() if v is not reading._ABSENT}, became))
    return found


def _listened(kind: str, prefix: str) -> frozenset[str]:
    classes = dict(reading.config_classes(oracle.CONFIG_MAPPING[kind]))
    cls = classes.get(f"{prefix}." if prefix else "")
    return reading.words(cls) if cls is not None else frozenset()


def _drawn(value: Any, name: str, choice: Random) -> Any:
    """Another value for a field."""
    if isinstance(value, bool):
        return choice.random() < 0.5
    if isinstance(value, int):
        return choice.choice((-1, 0, 1, 2, 3, 4, 5, 6, 7, 12, value, value * 2))
    if isinstance(value, list) and all(type(one) is int for one in value):
        return sorted(choice.sample(range(24), choice.randint(0, 6)))
    if value is None and not name.endswith(("types", "type")):
        return choice.choice((None, 1, 2, 3, 5, 7, [0, 2], [1, 2, 5], True, False))
    return value


def solve(kind: str, field: str, data: Mapping[str, Any], choice: Random) -> dict[str, Any] | None:
    """A rule that holds in all samples and in as many unseen ones, or none."""
    seen = samples(kind, field, data, choice, SAMPLES)
    fresh = samples(kind, field, data, choice, SAMPLES)
    if len(seen) < 10:
        return None
    prefix = field.rpartition(".")[0]
    rule = solved(seen, fresh)
    if rule is None:
        return None
    own = _own(field, data)
    mode = "follows" if own is _UNDECLARED else "absent" if own is None else "always"
    return {"field": field, "mode": mode} | {
        key: _within(text, prefix, seen[0][0]) for key, text in rule.items()
    }


def _own(field: str, data: Mapping[str, Any]) -> Any:
    try:
        value = reading.level(data["defaults"], tuple(field.split(".")))
    except KeyError:
        return _UNDECLARED
    return None if isinstance(value, list) else value


def _within(text: str, prefix: str, names: Mapping[str, Any]) -> str:
    """An expression of an object's fields as one of the whole config's."""
    if not prefix:
        return text
    parts = text.split("'")
    parts[::2] = [
        reading._WORD.sub(lambda m: f"{prefix}.{m[0]}" if m[0] in names else m[0], part)
        for part in parts[::2]
    ]
    return "'".join(parts)


def solved(
    seen: Sequence[tuple[Row, Any]], fresh: Sequence[tuple[Row, Any]]
) -> dict[str, str] | None:
    """A rule for what became of the rows: of a list, its length and its items."""
    values = [value for _, value in seen]
    if all(isinstance(value, list) for value in values):
        count = next(
            (
                text
                for text in (*_numbers(seen), str(len(values[0])))
                if all(_holds(text, row, len(value)) for row, value in (*seen, *fresh))
            ),
            None,
        )
        if count is None:
            return None
        items = [({**row, "i": i}, one) for row, value in seen for i, one in enumerate(value)]
        later = [({**row, "i": i}, one) for row, value in fresh for i, one in enumerate(value)]
        if not items:
            return {"count": "0", "value": "0"}
        text = cases(_thinned(items), indexed=True)
        if text is None or not all(_holds(text, row, one) for row, one in (*items, *later)):
            return None
        return {"count": count, "value": text}
    if any(isinstance(value, list | dict) for value in values):
        return None
    text = cases(seen, indexed=False)
    if text is None or not all(_holds(text, row, value) for row, value in fresh):
        return None
    return {"value": text}


def _thinned(rows: list[tuple[Row, Any]]) -> list[tuple[Row, Any]]:
    """So many rows that a condition is quickly told."""
    step = max(1, len(rows) // 700)
    return (
        rows if step == 1 else [row for n, row in enumerate(rows) if n % step == n // step % step]
    )


def _holds(text: str, row: Row, want: Any) -> bool:
    try:
        value = evaluate(text, row)
    except (SeedbedError, ValueError):
        return False
    return bool(value == want) and isinstance(value, bool) == isinstance(want, bool)


def _numbers(rows: Sequence[tuple[Row, Any]]) -> list[str]:
    """Fields that are whole numbers in every row."""
    return [
        name
        for name in rows[0][0]
        if name != "i" and all(type(row.get(name)) is int for row, _ in rows)
    ]


def cases(rows: Sequence[tuple[Row, Any]], *, indexed: bool) -> str | None:
    """An expression that has these values: a field, or words and numbers by condition."""
    values: list[Any] = []
    for _, value in rows:
        if value not in values:
            values.append(value)
    if len(values) == 1:
        return repr(values[0])
    for name in rows[0][0]:
        if name != "i" and all(row.get(name, rows) == value for row, value in rows):
            return name
    if all(type(value) is int for value in values):
        text = _number(rows)
        if text is not None:
            return text
    if len(values) > 4:
        return None
    atoms = list(_atoms(rows, indexed=indexed))
    values.sort(key=lambda one: sum(value == one for _, value in rows))
    text = repr(values[-1])
    rest = list(range(len(rows)))
    parts = []
    for value in values[:-1]:
        want = [rows[n][1] == value for n in rest]
        when = condition(want, [(a, [bits[n] for n in rest]) for a, bits in atoms])
        if when is None:
            return None
        parts.append(f"{value!r} if {when} else ")
        rest = [n for n, yes in zip(rest, want, strict=True) if not yes]
    for part in reversed(parts):
        text = f"{part}{text}" if text.find(" if ") < 0 else f"{part}({text})"
    return text


def _number(rows: Sequence[tuple[Row, Any]]) -> str | None:
    """A plain expression of whole numbers, or one of two where some field is −1, 0 or null."""
    names = [name for name in rows[0][0] if any(type(row.get(name)) is int for row, _ in rows)]
    forms = [f"{name}{end}" for name in names for end in ("", " - 1", " + 1", " * 2", " // 2")]
    forms += [
        f"len({name})"
        for name in rows[0][0]
        if all(isinstance(row.get(name), list) for row, _ in rows)
    ]
    forms += [f"{a} // {b}" for a, b in itertools.permutations(names, 2)]
    forms += [f"{a} * {b}" for a, b in itertools.combinations(names, 2)]
    forms += [
        f"(max({a}, {b}) - {b}) // {c} + 1"
        for a, b, c in itertools.permutations(names, 3)
        if len(names) < 12
    ]

    def first(some: Sequence[tuple[Row, Any]]) -> str | None:
        return next((f for f in forms if all(_holds(f, row, value) for row, value in some)), None)

    whole = first(rows)
    if whole is not None:
        return whole
    for test in [f"{name}{end}" for name in names for end in (" == -1", " == 0", " is None")]:
        told = [(_truth(test, row), (row, value)) for row, value in rows]
        yes = [one for truth, one in told if truth]
        no = [one for truth, one in told if not truth]
        if len(yes) > 2 and len(no) > 2 and (a := first(yes)) and (b := first(no)):
            return f"{a} if {test} else {b}"
    return None


def _atoms(
    rows: Sequence[tuple[Row, Any]], *, indexed: bool
) -> Iterator[tuple[str, list[bool | None]]]:
    """Plain conditions with their truth in each row, the plainest first; None where they fail."""
    texts: list[str] = []
    names = [name for name in rows[0][0] if name != "i"]
    numbers = [n for n in names if any(type(row.get(n)) is int for row, _ in rows)]
    lists = [n for n in names if any(isinstance(row.get(n), list) for row, _ in rows)]
    flags = [n for n in names if any(isinstance(row.get(n), bool) for row, _ in rows)]
    texts += [f"{name}" for name in flags]
    texts += [f"{name} is None" for name in names if any(row.get(name) is None for row, _ in rows)]
    texts += [f"{name} == 0" for name in numbers]
    if indexed:
        texts += [f"i == {n}" for n in range(3)]
        texts += [f"i < {name}" for name in numbers]
        texts += [f"i == {name} - 1" for name in numbers]
        texts += [f"i >= {name} // 2" for name in numbers]
        texts += [f"i in {name}" for name in lists]
        texts += [f"(i + 1) % {p} == 0" for p in (*numbers, *PERIODS)]
        texts += [f"i % {p} == 0" for p in (*numbers, *PERIODS)]
        texts += [f"i % {a} == {b}" for a, b in itertools.permutations(numbers, 2)]
        texts += [f"i % {p} == {r}" for p in PERIODS for r in range(1, p - 1)]
        texts += [f"i >= {a} - {b}" for a, b in itertools.permutations(numbers, 2)]
        texts += [f"i < {n}" for n in range(2, 6)]
    else:
        texts += [f"{name} > {n}" for name in numbers for n in (0, 1)]
    for text in texts:
        yield text, [_truth(text, row) for row, _ in rows]


def _truth(text: str, row: Row) -> bool | None:
    try:
        return bool(evaluate(text, row))
    except (SeedbedError, ValueError):
        return None


def condition(want: Sequence[bool], atoms: Sequence[tuple[str, list[bool | None]]]) -> str | None:
    """The first condition of one or two parts that is true just where it is wanted."""
    if all(want):
        return "True"
    plain = [
        (form, bits)
        for text, some in atoms
        for form, bits in ((text, some), (f"not {_bracketed(text)}", [_not(b) for b in some]))
    ]
    for text, bits in plain:
        if all(b is w for b, w in zip(bits, want, strict=True)):
            return text
    wider = [  # true wherever it is wanted: a part of an `and`
        (t, b) for t, b in plain if all(x or not w for x, w in zip(b, want, strict=True))
    ]
    for (one, a), (two, b) in itertools.combinations(wider[:120], 2):
        if all(((x and y) or False) is w for x, y, w in zip(a, b, want, strict=True)):
            return f"{_bracketed(one)} and {_bracketed(two)}"
    narrower = [  # wanted wherever it is true: a part of an `or`
        (t, b) for t, b in plain if any(b) and all(w or not x for x, w in zip(b, want, strict=True))
    ]
    for (one, a), (two, b) in itertools.combinations(narrower[:120], 2):
        if all((x or y or False) is w for x, y, w in zip(a, b, want, strict=True)):
            return f"{_bracketed(one)} or {_bracketed(two)}"
    text, covered = [], [False] * len(want)  # several of these, the widest first
    for one, a in sorted(narrower, key=lambda item: -sum(map(bool, item[1])))[:200]:
        if any(x and not c for x, c in zip(a, covered, strict=True)):
            text.append(_bracketed(one))
            covered = [bool(x) or c for x, c in zip(a, covered, strict=True)]
        if all(c is w for c, w in zip(covered, want, strict=True)):
            return " or ".join(text) if len(text) <= 4 else None
    return None


def _not(value: bool | None) -> bool | None:
    return None if value is None else not value


def _bracketed(text: str) -> str:
    return f"({text})" if " " in text else text
