"""Expressions of config fields that explain what was seen: whole numbers and conditions.

A `Table` holds the fields of many configs as columns, a row a config (or a config and the indices
in a tensor's name), and all simple expressions of them. A target is looked up there; then it is
split into two simple expressions, by sums, differences, products and quotients; then into two cases
by a condition. What is found holds in every row, and of several the shortest is taken.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

INDICES = ("i", "j", "k", "l")
Row = tuple[int, tuple[int, ...]]
# With no more number columns than this, expressions of expressions are tried too.
FEW = 8
# So many numbers, rows times expressions, are worked on.
CLOSED = 400_000
# An expression that costs no more is taken for what it is.
PLAIN = 2.5
_RANDOM = np.random.default_rng(20261124)


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Fields by dotted path."""
    found = {}
    for key, value in config.items():
        if not re.fullmatch(r"[A-Za-z_]\w*", str(key)):
            continue
        if isinstance(value, Mapping):
            found.update(flatten(value, f"{prefix}{key}."))
        else:
            found[f"{prefix}{key}"] = value
    return found


def _divisible(value: np.ndarray, divisor: np.ndarray) -> np.ndarray:
    """As the expression of this name has it."""
    nearest = np.maximum(divisor, (value + divisor / 2).astype(np.int64) // divisor * divisor)
    return np.where(nearest < 0.9 * value, nearest + divisor, nearest).astype(np.int64)


def _wrap(text: str) -> str:
    return text if re.fullmatch(r"[\w.]+(\[[^\[\]]*\])*|\w+\([^()]*\)", text) else f"({text})"


@dataclass
class Family:
    """Expressions of one form: values in rows, and how to write each."""

    values: np.ndarray
    texts: list[str]
    costs: np.ndarray


class Table:
    """Fields as columns."""

    def __init__(
        self,
        configs: Sequence[Mapping[str, Any]],
        rows: Sequence[Row],
        fields: set[str] | None = None,
    ) -> None:
        self.rows = list(rows)
        self.until = math.inf
        self.deep = False
        self.count = len(self.rows)
        self.depth = len(self.rows[0][1]) if self.rows else 0
        self._columns(configs, fields)
        self._hash = _RANDOM.integers(1, 2**62, self.count, dtype=np.int64)

    # ------------------------------------------------------------------ columns

    def _columns(self, configs: Sequence[Mapping[str, Any]], fields: set[str] | None) -> None:
        paths = sorted({p for c in configs for p in c}, key=lambda p: (p.count("."), p))
        if fields is not None:
            paths = [p for p in paths if p in fields]
        self.roots = paths
        self.columns: dict[str, list[Any]] = {}
        for d in range(self.depth):
            self.columns[INDICES[d]] = [idx[d] for _, idx in self.rows]
        for path in paths:
            values = [configs[b].get(path) for b, _ in self.rows]
            if any(isinstance(v, list) for v in values):
                self._list(path, values)
            else:
                self.columns[path] = values

    def _list(self, path: str, values: list[Any]) -> None:
        self.columns[f"len({path})"] = [len(v) if isinstance(v, list) else None for v in values]
        if any(not isinstance(v, list) for v in values):
            self.columns[path] = [v if not isinstance(v, list) else "list" for v in values]
        self.lists = getattr(self, "lists", {})
        self.lists[path] = values
        for at in ("0", "-1"):
            self._item(f"{path}[{at}]", values, [int(at)] * self.count)
        numbers = all(
            isinstance(w, int) and not isinstance(w, bool)
            for v in values
            if isinstance(v, list)
            for w in v
        )
        if numbers:
            self.columns[f"sum({path})"] = [sum(v) if isinstance(v, list) else None for v in values]
        for d in range(self.depth):
            n = INDICES[d]
            where = [idx[d] for _, idx in self.rows]
            self._item(f"{path}[{n}]", values, where)
            self._item(f"{path}[{n} - 1]", values, [w - 1 if w > 0 else 10**6 for w in where])
            self._item(f"{path}[{n} + 1]", values, [w + 1 for w in where])
            self._item(f"{path}[-1 - {n}]", values, [-1 - w for w in where])
            self._item(f"{path}[-2 - {n}]", values, [-2 - w for w in where])
            around = [
                w % len(v) if isinstance(v, list) and v else 10**6
                for v, w in zip(values, where, strict=True)
            ]
            if any(w != a < 10**6 for a, w in zip(around, where, strict=True)):
                self._item(f"{path}[{n} % len({path})]", values, around)

    def _item(self, text: str, values: list[Any], where: list[int]) -> None:
        found = [
            v[w] if isinstance(v, list) and -len(v) <= w < len(v) else None
            for v, w in zip(values, where, strict=True)
        ]
        if all(f is None for f in found):
            return
        if any(isinstance(f, list) for f in found):
            if text.count("[") < 2:
                self._list(text, found)
            return
        self.columns[text] = found

    # ------------------------------------------------------------------ numbers

    def _garbage(self) -> int:
        return int(_RANDOM.integers(2**29, 2**30)) * 2 + 1

    @cached_property
    def numbers(self) -> tuple[list[str], np.ndarray]:
        """Integer columns; what is no number there is a large odd one that nothing equals."""
        names, vectors, seen = [], [], set()
        for name, values in self.columns.items():
            if all(v is None or isinstance(v, (bool, str)) for v in values):
                continue
            if not any(
                isinstance(v, int) or (isinstance(v, float) and v.is_integer()) for v in values
            ):
                continue
            ints = [
                int(v)
                if (isinstance(v, int) and not isinstance(v, bool))
                or (isinstance(v, float) and v.is_integer())
                else self._garbage()
                for v in values
            ]
            if any(isinstance(v, float) and not v.is_integer() for v in values):
                continue
            vector = np.array(ints, dtype=np.int64)
            if np.abs(vector).max() >= 2**40 or (vector == vector[0]).all():
                continue
            key = vector.tobytes()
            if key not in seen:
                seen.add(key)
                names.append(name)
                vectors.append(vector)
        if self.depth and self.count:
            for d in range(self.depth):
                vector = 2 ** np.array([idx[d] for _, idx in self.rows], dtype=np.int64)
                if vector.max() <= 256 and not (vector == vector[0]).all():
                    names.append(f"2**{INDICES[d]}")
                    vectors.append(vector)
        if not vectors:
            return [], np.zeros((0, self.count), dtype=np.int64)
        return names, np.stack(vectors)

    @cached_property
    def floats(self) -> list[tuple[str, np.ndarray]]:
        """Columns with a fraction in some row."""
        found = []
        for name, values in self.columns.items():
            if any(isinstance(v, float) for v in values) and all(
                isinstance(v, (int, float)) and not isinstance(v, bool) for v in values
            ):
                vector = np.array(values, dtype=np.float64)
                if np.isfinite(vector).all():
                    found.append((name, vector))
        return found

    @cached_property
    def simple(self) -> Family:
        """Expressions of one or two fields."""
        names, base = self.numbers
        n = len(names)
        # Powers of an index explain too much.
        powers = np.array([x.startswith("2**") for x in names], dtype=bool)
        values, texts, costs = [base], list(names), [np.where(powers, 1.6, 1.0)]

        def add(array: np.ndarray, words: list[str], cost: float) -> None:
            if len(words):
                values.append(array)
                texts.extend(words)
                costs.append(np.full(len(words), cost))

        for c in (2, 3, 4, 5, 6, 8, 16):
            add(base * c, [f"{c} * {_wrap(x)}" for x in names], 1.5)
        for c in (2, 3, 4, 8, 16):
            add(base // c, [f"{_wrap(x)} // {c}" for x in names], 1.6)
        for c in (1, -1, 2, -2, 3, 4, 5, -3):
            add(base + c, [f"{x} {'+' if c > 0 else '-'} {abs(c)}" for x in names], 1.6)
        for c in (4, 8, 16, 32, 64, 128, 256, 512):
            add(-(-base // c) * c, [f"ceil({x}, {c})" for x in names], 2.4)
        add(2 * base - 1, [f"2 * {_wrap(x)} - 1" for x in names], 2.2)
        add(2 * base + 1, [f"2 * {_wrap(x)} + 1" for x in names], 2.2)
        add(base * base, [f"{_wrap(x)}**2" for x in names], 1.7)
        root = np.sqrt(np.abs(base)).astype(np.int64)
        add(root, [f"int(sqrt({x}))" for x in names], 2.4)
        for name, vector in self.floats:
            if (vector == np.floor(vector)).all() and name in names:
                continue
            add((base * vector).astype(np.int64), [f"int({_wrap(x)} * {name})" for x in names], 2.1)
            with np.errstate(all="ignore"):
                if (vector != 0).all():
                    add(
                        (base / vector).astype(np.int64),
                        [f"int({_wrap(x)} / {name})" for x in names],
                        2.3,
                    )
        if n:
            # Pairs within one config; with the indices too.
            prefix = [
                re.sub(r"^(len|sum)\(", "", x).rpartition(".")[0] if x not in INDICES else None
                for x in names
            ]
            far = np.array(
                [
                    [
                        0.0
                        if a == b or a is None or b is None or len(a) == 0 or len(b) == 0
                        else 0.3
                        for b in prefix
                    ]
                    for a in prefix
                ]
            )
            far += 0.6 * (powers[:, None] | powers[None, :])
            left, right = np.triu_indices(n, 1)
            if n > 90:
                keep = far[left, right] == 0
                left, right = left[keep], right[keep]
            extra = far[left, right]

            def pairs(
                array: np.ndarray,
                form: str,
                cost: float,
                a: np.ndarray,
                b: np.ndarray,
                more: np.ndarray,
            ) -> None:
                values.append(array)
                texts.extend(
                    form.format(_wrap(names[x]), _wrap(names[y])) for x, y in zip(a, b, strict=True)
                )
                costs.append(cost + more)

            x, y = base[left], base[right]
            pairs(x * y, "{} * {}", 2.0, left, right, extra)
            pairs(x + y, "{} + {}", 2.0, left, right, extra)
            # What is no number somewhere must not vanish in a quotient or a minimum.
            sound = (base < 2**29).all(axis=1)
            both = sound[left] & sound[right]
            left, right, extra, x, y = left[both], right[both], extra[both], x[both], y[both]
            pairs(np.minimum(x, y), "min({}, {})", 2.6, left, right, extra)
            pairs(np.maximum(x, y), "max({}, {})", 2.6, left, right, extra)
            a, b = np.nonzero(~np.eye(n, dtype=bool))
            if n > 90:
                keep = far[a, b] == 0
                a, b = a[keep], b[keep]
            extra = far[a, b]
            x, y = base[a], base[b]
            pairs(x - y, "{} - {}", 2.1, a, b, extra)
            pairs(x + 2 * y, "{} + 2 * {}", 2.4, a, b, extra)
            positive = (y > 0).all(axis=1) & sound[a] & sound[b]
            pa, pb, px, py, pe = a[positive], b[positive], x[positive], y[positive], extra[positive]
            quotient = px // py
            pairs(quotient, "{} // {}", 2.0, pa, pb, pe)
            pairs(quotient * quotient, "({} // {})**2", 2.6, pa, pb, pe)
            pairs(-(-px // py), "-(-{} // {})", 2.7, pa, pb, pe)
            pairs(-(-px // py) * py, "ceil({}, {})", 2.7, pa, pb, pe)
            if n <= 60:
                pairs(px % py, "{} % {}", 2.7, pa, pb, pe)
            if n <= 6:
                # where a window stops: one of these long, moved by one of those
                for x in range(n):
                    for y in range(n):
                        for z in range(n):
                            if len({x, y, z}) == 3 and sound[[x, y, z]].all() and base[z].min() > 0:
                                values.append(((base[x] - base[y]) // base[z] + 1)[None])
                                texts.append(f"({names[x]} - {names[y]}) // {_wrap(names[z])} + 1")
                                costs.append(np.array([3.0]))
        family = self._unique(np.concatenate(values), texts, np.concatenate(costs))
        return self._closed(family, CLOSED) if n <= FEW else family

    @cached_property
    def _forms(self) -> list[tuple[float, str, Callable[[np.ndarray, Any], np.ndarray]]]:
        """Expressions of one number, and perhaps a field: cost, text, and values in some rows."""
        found: list[tuple[float, str, Callable[[np.ndarray, Any], np.ndarray]]] = [
            (0.6, "2 * {} - 1", lambda v, _: 2 * v - 1),
            (0.6, "2 * {} + 1", lambda v, _: 2 * v + 1),
            (0.7, "{}**2", lambda v, _: v * v),
            (0.9, "(2 * {} - 1)**2", lambda v, _: (2 * v - 1) ** 2),
        ]
        for c in (2, 3, 4):
            found.append((0.6, f"{c} * {{}}", lambda v, _, c=c: c * v))
        for c in (2, 3, 4, 8):
            found.append((0.7, f"{{}} // {c}", lambda v, _, c=c: v // c))
        for c in (1, 2):
            found.append((0.7, f"{{}} + {c}", lambda v, _, c=c: v + c))
            found.append((0.7, f"{{}} - {c}", lambda v, _, c=c: v - c))
        for c in (2, 4, 8):
            found.append((1.0, f"-(-{{}} // {c})", lambda v, _, c=c: -(-v // c)))
        for c in (8, 16, 32, 64):
            found.append((1.0, f"ceil({{}}, {c})", lambda v, _, c=c: -(-v // c) * c))
        eight = 8.0 * np.ones(self.count)
        found += [
            (1.6, "divisible({}, 8)", lambda v, at: _divisible(v, eight[at])),
            (1.8, "divisible({} / 4, 8)", lambda v, at: _divisible(v / 4, eight[at])),
        ]
        for name, f in self.floats:
            found.append(
                (
                    1.8,
                    f"divisible({{}} * {name}, 8)",
                    lambda v, at, f=f: _divisible(v * f[at], eight[at]),
                )
            )
            found.append(
                (1.1, f"int({{}} * {name})", lambda v, at, f=f: (v * f[at]).astype(np.int64))
            )
        for name, w in zip(*self.numbers, strict=True):
            if (w > 0).all() and w.max() < 2**20 and name not in INDICES:
                word = _wrap(name)
                found += [
                    (1.7, f"ceil({{}}, {name})", lambda v, at, w=w: -(-v // w[at]) * w[at]),
                    (1.3, f"{{}} // {word}", lambda v, at, w=w: v // w[at]),
                    (1.2, f"{{}} * {word}", lambda v, at, w=w: v * w[at]),
                ]
        return found

    def _closed(self, family: Family, most: int) -> Family:
        """Of few fields: expressions of one number of all of those too, or of the cheapest."""
        small = (np.abs(family.values) < 2**29).all(axis=1) & (family.costs < 4.5)
        small &= np.arange(len(small)) < most // self.count  # they are sorted by cost
        base, costs = family.values[small], family.costs[small]
        words = [_wrap(x) for x, yes in zip(family.texts, small, strict=True) if yes]
        every = slice(None)
        return self._unique(
            np.concatenate([family.values, *(make(base, every) for _, _, make in self._forms)]),
            family.texts + [form.format(word) for _, form, _ in self._forms for word in words],
            np.concatenate([family.costs, *(costs + cost for cost, _, _ in self._forms)]),
        )

    def _deep(self, t: np.ndarray) -> tuple[float, str] | None:
        """The cheapest expression of four steps that has these values."""
        probe = np.arange(min(8, self.count))
        family = self._closed(self.simple, CLOSED)
        small = (np.abs(family.values) < 2**29).all(axis=1)
        first = family.values[:, probe]
        best: tuple[float, str] | None = None
        one = (0.0, "{}", lambda v, _: v)
        for cost, form, make in (one, *self._forms):
            maybe = small & (make(np.where(small[:, None], first, 1), probe) == t[probe]).all(
                axis=1
            )
            for a in np.nonzero(maybe)[0]:
                total = float(family.costs[a]) + cost
                if (best is None or total < best[0]) and (
                    make(family.values[a], slice(None)) == t
                ).all():
                    best = (total, form.format(_wrap(family.texts[a])))
        return best

    def _unique(self, values: np.ndarray, texts: list[str], costs: np.ndarray) -> Family:
        order = np.argsort(costs, kind="stable")
        hashes = (values[order] * self._hash).sum(axis=1)
        _, first = np.unique(hashes, return_index=True)
        keep = order[np.sort(first)]
        constant = (
            (values[keep] == values[keep][:, :1]).all(axis=1)
            if self.count > 1
            else np.zeros(len(keep), bool)
        )
        keep = keep[~constant] if self.count > 1 else keep
        return Family(values[keep], [texts[k] for k in keep], costs[keep])

    @cached_property
    def _sorted(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        hashes = (self.simple.values * self._hash).sum(axis=1)
        order = np.argsort(hashes, kind="stable")
        return hashes, order, hashes[order]

    def _find(self, wanted: np.ndarray) -> np.ndarray:
        """For each hash the number of the simple expression that has it, or −1."""
        _, order, ordered = self._sorted
        if not len(ordered):
            return np.full(len(wanted), -1)
        at = np.minimum(np.searchsorted(ordered, wanted), len(ordered) - 1)
        return np.where(ordered[at] == wanted, order[at], -1)

    def number(self, target: Sequence[int], long: bool = True) -> tuple[float, str] | None:
        """The cheapest expression that has these values, with its cost."""
        t = np.array(target, dtype=np.int64)
        if self.count == 0 or (t == t[0]).all():
            return (0.5, str(int(t[0]))) if len(t) else (0.5, "0")
        family = self.simple
        if not len(family.texts):
            return None
        wanted = (t * self._hash).sum()
        one = self._find(np.array([wanted]))[0]
        if one >= 0 and (family.values[one] == t).all():
            return float(family.costs[one]), family.texts[one]
        if not long:
            return None
        best: tuple[float, str] | None = None

        def offer(cost: float, text: str) -> None:
            nonlocal best
            if best is None or cost < best[0]:
                best = (cost, text)

        hashes = self._sorted[0]
        ones = self._hash.sum()
        # t + c and t / c as one simple expression
        for c in (1, 2, 3, 4, 5, -1, -2, -3, -4):
            found = self._find(np.array([wanted - c * ones]))[0]
            if found >= 0:
                offer(
                    family.costs[found] + 0.7,
                    f"{family.texts[found]} {'+' if c > 0 else '-'} {abs(c)}",
                )
        for c in (2, 3, 4, 6, 8, 9, 12, 16):
            if (t % c == 0).all():
                found = self._find(np.array([(t // c * self._hash).sum()]))[0]
                if found >= 0:
                    offer(family.costs[found] + 0.7, f"{c} * {_wrap(family.texts[found])}")
        limit = len(hashes)
        for sign, form in ((1, "{} + {}"), (-1, "{1} - {0}")):
            other = wanted - hashes if sign > 0 else wanted + hashes
            found = self._find(other)
            for a in np.nonzero(found >= 0)[0][:400]:
                b = found[a]
                total = (
                    family.values[a] + family.values[b]
                    if sign > 0
                    else family.values[b] - family.values[a]
                )
                if (total == t).all():
                    left, right = family.texts[a], family.texts[b]
                    left = left if sign > 0 else _wrap(left)
                    offer(family.costs[a] + family.costs[b] + 0.1, form.format(left, right))
        for extra in (0, 1, 2, -1):
            u = t - extra
            probe = min(self.count, 8)
            tail = "" if not extra else f" {'+' if extra > 0 else '-'} {abs(extra)}"
            more = 0.6 * bool(extra)
            v = family.values[:, :probe]
            maybe = np.nonzero((v != 0).all(axis=1))[0]
            maybe = maybe[(u[:probe] % v[maybe] == 0).all(axis=1)][:4000]
            whole = family.values[maybe]
            fits = (whole != 0).all(axis=1)
            maybe, whole = maybe[fits], whole[fits]
            fits = (u % whole == 0).all(axis=1)
            maybe, whole = maybe[fits], whole[fits]
            rest = u // whole
            constant = (rest == rest[:, :1]).all(axis=1)
            for a, r in zip(maybe[constant], rest[constant], strict=True):
                offer(family.costs[a] + 0.6 + more, f"{int(r[0])} * {_wrap(family.texts[a])}{tail}")
            found = self._find((rest * self._hash).sum(axis=1))
            for n in np.nonzero((found >= 0) & ~constant)[0]:
                a, b = maybe[n], found[n]
                if (family.values[b] == rest[n]).all():
                    offer(
                        family.costs[a] + family.costs[b] + 0.1 + more,
                        f"{_wrap(family.texts[a])} * {_wrap(family.texts[b])}{tail}",
                    )
        if best is not None:
            return best
        found_sum = self._polynomial(t)
        if found_sum is not None:
            return found_sum
        if self.deep and len(self.numbers[0]) <= FEW:
            found_deep = self._deep(t)
            if found_deep is not None:
                return found_deep
        # quotients: a two-field expression by a field or a constant
        names, base = self.numbers
        cheap = family.costs <= 2.75
        v, words, costs = (
            family.values[cheap],
            [x for x, c in zip(family.texts, cheap, strict=True) if c],
            family.costs[cheap],
        )
        probe = min(self.count, 8)
        divisors = [
            (str(c), np.full(self.count, c, dtype=np.int64)) for c in (2, 3, 4, 6, 8, 16)
        ] + list(zip(names, base, strict=True))
        for word, d in divisors[:80]:
            if (d <= 0).any() or (d >= 2**29).any():
                continue
            for add, note in ((0, ""), (1, " + 1")):
                maybe = np.nonzero((v[:, :probe] // d[:probe] + add == t[:probe]).all(axis=1))[0]
                for a in maybe[:50]:
                    if (v[a] // d + add == t).all():
                        offer(costs[a] + 1.2 + add, f"{_wrap(words[a])} // {_wrap(word)}{note}")
        # three terms: a simple one, and a sum of two
        if best is None and limit <= 6000:
            order = np.argsort(family.costs, kind="stable")[:500]
            for a in order:
                other = (wanted - hashes[a]) - hashes
                found = self._find(other)
                hits = np.nonzero(found >= 0)[0]
                for b in hits[:20]:
                    c = found[b]
                    if (family.values[a] + family.values[b] + family.values[c] == t).all():
                        offer(
                            family.costs[a] + family.costs[b] + family.costs[c] + 0.2,
                            f"{family.texts[a]} + {family.texts[b]} + {family.texts[c]}",
                        )
                if best is not None and best[0] < family.costs[a] + 3:
                    break
        return best

    def _polynomial(self, t: np.ndarray) -> tuple[float, str] | None:
        """A sum of products of two fields, with whole factors, if the rows are enough for one."""
        names, base = self.numbers
        few = [(x, v) for x, v in zip(names, base, strict=True) if np.abs(v).max() < 2**20]
        terms = [("1", np.ones(self.count, dtype=np.int64)), *few]
        for p, (x, v) in enumerate(few):
            terms += [(f"{_wrap(x)} * {_wrap(y)}", v * w) for y, w in few[p:]]
        for y, w in few if len(few) <= 6 else ():
            # quotients by one divisor, and their products: the patches of an image
            if (w > 0).all() and y not in INDICES:
                parts = [(f"({_wrap(x)} // {_wrap(y)})", v // w) for x, v in few if x != y]
                terms += parts
                for p, (x, v) in enumerate(parts):
                    terms += [(f"{x} * {z}", v * u) for z, u in parts[p:]]
        if len(terms) > min(120, self.count - 6):
            return None
        # The simplest terms that no others already make up.
        kept: list[int] = []
        basis = np.zeros((self.count, 0))
        for p, (_, v) in enumerate(terms):
            column = v / np.linalg.norm(v) if v.any() else v * 1.0
            rest = column - basis @ (basis.T @ column)
            rest -= basis @ (basis.T @ rest)
            size = np.linalg.norm(rest)
            if size > 1e-6:
                kept.append(p)
                basis = np.column_stack([basis, rest / size])
        if len(kept) > self.count - 6:
            return None
        matrix = np.stack([terms[p][1] for p in kept], axis=1).astype(np.float64)
        scale = np.abs(matrix).max(axis=0)
        factors = np.linalg.lstsq(matrix / scale, t.astype(np.float64), rcond=None)[0] / scale
        for divisor in (1, 2, 4):
            whole = np.rint(factors * divisor).astype(np.int64)
            total = sum(terms[p][1] * c for p, c in zip(kept, whole, strict=True))
            used = [(int(c), terms[p][0]) for p, c in zip(kept, whole, strict=True) if c]
            if 0 < len(used) <= 7 and (np.asarray(total) == t * divisor).all():
                parts = sorted(used, key=lambda one: one[0] < 0)
                text = ""
                for c, word in parts:
                    size = abs(c)
                    shown = str(size) if word == "1" else word if size == 1 else f"{size} * {word}"
                    text += (" - " if c < 0 else " + " if text else "") + shown
                text = text.removeprefix(" ") if text[:2] != " -" else f"0{text}"
                cost = 2.0 * len(used)
                return (cost, text) if divisor == 1 else (cost + 1, f"({text}) // {divisor}")
        return None

    # ------------------------------------------------------------------ conditions

    @cached_property
    def literals(self) -> list[tuple[float, str, int]]:
        """Simple conditions: cost, text, and the rows where each holds, as bits."""
        best: dict[int, tuple[float, str]] = {}
        every = (1 << self.count) - 1

        def add(cost: float, text: str, holds: Sequence[Any]) -> None:
            bits = 0
            for position, one in enumerate(holds):
                if one:
                    bits |= 1 << position
            if bits not in {0, every} and (bits not in best or cost < best[bits][0]):
                best[bits] = (cost, text)

        for name, values in self.columns.items():
            kinds = {type(v) for v in values}
            if "[" in name and type(None) in kinds:
                continue  # no such item: not a value that could be compared
            if bool in kinds:
                add(1.0, name, values)
                add(1.1, f"not {name}", [not v for v in values])
            if type(None) in kinds and len(kinds) > 1:
                add(1.1, f"{name} is None", [v is None for v in values])
                add(1.1, f"{name} is not None", [v is not None for v in values])
            if str in kinds:
                # Of two items that say the same, the one at the index does so for a reason.
                more = 0.3 * (self.depth > 0 and name.endswith(("[0]", "[-1]")))
                for one in sorted({v for v in values if isinstance(v, str)}):
                    add(1.1 + more, f"{name} == {one!r}", [v == one for v in values])
                    add(1.2 + more, f"{name} != {one!r}", [v != one for v in values])
            if kinds & {int, float}:
                if str in kinds:  # such as "auto" among numbers
                    values = [None if isinstance(v, str) else v for v in values]
                numeric = [
                    v for v in values if isinstance(v, (int, float)) and not isinstance(v, bool)
                ]
                distinct = sorted(set(numeric))
                index = name in INDICES
                if 0 in distinct or min(distinct, default=1) < 0:
                    if None in values:
                        add(
                            1.3,
                            f"{name} is not None and {name} > 0",
                            [v is not None and v > 0 for v in values],
                        )
                        add(
                            1.3,
                            f"{name} is None or {name} <= 0",
                            [v is None or v <= 0 for v in values],
                        )
                        add(1.2, f"not {name}", [not v for v in values])
                    else:
                        add(1.2, f"{name} > 0", [v > 0 for v in values])
                        add(1.2, f"{name} == 0", [v == 0 for v in values])
                if None not in values and len(distinct) <= 8:
                    for c in distinct[:8]:
                        if isinstance(c, int) or c.is_integer():
                            add(1.4 + 0.1 * (not index), f"{name} == {c}", [v == c for v in values])
                            add(1.5 + 0.1 * (not index), f"{name} != {c}", [v != c for v in values])
                            add(1.6 + 0.1 * (not index), f"{name} > {c}", [v > c for v in values])
                            add(1.6 + 0.1 * (not index), f"{name} <= {c}", [v <= c for v in values])
                elif None in values and len(distinct) <= 8:
                    for c in distinct[:8]:
                        add(1.6, f"{name} == {c}", [v == c for v in values])
                        add(1.6, f"{name} != {c}", [v != c for v in values])
        # lists
        for path, values in getattr(self, "lists", {}).items():
            strings = {w for v in values if isinstance(v, list) for w in v if isinstance(w, str)}
            for one in sorted(strings)[:12]:
                add(1.5, f"{one!r} in {path}", [isinstance(v, list) and one in v for v in values])
            for d in range(self.depth):
                holds = [
                    isinstance(v, list) and idx[d] in v
                    for v, (_, idx) in zip(values, self.rows, strict=True)
                ]
                n, lack = INDICES[d], [not h for h in holds]
                if all(isinstance(v, list) for v in values):
                    add(1.3, f"{n} in {path}", holds)
                    add(1.4, f"{n} not in {path}", lack)
                elif all(isinstance(v, list) or v is None for v in values):
                    add(1.4, f"{path} is not None and {n} in {path}", holds)
                    add(1.5, f"{path} is None or {n} not in {path}", lack)
        names, base = self.numbers
        small = [(n, v) for n, v in zip(names, base, strict=True) if np.abs(v).max() < 2**20]
        for d in range(self.depth):
            n = INDICES[d]
            index = np.array([idx[d] for _, idx in self.rows], dtype=np.int64)
            for name, v in small:
                if name in INDICES or name.startswith("2**"):
                    continue
                add(1.5, f"{n} < {name}", index < v)
                add(1.5, f"{n} >= {name}", index >= v)
                add(1.6, f"{n} <= {name}", index <= v)
                add(1.6, f"{n} > {name}", index > v)
                add(1.6, f"{n} == {name} - 1", index == v - 1)
                add(1.6, f"{n} < {name} - 1", index < v - 1)
                add(1.7, f"{n} == {name} - 2", index == v - 2)
                add(1.7, f"{n} == {name}", index == v)
                add(1.7, f"{n} != {name}", index != v)
                if v.max() < 64 and v.min() <= 0 < v.max():
                    some = np.maximum(v, 1)
                    for a in (0, 1):
                        shown = f"({n} + {a})" if a else n
                        holds = (v > 0) & ((index + a) % some == 0)
                        add(2.4, f"{name} > 0 and {shown} % {name} == 0", holds)
                        add(2.5, f"{name} <= 0 or {shown} % {name} != 0", ~holds)
                if v.max() < 64 and v.min() > 0:
                    for a in (0, 1):
                        shown = f"({n} + {a})" if a else n
                        add(2.0, f"{shown} % {name} == 0", (index + a) % v == 0)
                        add(2.0, f"{shown} % {name} != 0", (index + a) % v != 0)
                    add(2.2, f"{n} % {name} == {name} - 1", index % v == v - 1)
                    for other, w in small:
                        if (
                            other != name
                            and other not in INDICES
                            and w.max() < 64
                            and w.min() >= 0
                            and other[:2] != "2*"
                        ):
                            add(2.4, f"{n} % {name} == {other}", index % v == w)
                            add(2.4, f"{n} % {name} != {other}", index % v != w)
                            add(2.6, f"({n} - {other}) % {name} == 0", (index - w) % v == 0)
                            add(
                                2.7,
                                f"({n} - {other}) % {name} == 0 and {n} >= {other}",
                                ((index - w) % v == 0) & (index >= w),
                            )
            for name, values in self.columns.items():
                kinds = {type(v) for v in values}
                if kinds == {int, type(None)} and "[" not in name:
                    there = np.array([v is not None for v in values])
                    v = np.array([1 if v is None else v for v in values], dtype=np.int64)
                    tests = [("<", index < v), ("<=", index <= v), (">", index > v)]
                    tests += [(">=", index >= v), ("==", index == v)]
                    for sign, holds in tests:
                        text = f"{name} is not None and {n} {sign} {name}"
                        add(2.0, text, there & holds)
                    if (v > 0).all():
                        for a in (0, 1):
                            shown = f"({n} + {a})" if a else n
                            text = f"{name} is not None and {shown} % {name} == 0"
                            add(2.5, text, there & ((index + a) % v == 0))
            few = [(x, v) for x, v in small if x not in INDICES and x[:2] != "2*"]
            if len(few) <= 2 * FEW:
                for x, v in few:
                    for y, w in few:
                        if x != y and (v >= w).any():
                            add(2.2, f"{n} < {x} - {y}", index < v - w)
                            add(2.3, f"{n} >= {x} - {y}", index >= v - w)
                            add(2.4, f"{n} == {x} - {y}", index == v - w)
            for c in (2, 3, 4, 5, 6):
                for rest in range(c):
                    add(2.0, f"{n} % {c} == {rest}", index % c == rest)
                    add(2.1, f"{n} % {c} != {rest}", index % c != rest)
        if len(small) <= 70:
            for x, (a, v) in enumerate(small):
                for b, w in small[x + 1 :]:
                    if a in INDICES or b in INDICES or a[:2] == "2*" or b[:2] == "2*":
                        continue
                    equal = v == w
                    if equal.any():
                        add(1.6, f"{a} != {b}", ~equal)
                        add(1.6, f"{a} == {b}", equal)
                    add(2.2, f"{a} > {b}", v > w)
                    add(2.2, f"{a} < {b}", v < w)
                    add(2.2, f"{a} >= {b}", v >= w)
                    add(2.2, f"{a} <= {b}", v <= w)
        found = [(cost, text, bits) for bits, (cost, text) in best.items()]
        return sorted(found, key=lambda one: one[0])

    def condition(self, target: Sequence[bool], depth: int = 4) -> str | None:
        """A condition that holds in just these rows."""
        want = 0
        for position, one in enumerate(target):
            if one:
                want |= 1 << position
        return self._condition(want, (1 << self.count) - 1, depth)

    def _condition(self, want: int, within: int, depth: int) -> str | None:
        want &= within
        if want == within:
            return "True"
        if want == 0:
            return "False"
        for _, text, bits in self.literals:
            if bits & within == want:
                return text
        if depth <= 1:
            return None
        # both of two; either of two
        above = [(c, t, b) for c, t, b in self.literals if want & ~b == 0]
        seen: dict[int, tuple[float, str]] = {}
        best: tuple[float, str] | None = None
        for n, (c, t, b) in enumerate(above[:300]):
            for c2, t2, b2 in above[n + 1 : 300]:
                if b & b2 & within == want and (best is None or c + c2 < best[0]):
                    best = (c + c2, f"{_term(t)} and {_term(t2)}")
        below = [(c, t, b) for c, t, b in self.literals if b & within & ~want == 0 and b & within]
        for n, (c, t, b) in enumerate(below[:300]):
            for c2, t2, b2 in below[n + 1 : 300]:
                if (b | b2) & within == want and (best is None or c + c2 < best[0]):
                    best = (c + c2, f"{_term(t)} or {_term(t2)}")
        del seen
        if best is not None:
            return best[1]
        if depth <= 2:
            return None
        # one condition that must hold, and the rest explained where it does
        above.sort(key=lambda one: (_count(one[2] & within), one[0]))
        for _, t, b in above[: 12 if depth < 4 else 8]:
            if b & within != within:
                rest = self._condition(want, within & b, depth - 1)
                if rest is not None:
                    return f"{_term(t)} and {_term(rest)}"
        below.sort(key=lambda one: (-_count(one[2] & within), one[0]))
        for _, t, b in below[: 12 if depth < 4 else 8]:
            rest = self._condition(want & ~b, within & ~b, depth - 1)
            if rest is not None:
                return f"{_term(t)} or {_term(rest)}"
        return None

    # ------------------------------------------------------------------ cases

    def value(self, target: Sequence[int], cases: bool = True) -> str | None:
        """An expression of these values, by cases if need be."""
        depth = 0 if not cases else 4 if len(self.roots) <= 5 else 2
        self.deep = False
        whole = self.number(target)
        if whole is not None and whole[0] <= PLAIN:
            return whole[1]
        t = np.array(target, dtype=np.int64)
        # Two plain cases may be what a contrived expression only comes to.
        found = [whole]
        if depth:
            found += [self._cases(t, np.arange(self.count), 1), self._either(t)]
        there = [one for one in found if one is not None]
        if there:
            return min(there)[1]
        # What takes long comes last: expressions of four steps, in each of the cases too.
        for deep in (False, True) if len(self.numbers[0]) <= FEW else (False,):
            self.deep = deep
            if self.deep and (whole := self.number(target)) is not None:
                return whole[1]
            for steps in range(1 + (not self.deep), depth + 1):
                split = self._cases(t, np.arange(self.count), steps)
                if split is not None:
                    return split[1]
        return None

    def _either(self, t: np.ndarray) -> tuple[float, str] | None:
        """One of two plain values, by a condition of several parts."""
        family = self.simple
        cheap = family.costs <= 2.2
        values, costs = family.values[cheap], family.costs[cheap]
        texts = [x for x, yes in zip(family.texts, cheap, strict=True) if yes]
        hits = values == t
        few = np.unique(t)
        if len(few) <= 6:
            hits = np.concatenate([few[:, None] == t, hits])
            costs = np.concatenate([np.full(len(few), 0.5), costs])
            texts = [*(str(int(c)) for c in few), *texts]
        share = hits.mean(axis=1)
        order = np.argsort(-(share - 0.05 * costs), kind="stable")[:40]
        best: tuple[float, str] | None = None
        tried = 0
        for n, a in enumerate(order):
            for b in order[n + 1 :]:
                if time.process_time() > self.until or tried > 30:
                    return best
                only_a, only_b = hits[a] & ~hits[b], hits[b] & ~hits[a]
                if not (hits[a] | hits[b]).all() or min(only_a.sum(), only_b.sum()) < 3:
                    continue
                tried += 1
                when = self._condition(_bits(only_a), _bits(only_a | only_b), 3)
                if when is not None:
                    parts = 1 + when.count(" and ") + when.count(" or ")
                    total = float(costs[a] + costs[b]) + parts
                    if best is None or total < best[0]:
                        best = total, f"({texts[a]}) if {when} else ({texts[b]})"
        return best

    def _cases(self, t: np.ndarray, rows: np.ndarray, depth: int) -> tuple[float, str] | None:
        """The cheapest split into two simple cases, or a longer one; with its cost."""
        if depth <= 0 or len(rows) < 2 or time.process_time() > self.until:
            return None
        family = self.simple
        cheap = family.costs <= 2.75
        values, texts = (
            family.values[cheap],
            [x for x, c in zip(family.texts, cheap, strict=True) if c],
        )
        costs = family.costs[cheap]

        def lookup(subset: np.ndarray) -> tuple[float, str] | None:
            part = t[subset]
            if (part == part[0]).all():
                # One or two rows of some large number explain nothing.
                return (0.5, str(int(part[0]))) if len(part) > 2 or 0 <= part[0] <= 4 else None
            if len(subset) < 3 or not len(texts):
                return None
            probe = subset[:6]
            maybe = np.nonzero((values[:, probe] == t[probe]).all(axis=1))[0]
            for a in maybe:
                if (values[a][subset] == part).all():
                    return float(costs[a]), texts[a]
            return None

        def explained(subset: np.ndarray) -> tuple[float, str] | None:
            part = self._part(subset)
            whole = part.number(t[subset].tolist(), long=len(self.numbers[0]) <= 2 * FEW)
            if whole is not None or depth < 2:
                return whole
            return part._cases(t[subset], np.arange(len(subset)), depth - 1)

        mask = 0
        for r in rows:
            mask |= 1 << int(r)
        best: tuple[float, str] | None = None
        halves: list[tuple[int, float, str, str, np.ndarray]] = []
        done: set[int] = set()
        for cost, text, bits in self.literals:
            inside = bits & mask
            if inside in {0, mask} or inside in done:
                continue
            done.add(inside)
            if len(done) > 400:
                break
            flags = np.array([(inside >> int(r)) & 1 for r in rows], dtype=bool)
            yes, no = lookup(rows[flags]), lookup(rows[~flags])
            if yes and no:
                total = cost + yes[0] + no[0]
                if best is None or total < best[0]:
                    best = (total, f"{yes[1]} if {text} else {no[1]}")
                    if total < 4.2:
                        break
            elif yes:
                halves.append((int(flags.sum()), cost + yes[0], text, yes[1], rows[~flags]))
        if best is not None:
            return best
        # The switches among the fields, one after another; then what explains most rows.
        tried = 0
        for cost, text, bits in self.literals:
            if text not in self.columns and " is None" not in text and " == '" not in text:
                continue
            inside = bits & mask
            flags = np.array([(inside >> int(r)) & 1 for r in rows], dtype=bool)
            if flags.sum() < 4 or (~flags).sum() < 4:
                continue
            tried += 1
            if tried > 10:
                break
            yes = explained(rows[flags])
            no = explained(rows[~flags]) if yes is not None else None
            if yes is not None and no is not None:
                total = cost + yes[0] + no[0]
                return total, f"({yes[1]}) if {text} else ({no[1]})"
        halves.sort(key=lambda one: -one[0])
        for _, cost, text, yes_text, rest in halves[:6]:
            other = explained(rest)
            if other is not None:
                return cost + other[0], f"{yes_text} if {text} else ({other[1]})"
        return None

    def _part(self, rows: np.ndarray) -> Table:
        """Some of the rows as a table of their own."""
        sub = Table.__new__(Table)
        sub.rows = [self.rows[r] for r in rows]
        sub.roots, sub.until, sub.deep = self.roots, self.until, self.deep
        sub.count, sub.depth = len(rows), self.depth
        sub.columns = {k: [v[r] for r in rows] for k, v in self.columns.items()}
        sub.lists = {k: [v[r] for r in rows] for k, v in getattr(self, "lists", {}).items()}
        sub._hash = self._hash[: len(rows)]
        return sub


def _bits(flags: np.ndarray) -> int:
    return int.from_bytes(np.packbits(flags, bitorder="little").tobytes(), "little")


def _count(bits: int) -> int:
    return bits.bit_count()


def _term(text: str) -> str:
    return f"({text})" if " and " in text or " or " in text or " if " in text else text
