"""One class of one model type: built many times, and what explains all the builds."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import transformers

from scripts.catalogue import building, sampling
from scripts.catalogue.limited import Timeout, limited
from scripts.catalogue.solving import INDICES, Table, flatten
from seedbed.models.catalogue.expressions import compile_expression

# Of the processor, for one expression: of the fields that are known to matter, and of all.
NEAR_SECONDS, FAR_SECONDS = 4.0, 1.5

Shape = tuple[int, ...]
Index = tuple[int, ...]


@dataclass
class Build:
    """One build: what was asked, what the config became, and what is saved."""

    given: dict[str, Any]
    raw: dict[str, Any]
    post: dict[str, Any]
    tensors: dict[str, tuple[Shape, str]]


@dataclass
class Study:
    """All builds of a class."""

    model_type: str
    architecture: str
    builds: list[Build] = field(default_factory=list)
    unseen: list[Build] = field(default_factory=list)
    reads: dict[str, set[str]] = field(default_factory=dict)
    errors: dict[str, int] = field(default_factory=dict)
    device: str = "meta"
    # Pairs of builds, by position, whose configs differ in one field that was given.
    steps: list[tuple[int, int]] = field(default_factory=list)
    walked: int = 0


def with_labels(config: dict[str, Any]) -> dict[str, Any]:
    """`id2label` as the number of labels that it comes to, at each level."""
    found: dict[str, Any] = {}
    for key, value in config.items():
        found[key] = (
            with_labels(value)
            if isinstance(value, dict) and key not in {"id2label", "label2id"}
            else value
        )
    labels = found.pop("id2label", None)
    found.pop("label2id", None)
    if isinstance(labels, dict):
        found["num_labels"] = len(labels)
    elif "num_labels" not in found or found["num_labels"] is None:
        found["num_labels"] = 2
    return found


class Builder:
    """Builds one class, and keeps count of what goes wrong."""

    def __init__(self, model_type: str, architecture: str) -> None:
        self.config_class = building.config_class(model_type)
        self.architecture = getattr(transformers, architecture)
        self.reads = building.Reads()
        self.errors: dict[str, int] = {}
        self.device = "meta"
        self.last: Build | None = None

    def tensors(self, config: Any) -> dict[str, tuple[Shape, str]]:
        with self.reads.watching():
            model = building.construct(self.architecture, config, self.device)
        state = building.saved(model)
        return {
            name: (tuple(t.shape), building.DTYPES.get(t.dtype, "")) for name, t in state.items()
        }

    def build(self, given: dict[str, Any], seconds: float = 8.0) -> bool:
        try:
            with limited(seconds):
                config = building.make_config(self.config_class, given)
                post = with_labels(building.plain(config.to_dict()))
                tensors = self.tensors(config)
                raw = with_labels(building.full(self.config_class, given))
                self.last = Build(given, raw, post, tensors)
                return bool(tensors)
        except Timeout:
            key = "too slow"
        except Exception as error:
            key = f"{type(error).__name__}: {' '.join(str(error).split())[:120]}"
        self.errors[key] = self.errors.get(key, 0) + 1
        return False


def run(model_type: str, architecture: str, count: int, unseen: int, seconds: float) -> Study:
    """Builds a class over many configs."""
    study = Study(model_type, architecture)
    builder = Builder(model_type, architecture)
    began = time.process_time()
    for device in ("meta", "cpu"):
        builder.device = study.device = device
        for into, wanted, seed in ((study.builds, count, 1), (study.unseen, unseen, 2)):
            sampler = sampling.Sampler(builder.config_class, seed)
            end = began + seconds * (1.0 if into is study.builds else 1.6)
            keys = set()
            for _ in sampler.walk(builder.build, lambda: time.process_time() > end):
                assert builder.last is not None
                sampler.learn(builder.last.post)
                key = repr(builder.last.given)
                if key not in keys:
                    keys.add(key)
                    into.append(builder.last)
                if len(into) >= wanted:
                    break
        if study.builds:
            break
        began = time.process_time()
    if study.builds and study.device == "meta":
        # the class's own defaults, as a config nobody sampled
        if (
            builder.build({}, 20.0)
            and builder.last is not None
            and len(builder.last.tensors) < 20_000
        ):
            study.unseen.append(builder.last)
    study.reads, study.errors = builder.reads.seen, builder.errors
    study.walked = len(study.builds)
    return study


def probe(study: Study, seconds: float, bases: int = 8) -> None:
    """From some of the builds, one field after another is changed alone.

    What a dimension depends on is what moves it: that makes the search for its expression short,
    and its outcome certain. A build that changes no tensor is kept only if it shows a value of a
    kind that no other build has.
    """
    builder = Builder(study.model_type, study.architecture)
    builder.device, builder.reads.seen = study.device, study.reads
    sampler = sampling.Sampler(builder.config_class, 3)
    for build in study.builds:
        sampler.learn(build.post)
    end = time.process_time() + seconds
    names = relevant(study)
    for prefix, cls in building.classes(builder.config_class).items():
        names |= {f"{prefix}{name}" for name in building.listened(cls)}
    shown = {
        (path, sampling.shown(value))
        for b in study.builds
        for path, value in flatten(b.raw).items()
    }
    first = min(len(study.builds), study.walked)
    step = max(1, first // bases)
    # Not from those that were taken last time.
    offset = step // 2 if study.steps else 0

    def keep(base: int) -> None:
        new = builder.last
        assert new is not None
        kinds = {(p, sampling.shown(v)) for p, v in flatten(new.raw).items()}
        if new.tensors != study.builds[base].tensors or not kinds <= shown:
            shown.update(kinds)
            study.steps.append((base, len(study.builds)))
            study.builds.append(new)

    for base in range(first - 1 - offset, -1, -step):
        given = study.builds[base].given
        for leaf in sampler.leaves:
            if time.process_time() > end:
                return
            if ".".join(leaf.path) not in names and leaf.kind not in {"bool", "choice"}:
                continue
            built = 0
            for new in sampler.aside(given, leaf):
                if builder.build(new):
                    built += 1
                    keep(base)
            if not built and leaf.kind in {"int", "ints"}:
                for new in sampler.beside(given, leaf):
                    if builder.build(new):
                        keep(base)
                        break


def again(study: Study, turn: int, count: int, seconds: float) -> None:
    """What did not hold is learnt from: unseen builds become builds, and others are made to check."""
    study.builds += study.unseen
    study.unseen = []
    builder = Builder(study.model_type, study.architecture)
    builder.device = study.device
    builder.reads.seen = study.reads
    end = time.process_time() + seconds
    sampler = sampling.Sampler(builder.config_class, 100 + turn)
    for build in study.builds:
        sampler.learn(build.post)
    for _ in sampler.walk(builder.build, lambda: time.process_time() > end):
        assert builder.last is not None
        study.unseen.append(builder.last)
        if len(study.unseen) >= count:
            break


# ---------------------------------------------------------------- patterns


def pattern_of(name: str) -> tuple[str, Index]:
    """`a.3.b.0.c` as (`a.*.b.*.c`, (3, 0))."""
    parts, index = [], []
    for part in name.split("."):
        if part.isdigit():
            index.append(int(part))
            parts.append("*")
        else:
            parts.append(part)
    return ".".join(parts), tuple(index)


class Unexplained(Exception):
    """Something that no expression explains."""


@dataclass
class Explanation:
    """What explains a class, ready to be written."""

    loops: dict[str, list[str]] = field(default_factory=dict)
    tensors: list[dict[str, Any]] = field(default_factory=list)
    derived: list[dict[str, Any]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    members: dict[str, list[tuple[int, Index]]] = field(default_factory=dict)


def relevant(study: Study) -> set[str]:
    """Fields that building read and that differ between builds, and list fields."""
    found: set[str] = set()
    for prefix, cls in building.classes(building.config_class(study.model_type)).items():
        if cls.__name__ in study.reads:
            found |= {f"{prefix}{key}" for key in (*study.reads[cls.__name__], "num_labels")}
    return found


def thin(rows: list[Any], most: int) -> list[int]:
    """Positions of at most so many rows, spread evenly but not regularly."""
    if len(rows) <= most:
        return list(range(len(rows)))
    pick = np.random.default_rng(7).choice(len(rows), most, replace=False)
    return sorted(int(p) for p in pick)


@dataclass(frozen=True)
class Sought:
    """What an expression is wanted for: a value in each row, and how a table finds one.

    Attributes:
        rows, target: the rows, and what is seen in each.
        kind: `int` or `bool`, as which values are compared.
        most: rows that a table has at first.
        solve: a table and its part of the target → an expression, or None.
    """

    rows: list[tuple[int, Index]]
    target: list[Any]
    kind: type
    most: int
    solve: Callable[[Table, list[Any]], str | None]


class Explainer:
    """Solves the builds of one class."""

    def __init__(self, study: Study) -> None:
        self.study = study
        self.configs = [flatten(b.post) for b in study.builds]
        self.nested = [b.post for b in study.builds]
        names = relevant(study)
        # A field that is read only through its config's own methods is no less read.
        self.fields = {
            p
            for c in self.configs
            for p in c
            if p in names and p.rpartition(".")[2] not in sampling.IGNORED
        }
        self.tables: dict[Any, Table] = {}
        self.memo: dict[Any, Any] = {}
        self.known: dict[str, None] = {}
        self.out = Explanation()
        self.steps = [(one, two, self._moved(one, two)) for one, two in study.steps]

        # Fields that some step moved when it moved the size of anything.
        builds = study.builds
        self.matter = {
            path
            for one, two, moved in self.steps
            if len(moved) <= 3 and builds[one].tensors != builds[two].tensors
            for path in moved & self.fields
        }

    def _moved(self, one: int, two: int) -> set[str]:
        a, b = self.configs[one], self.configs[two]
        return {
            p
            for p in {*a, *b}
            if a.get(p, self) != b.get(p, self) and p.rpartition(".")[2] not in sampling.IGNORED
        }

    def causes(self, rows: list[tuple[int, Index]], target: list[Any]) -> set[str]:
        """Fields that a step moved when it moved the target."""
        at: dict[int, dict[Index, Any]] = {}
        for (b, index), value in zip(rows, target, strict=True):
            at.setdefault(b, {})[index] = value
        found: set[str] = set()
        for one, two, moved in self.steps:
            if not moved <= found and one in at and two in at:
                other = at[two]
                if any(index in other and other[index] != v for index, v in at[one].items()):
                    found |= moved
        return found

    def table(self, rows: list[tuple[int, Index]], fields: frozenset[str]) -> Table:
        key = tuple(rows), fields
        if key not in self.tables:
            if len(self.tables) > 40:
                self.tables.clear()
            self.tables[key] = Table(self.configs, rows, set(fields))
        return self.tables[key]

    def _search(self, sought: Sought) -> str | None:
        """With the fields that cause the target, then with all; rows that disagree are added.

        Between the two, what explains another target may explain this one.
        """
        near = frozenset(self.causes(sought.rows, sought.target) & self.fields)
        if near:
            text = self._solve(sought, near, NEAR_SECONDS)
            if text is not None:
                return text
        for text in self.known:
            if not self._wrong(text, sought, 40) and not self._wrong(text, sought):
                return text
        wider = frozenset(near | self.matter)
        if wider != near:
            text = self._solve(sought, wider, NEAR_SECONDS / 2)
            if text is not None:
                return text
        return self._solve(sought, frozenset(self.fields), FAR_SECONDS)

    def _solve(self, sought: Sought, fields: frozenset[str], seconds: float) -> str | None:
        rows, target = sought.rows, sought.target
        pick = thin(rows, sought.most)
        until = time.process_time() + seconds
        for _ in range(5):
            table = self.table([rows[p] for p in pick], fields)
            table.until = until
            text = sought.solve(table, [target[p] for p in pick])
            if text is None:
                break
            wrong = self._wrong(text, sought)
            if not wrong:
                self.known.setdefault(text)
                return text
            fresh = sorted({*pick, *(wrong[w] for w in thin(wrong, sought.most // 4))})
            if fresh == pick:
                break  # it holds in the table and not in the engine
            pick = fresh
        return None

    def scope(self, build: int, index: Index) -> dict[str, Any]:
        return {**self.nested[build], **dict(zip(INDICES, index, strict=False))}

    def value(
        self, rows: list[tuple[int, Index]], target: list[int], cases: bool = True
    ) -> str | None:
        """An expression for whole numbers in rows, checked in all of them."""
        key = ("v", tuple(rows), tuple(target), cases)
        if key in self.memo:
            return self.memo[key]
        text = None
        if len(set(target)) == 1:
            text = str(target[0])
        else:
            text = self._search(
                Sought(rows, target, int, 160, lambda table, part: table.value(part, cases))
            )
        self.memo[key] = text
        return text

    def _wrong(self, text: str, sought: Sought, most: int | None = None) -> list[int]:
        """Positions of the rows, or of the first so many, where an expression differs."""
        evaluator = compile_expression(text)

        def right(row: tuple[int, Index], want: Any) -> bool:
            try:
                return bool(sought.kind(evaluator(self.scope(*row))) == want)
            except Exception:
                return False

        pairs = zip(sought.rows[:most], sought.target[:most], strict=True)
        return [p for p, (row, want) in enumerate(pairs) if not right(row, want)]

    def condition(self, rows: list[tuple[int, Index]], target: list[bool]) -> str | None:
        key = ("c", tuple(rows), tuple(target))
        if key in self.memo:
            return self.memo[key]
        text = None
        if all(target):
            text = "True"
        else:
            sought = Sought(rows, target, bool, 400, lambda table, part: table.condition(part))
            if rows[0][1]:
                text = self._constant_set(rows, target)
            if text is None:
                text = self._search(sought)
            elif self._wrong(text, sought):
                text = None
        self.memo[key] = text
        return text

    def _constant_set(self, rows: list[tuple[int, Index]], target: list[bool]) -> str | None:
        """The same few positions in every config."""
        for d in range(len(rows[0][1])):
            yes = {idx[d] for (_, idx), t in zip(rows, target, strict=True) if t}
            no = {idx[d] for (_, idx), t in zip(rows, target, strict=True) if not t}
            if (
                not yes & no
                and len(yes) <= 12
                and len({b for (b, _), t in zip(rows, target, strict=True) if t}) > 3
            ):
                if len(yes) == 1:
                    return f"{INDICES[d]} == {next(iter(yes))}"
                if max(yes) < 12 and min(no) < max(yes):
                    return f"{INDICES[d]} in {sorted(yes)}"
        return None

    # ------------------------------------------------------------------

    def explain(self) -> Explanation:
        """Loops, then presence and dimensions of each pattern, then derived fields."""
        builds = self.study.builds
        seen: dict[str, dict[tuple[int, Index], tuple[Shape, str]]] = {}
        order: dict[str, None] = {}
        for b, build in enumerate(builds):
            for name, fact in build.tensors.items():
                pattern, index = pattern_of(name)
                order.setdefault(pattern)
                seen.setdefault(pattern, {})[b, index] = fact
        domains: dict[str, list[tuple[int, Index]]] = {"": [(b, ()) for b in range(len(builds))]}
        prefixes: dict[str, dict[tuple[int, Index], set[int]]] = {}
        for pattern, where in seen.items():
            parts = pattern.split("*")
            for d in range(len(parts) - 1):
                prefix = "*".join(parts[: d + 1])
                into = prefixes.setdefault(prefix, {})
                for b, index in where:
                    into.setdefault((b, index[:d]), set()).add(index[d])
        for prefix in sorted(prefixes, key=lambda p: p.count("*")):
            outer = self._outer(prefix)
            if outer not in domains:
                continue
            self._loop(prefix, prefixes[prefix], outer, domains)
        for pattern in order:
            self._tensor(pattern, seen[pattern], domains)
        self._derive()
        return self.out

    @staticmethod
    def _outer(prefix: str) -> str:
        """The prefix of the enclosing loop: `a.*.b.` is in `a.`."""
        return prefix.rpartition("*")[0] if "*" in prefix else ""

    def _loop(
        self,
        prefix: str,
        found: Mapping[tuple[int, Index], set[int]],
        outer: str,
        domains: dict[str, list[tuple[int, Index]]],
    ) -> None:
        present = [row for row in domains[outer] if row in found]
        target = [max(found[row]) + 1 for row in present]
        low = min(min(s) for s in found.values())
        text = None
        absent = [row for row in domains[outer] if row not in found]
        text = self.value(present, target)
        if text is not None and absent:
            # an expression that is 0 where there is nothing needs no condition
            both = self.value([*present, *absent], [*target, *[0] * len(absent)], cases=False)
            if both is not None and not re.search(r" if |ceil|min|max|%|//", both):
                text = both
        if text is None:
            self.out.failures.append(f"loop {prefix}*")
            return
        if absent and not all(self._counts(text, row) for row in absent):
            rows = [*present, *absent]
            when = self.condition(rows, [True] * len(present) + [False] * len(absent))
            if when is not None:
                text = f"({text}) if {when} else 0"
        self.out.loops[prefix] = [str(low), text]
        evaluator = compile_expression(text)
        rows: list[tuple[int, Index]] = []
        for b, index in domains[outer]:
            try:
                high = int(evaluator(self.scope(b, index)))
            except Exception:
                high = 0
            rows.extend((b, (*index, i)) for i in range(low, min(high, 4096)))
        domains[prefix] = rows

    def _counts(self, text: str, row: tuple[int, Index]) -> bool:
        """Whether an expression is a whole number there."""
        try:
            return isinstance(compile_expression(text)(self.scope(*row)), int)
        except Exception:
            return False

    def _tensor(
        self,
        pattern: str,
        where: Mapping[tuple[int, Index], tuple[Shape, str]],
        domains: dict[str, list[tuple[int, Index]]],
    ) -> None:
        prefix = pattern.rpartition("*")[0] if "*" in pattern else ""
        if prefix not in domains:
            self.out.failures.append(f"{pattern}: loop")
            return
        rows = domains[prefix]
        if sum(row in where for row in rows) != len(where):
            self.out.failures.append(f"{pattern}: outside its loop")
            return
        # One name may stand for things of different kinds, such as a norm and then a convolution.
        kinds = sorted({(len(shape), dtype) for shape, dtype in where.values()})
        for kind in kinds:
            here = [row in where and (len(where[row][0]), where[row][1]) == kind for row in rows]
            self._kind(pattern, kind, where, rows, here)

    def _kind(
        self,
        pattern: str,
        kind: tuple[int, str],
        where: Mapping[tuple[int, Index], tuple[Shape, str]],
        rows: list[tuple[int, Index]],
        here: list[bool],
    ) -> None:
        when = self.condition(rows, here)
        if when is None:
            self.out.failures.append(f"{pattern}: presence")
            return
        members = [row for row, h in zip(rows, here, strict=True) if h]
        shape = []
        for axis in range(kind[0]):
            text = self.value(members, [where[row][0][axis] for row in members])
            if text is None:
                self.out.failures.append(f"{pattern}: dimension {axis}")
                return
            shape.append(text)
        key = f"{pattern}#{kind[0]}{kind[1]}"
        self.out.tensors.append(
            {"key": key, "name": pattern, "when": when, "shape": shape, "dtype": kind[1]}
        )
        self.out.members[key] = members

    # ------------------------------------------------------------------ derived fields

    def texts(self) -> Iterator[str]:
        for _, text in self.out.loops.values():
            yield text
        for tensor in self.out.tensors:
            yield tensor["when"]
            yield from tensor["shape"]

    def used(self, texts: Iterator[str]) -> set[str]:
        """Fields that expressions name."""
        known = {p for c in self.configs for p in c}
        return {
            word
            for text in texts
            for word in re.findall(r"[A-Za-z_][\w.]*", re.sub(r"'[^']*'", "", text))
            if word in known
        }

    def _derive(self, extra: Iterator[str] = iter(())) -> None:
        raws = [flatten(b.raw) for b in self.study.builds]
        pending = self.used(iter([*self.texts(), *extra]))
        done: set[str] = {d["field"] for d in self.out.derived}
        plain = {
            p
            for p in {p for c in self.configs for p in c}
            if all(p in r and r[p] == c.get(p) for r, c in zip(raws, self.configs, strict=True))
        }
        order: list[dict[str, Any]] = []
        rounds = 0
        while pending - done and rounds < 60:
            rounds += 1
            path = min(pending - done)
            done.add(path)
            if path in plain:
                continue
            rule = self._rule(path, raws, plain)
            if rule is None:
                self.out.failures.append(f"derived {path}")
                continue
            order.append(rule)
            pending |= self.used(iter([v for k, v in rule.items() if k in {"value", "count"}]))
        # What a rule uses comes before it.
        self.out.derived = sorted([*self.out.derived, *order], key=lambda r: 0)
        self._sort()

    def _sort(self) -> None:
        rules = {r["field"]: r for r in self.out.derived}
        out: list[dict[str, Any]] = []
        state: dict[str, int] = {}

        def visit(name: str) -> None:
            if state.get(name) == 2 or name not in rules:
                return
            if state.get(name) == 1:
                self.out.failures.append(f"derived {name}: circular")
                return
            state[name] = 1
            rule = rules[name]
            for other in sorted(
                self.used(iter([v for k, v in rule.items() if k in {"value", "count"}]))
            ):
                if other != name:
                    visit(other)
            state[name] = 2
            out.append(rule)

        for name in sorted(rules):
            visit(name)
        self.out.derived = out

    def follow(self) -> None:
        """Fields that nobody gave and that came to be: what is given later has to be just that."""
        raws = [flatten(b.raw) for b in self.study.builds]
        posts = {p for c in self.configs for p in c if p in self.fields}
        done = {rule["field"] for rule in self.out.derived}
        for path in sorted(posts - done):
            values = [c.get(path) for c in self.configs]
            if all(r.get(path) is None for r in raws) and any(v != values[0] for v in values):
                kept, failed = list(self.out.derived), list(self.out.failures)
                self._derive(iter([path]))
                if self.out.failures != failed:
                    self.out.derived, self.out.failures = kept, failed

    def _rule(
        self, path: str, raws: list[dict[str, Any]], plain: set[str]
    ) -> dict[str, Any] | None:
        posts = self.configs
        given = [path in r and r[path] is not None for r in raws]
        kept = all(r[path] == c.get(path) for r, c, g in zip(raws, posts, given, strict=True) if g)
        pick = [b for b, g in enumerate(given) if not g] if kept else list(range(len(raws)))
        mode = ("absent" if any(given) else "follows") if kept else "always"
        targets = [posts[b].get(path) for b in pick]
        # Other fields as they come to be; this one as it was given.
        mixed = []
        for r, c in zip(raws, posts, strict=True):
            row = {
                p: v for p, v in {**r, **c}.items() if p.rpartition(".")[2] not in sampling.IGNORED
            }
            row.pop(path, None)
            if not kept and path in r:
                row[path] = r[path]
            mixed.append(row)
        own = set() if kept else {path}
        near = self.causes([(b, ()) for b in pick], targets) - (set() if own else {path})
        for fields in (near & plain | own, near | own, plain | own, None):
            if fields is not None and not fields:
                continue
            rule = self._rule_with(path, mode, pick, targets, mixed, fields)
            if rule is not None:
                return rule
        return None

    def _rule_with(
        self,
        path: str,
        mode: str,
        pick: list[int],
        targets: list[Any],
        mixed: list[dict[str, Any]],
        fields: set[str] | None,
    ) -> dict[str, Any] | None:
        rows = [(b, ()) for b in pick]
        rule: dict[str, Any] = {"field": path, "mode": mode}
        text = self._scalar(targets, rows, mixed, fields)
        if text is not None:
            return {**rule, "value": text}
        lists = [isinstance(t, list) for t in targets]
        if not any(lists) or not all(lists):
            return None
        count = self._scalar([len(t) for t in targets], rows, mixed, fields)
        if count is None:
            return None
        item_rows = [(b, (i,)) for b, t in zip(pick, targets, strict=True) for i in range(len(t))]
        items = [v for t in targets for v in t]
        if not item_rows:
            return {**rule, "count": "0", "value": "0"}
        value = self._scalar(items, item_rows, mixed, fields)
        return None if value is None else {**rule, "count": count, "value": value}

    def _scalar(
        self,
        targets: list[Any],
        rows: list[tuple[int, Index]],
        mixed: list[dict[str, Any]],
        fields: set[str] | None,
    ) -> str | None:
        kinds = {type(t) for t in targets}
        distinct = []
        for t in targets:
            if t not in distinct:
                distinct.append(t)
            if len(distinct) > 40:
                break
        if len(distinct) == 1 and kinds <= {int, float, str, bool, type(None)}:
            return repr(distinct[0])
        if list in kinds or dict in kinds:
            return None
        table = Table(mixed, rows, fields)
        if kinds == {int}:
            return table.value(targets)
        if kinds == {bool}:
            return table.condition(targets)
        if kinds <= {int, float}:
            for name, values in table.columns.items():
                if all(
                    isinstance(v, (int, float)) and v == t
                    for v, t in zip(values, targets, strict=True)
                ):
                    return name
            for name, values in table.columns.items():
                # such as 2 / num_hidden_layers
                if all(type(v) in (int, float) and v > 0 for v in values):
                    products = {round(t * v, 9) for v, t in zip(values, targets, strict=True)}
                    if len(products) == 1:
                        return f"{products.pop()!r} / {name}"
            whole = [float(t).is_integer() for t in targets]
            if all(whole):
                return table.value([int(t) for t in targets])
            return None
        for name, values in table.columns.items():
            if values == targets:
                return name
        if type(None) in kinds and kinds - {type(None)} == {int}:
            none = table.condition([t is None for t in targets])
            if none is None:
                return None
            keep = [n for n, t in enumerate(targets) if t is not None]
            rest = Table(mixed, [rows[n] for n in keep], fields).value([targets[n] for n in keep])
            return None if rest is None else f"None if {none} else {rest}"
        if len(distinct) <= 4:
            text = repr(distinct[-1])
            for one in distinct[:-1]:
                when = table.condition([t == one for t in targets])
                if when is None:
                    return None
                text = (
                    f"{one!r} if {when} else ({text})"
                    if " if " in text
                    else f"{one!r} if {when} else {text}"
                )
            return text
        return None
