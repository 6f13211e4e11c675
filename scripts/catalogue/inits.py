"""How each tensor starts: the calls that a real build makes, and what its values say of them.

Small models are really built on the CPU while every in-place draw is noted. What the last call on a
tensor claims is held against the values that are there, and then against other builds: the
arguments are solved as expressions of config fields, as dimensions are.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from transformers import initialization

from scripts.catalogue import building
from scripts.catalogue.solving import INDICES, Table
from scripts.catalogue.studying import Build, Explainer, Index, Study, limited, pattern_of, relevant

_METHODS = ("normal_", "uniform_", "zero_", "fill_", "copy_", "exponential_", "erfinv_", "mul_", "add_", "sub_", "div_", "clamp_", "log_normal_", "bernoulli_", "random_", "orthogonal_", "log_", "neg_", "exp_")  # fmt: skip
_FUNCTIONS = tuple(initialization.TORCH_INIT_FUNCTIONS)


@dataclass(frozen=True)
class Call:
    """One draw: what was called, and with which numbers."""

    name: str
    numbers: tuple[tuple[str, Any], ...] = ()


@dataclass
class Seen:
    """One saved tensor of one build."""

    shape: tuple[int, ...]
    call: Call | None
    constant: float | None
    rows: frozenset[int]
    values: np.ndarray | None = None
    integer: bool = False


class Recorder:
    """Notes draws by the memory that they fill."""

    def __init__(self) -> None:
        self.calls: dict[int, tuple[Call, int, Any]] = {}
        self._deep = 0

    def _wrap(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(tensor: Any, *args: Any, **kwargs: Any) -> Any:
            self._deep += 1
            try:
                result = function(tensor, *args, **kwargs)
            finally:
                self._deep -= 1
            if not self._deep and isinstance(tensor, torch.Tensor) and tensor.device.type == "cpu":
                self._note(name, tensor, args, kwargs)
            return result

        return call

    def _note(self, name: str, tensor: torch.Tensor, args: Any, kwargs: Any) -> None:
        if not tensor.numel():
            return  # nothing is drawn, and there are no fans to divide by
        storage = tensor.untyped_storage()
        whole = storage.nbytes() == tensor.numel() * tensor.element_size()
        key = storage.data_ptr()
        if whole:
            numbers = _numbers(name, tensor, args, kwargs)
            self.calls[key] = (Call(name, numbers), tensor.numel(), storage)
        elif (
            key in self.calls
            and name not in {"zero_", "zeros_"}
            and not (name in {"fill_", "constant_"} and args and args[0] == 0)
        ):
            self.calls[key] = (Call("part"), 0, storage)

    @contextmanager
    def recording(self) -> Iterator[None]:
        methods = {m: getattr(torch.Tensor, m) for m in _METHODS if hasattr(torch.Tensor, m)}
        functions = {f: getattr(torch.nn.init, f) for f in _FUNCTIONS}
        table = dict(initialization.TORCH_INIT_FUNCTIONS)
        for name, function in methods.items():
            setattr(torch.Tensor, name, self._wrap(name, function))
        for name, function in functions.items():
            wrapped = self._wrap(name, function)
            setattr(torch.nn.init, name, wrapped)
            initialization.TORCH_INIT_FUNCTIONS[name] = wrapped
        try:
            yield
        finally:
            for name, function in methods.items():
                setattr(torch.Tensor, name, function)
            for name, function in functions.items():
                setattr(torch.nn.init, name, function)
            initialization.TORCH_INIT_FUNCTIONS.update(table)


_ARGUMENTS = {
    "normal_": (("mean", 0.0), ("std", 1.0)),
    "uniform_": (("a", 0.0), ("b", 1.0)),
    "trunc_normal_": (("mean", 0.0), ("std", 1.0), ("a", -2.0), ("b", 2.0)),
    "constant_": (("val", 0.0),),
    "fill_": (("value", 0.0),),
    "xavier_uniform_": (("gain", 1.0),),
    "xavier_normal_": (("gain", 1.0),),
    "kaiming_uniform_": (("a", 0), ("mode", "fan_in"), ("nonlinearity", "leaky_relu")),
    "kaiming_normal_": (("a", 0), ("mode", "fan_in"), ("nonlinearity", "leaky_relu")),
    "orthogonal_": (("gain", 1.0),),
}


def _numbers(
    name: str, tensor: torch.Tensor, args: Any, kwargs: Any
) -> tuple[tuple[str, Any], ...]:
    """A call's arguments as the numbers of a distribution: bounds, or mean and spread."""
    words = _ARGUMENTS.get(name, ())
    given = dict(words)
    for (word, _), value in zip(words, args, strict=False):
        given[word] = value
    # torch.Tensor's own names for the bounds of a uniform draw
    given.update(
        {
            {"from": "a", "to": "b"}.get(k, k): v
            for k, v in kwargs.items()
            if {"from": "a", "to": "b"}.get(k, k) in given
        }
    )
    given = {
        k: (v.item() if isinstance(v, torch.Tensor) and v.numel() == 1 else v)
        for k, v in given.items()
    }
    if name.startswith(("xavier", "kaiming")) and tensor.dim() >= 2:
        fan_in, fan_out = torch.nn.init._calculate_fan_in_and_fan_out(tensor)
        if name.startswith("xavier"):
            std = given["gain"] * math.sqrt(2.0 / (fan_in + fan_out))
        else:
            fan = fan_in if given["mode"] == "fan_in" else fan_out
            std = torch.nn.init.calculate_gain(given["nonlinearity"], given["a"]) / math.sqrt(fan)
        return (
            (("bound", math.sqrt(3.0) * std),)
            if "uniform" in name
            else (("mean", 0.0), ("std", std))
        )
    return tuple(given.items())


_MEANS = {
    "xavier_uniform_": "uniform_",
    "kaiming_uniform_": "uniform_",
    "xavier_normal_": "normal_",
    "kaiming_normal_": "normal_",
    "zero_": "zeros_",
}


def observe(
    study: Study, build: Build, seed: int, reads: building.Reads, seconds: float = 20.0
) -> dict[str, Seen]:
    """The saved tensors of a real build, with the calls that made them."""
    import transformers

    recorder = Recorder()
    architecture = getattr(transformers, study.architecture)
    config = building.make_config(building.config_class(study.model_type), build.given)
    torch.manual_seed(seed)
    with limited(seconds):
        with recorder.recording(), reads.watching():
            model = building.construct(architecture, config, "cpu")
        saved = building.saved(model)
        found: dict[str, Seen] = {}
        for name, tensor in saved.items():
            found[name] = _look(tensor)
        # Which memory each saved tensor comes from: every parameter is filled with a number.
        owners: dict[int, int] = {}
        numbered: list[int] = []
        with torch.no_grad():
            for tensor in [*model.parameters(), *model.buffers()]:
                key = tensor.untyped_storage().data_ptr()
                if key in owners or tensor.dtype == torch.bool or not tensor.numel():
                    continue
                owners[key] = len(numbered)
                tensor.data.fill_(
                    len(numbered) + 2
                    if tensor.dtype in {torch.float32, torch.int64, torch.float64, torch.int32}
                    else 1
                )
                numbered.append(key)
            again = building.saved(model)
        for name, tensor in again.items():
            if name not in found or not tensor.numel():
                continue
            ids = torch.unique(tensor.double()).tolist()
            calls = set()
            for one in ids[:64]:
                key = numbered[int(one) - 2] if 0 <= int(one) - 2 < len(numbered) else None
                entry = recorder.calls.get(key) if key is not None else None
                calls.add(entry[0] if entry is not None else None)
            if len(calls) == 1 and len(ids) <= 64:
                found[name].call = calls.pop()
    return found


def _look(tensor: torch.Tensor) -> Seen:
    flat = tensor.detach().flatten()
    constant = None
    if flat.numel() and bool((flat == flat[0]).all()):
        constant = float(flat[0])
    rows: frozenset[int] = frozenset()
    if (
        tensor.dim() >= 2
        and constant is None
        and tensor.shape[0] <= 4096
        and tensor.dtype.is_floating_point
    ):
        zero = (tensor.reshape(tensor.shape[0], -1) == 0).all(dim=1)
        if bool(zero.any()):
            rows = frozenset(torch.nonzero(zero).flatten().tolist())
    values = None
    if constant is None:
        values = (
            flat[: 1 << 16].double().numpy().copy()
            if not rows
            else tensor[[r for r in range(tensor.shape[0]) if r not in rows]]
            .flatten()[: 1 << 16]
            .double()
            .numpy()
            .copy()
        )
    return Seen(
        tuple(tensor.shape), None, constant, rows, values, not tensor.dtype.is_floating_point
    )


# ---------------------------------------------------------------- solving


@dataclass
class Facts:
    """A pattern's tensors over all real builds."""

    rows: list[tuple[int, Index]] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)
    again: list[Seen | None] = field(default_factory=list)


def choose(study: Study, most: int) -> list[int]:
    """Builds that together have every pattern several times, small ones first."""
    sizes = [sum(math.prod(s) for s, _ in b.tensors.values()) for b in study.builds]
    patterns = [{pattern_of(n)[0] for n in b.tensors} for b in study.builds]
    order = sorted(range(len(sizes)), key=sizes.__getitem__)
    order = [b for b in order if sizes[b] <= 2e7]
    having: dict[str, list[int]] = {}
    for b in order:
        for pattern in patterns[b]:
            having.setdefault(pattern, []).append(b)
    chosen: dict[int, None] = {}
    # The rarest first: of each pattern some builds, and then whatever is small.
    for pattern in sorted(having, key=lambda p: len(having[p])):
        missing = 4 - sum(b in chosen for b in having[pattern])
        for b in having[pattern]:
            if missing > 0 and b not in chosen:
                chosen[b] = None
                missing -= 1
    for b in order:
        chosen.setdefault(b)
    return list(chosen)[:most]


class InitSolver:
    """Solves the calls of one class."""

    def __init__(
        self, study: Study, explainer: Explainer, most: int = 18, seconds: float = 40.0
    ) -> None:
        import time

        self.study, self.explainer = study, explainer
        self.facts: dict[str, Facts] = {}
        self.problems: list[str] = []
        self.reads = building.Reads()
        end = time.process_time() + seconds
        turn = 0
        for b in choose(study, 3 * most):
            if time.process_time() > end or turn >= most:
                break
            try:
                seen = observe(study, study.builds[b], 1, self.reads)
                again = (
                    observe(study, study.builds[b], 2, self.reads)
                    if turn < 3 or turn % 4 == 0
                    else {}
                )
            except BaseException as error:
                if isinstance(error, KeyboardInterrupt):
                    raise
                self.problems.append(f"{type(error).__name__}: {str(error)[:80]}")
                continue
            turn += 1
            for name, one in seen.items():
                pattern, index = pattern_of(name)
                facts = self.facts.setdefault(pattern, Facts())
                facts.rows.append((b, index))
                facts.seen.append(one)
                facts.again.append(again.get(name))
        for name, keys in self.reads.seen.items():
            study.reads.setdefault(name, set()).update(keys)
        names = relevant(study)
        every = {p for c in explainer.configs for p in c if p in names}
        explainer.fields |= every
        # Spread follows from widths and depths: from what shapes follow from, and real numbers.
        sizes = explainer.used(explainer.texts())
        self.fields = {
            p
            for p in every
            if p in sizes
            or "init" in p
            or "std" in p
            or any(isinstance(c.get(p), float) for c in explainer.configs)
        }
        explainer.tables.clear()
        self.tables: dict[Any, Table] = {}
        self.memo: dict[Any, str | None] = {}
        self.why: dict[str, str] = {}

    def solve(self) -> dict[str, list[dict[str, Any]]]:
        """Cases for each pattern; none for those that nothing explains."""
        found = {}
        for tensor in self.explainer.out.tensors:
            pattern, every = tensor["key"], self.facts.get(tensor["name"])
            members = set(self.explainer.out.members[pattern])
            facts = Facts()
            if every is not None:
                for row, seen, again in zip(every.rows, every.seen, every.again, strict=True):
                    if row in members:
                        facts.rows.append(row)
                        facts.seen.append(seen)
                        facts.again.append(again)
            if not facts.rows:
                self.why[pattern] = "never built"
                continue
            cases = self._pattern(pattern, facts)
            if cases is not None:
                found[pattern] = cases
        return found

    def _claims(self, facts: Facts) -> list[tuple[str, tuple[tuple[str, Any], ...]] | str]:
        """For each tensor its scheme and numbers, or why there is none."""
        claims: list[Any] = []
        for one, again in zip(facts.seen, facts.again, strict=True):
            # A tensor that two seeds give the same values was computed, whatever was called.
            computed = (
                again is not None
                and again.values is not None
                and one.values is not None
                and np.array_equal(again.values, one.values)
            )
            claim = self._claim(one, computed)
            if isinstance(claim, str) and not computed:
                table = self._table(one)
                claim = claim if isinstance(table, str) else table
            claims.append(claim)
        return claims

    def _claim(self, one: Seen, computed: bool) -> Any:
        if not math.prod(one.shape):
            return ("zeros", ())
        call = one.call
        name = _MEANS.get(call.name, call.name) if call is not None else None
        numbers = dict(call.numbers) if call is not None else {}
        if one.constant is not None and (
            name not in {"normal_", "uniform_", "trunc_normal_"}
            or math.prod(one.shape) > 1
            or numbers.get("std") == 0
        ):
            if one.constant == 0:
                return ("zeros", ())
            if one.constant == 1:
                return ("ones", ())
            value = numbers.get("val", numbers.get("value"))
            exact = (
                float(value)
                if isinstance(value, (int, float))
                and abs(float(value) - one.constant) <= 1e-6 * abs(one.constant)
                else one.constant
            )
            return ("constant", (("value", exact),))
        if computed or (one.values is None and one.constant is None):
            return self._table(one)
        if one.integer:
            return "integers that are not all one"
        x = one.values if one.values is not None else np.array([one.constant])
        n, mean, std = len(x), float(x.mean()), float(x.std())
        tolerance = 5 / math.sqrt(2 * n) + 1e-4
        if name == "normal_":
            want = float(numbers["std"])
            if n < 8 or (
                abs(std / want - 1) < tolerance * 1.3 + (0.6 if n < 30 else 0)
                and abs(mean - numbers["mean"]) < 6 * want / math.sqrt(n)
            ):
                return ("normal", (("mean", float(numbers["mean"])), ("std", want)))
            return "values are not what was called"
        if name == "uniform_":
            low, high = (
                (-numbers["bound"], numbers["bound"])
                if "bound" in numbers
                else (float(numbers["a"]), float(numbers["b"]))
            )
            inside = (
                x.min() >= low - 1e-6 * abs(low) - 1e-12
                and x.max() <= high + 1e-6 * abs(high) + 1e-12
            )
            spread = (high - low) / math.sqrt(12)
            if inside and (
                n < 20 or abs(std / spread - 1) < tolerance * 1.3 + (0.5 if n < 40 else 0)
            ):
                if low == -high:
                    return ("uniform", (("bound", high),))
                return ("uniform", (("low", low), ("high", high)))
            return "values are not what was called"
        if name == "trunc_normal_":
            return (
                "truncated_normal",
                (
                    ("mean", float(numbers["mean"])),
                    ("std", float(numbers["std"])),
                    ("lower", float(numbers["a"])),
                    ("upper", float(numbers["b"])),
                ),
            )
        if name == "orthogonal_":
            return ("orthogonal", (("gain", float(numbers["gain"])),))
        return f"made by {call.name if call is not None else 'something unseen'}"

    def _table(self, one: Seen) -> Any:
        """Values that depend on nothing random: one of the tables that have a scheme."""
        if one.values is None or len(one.shape) == 0:
            return "computed"
        n, d = one.shape[0], one.shape[-1]
        x = one.values
        if len(one.shape) == 2:
            if np.allclose(x, np.tile(np.log(np.arange(1, d + 1)), n)[: len(x)], rtol=1e-5):
                return ("mamba_A_log", ())
            for layout in ("interleaved", "concatenated"):
                if d % 2 == 0 and np.allclose(x, _sinusoid(n, d, layout)[: len(x)], atol=2e-4):
                    return ("sinusoidal", (("layout", layout),))
        return "computed"

    def _pattern(self, pattern: str, facts: Facts) -> list[dict[str, Any]] | None:
        claims = self._claims(facts)
        bad = [c for c in claims if isinstance(c, str)]
        if bad:
            self.why[pattern] = bad[0]
            return None
        keys = []
        for scheme, numbers in claims:
            key = (
                scheme,
                tuple(k for k, _ in numbers),
                tuple(v for _, v in numbers if isinstance(v, str)),
            )
            if key not in keys:
                keys.append(key)
        cases = []
        for key in sorted(keys, key=lambda k: -sum(c[0] == k[0] for c in claims)):
            pick = [
                n
                for n, (scheme, numbers) in enumerate(claims)
                if (
                    scheme,
                    tuple(k for k, _ in numbers),
                    tuple(v for _, v in numbers if isinstance(v, str)),
                )
                == key
            ]
            case: dict[str, Any] = {"scheme": key[0]}
            if len(keys) > 1:
                when = self.explainer.condition(
                    facts.rows, [n in set(pick) for n in range(len(claims))]
                )
                if when is None:
                    self.why[pattern] = f"when it is {key[0]}"
                    return None
                case["when"] = when
            rows = [facts.rows[n] for n in pick]
            parameters: dict[str, Any] = {}
            for position, word in enumerate(key[1]):
                values = [claims[n][1][position][1] for n in pick]
                if isinstance(values[0], str):
                    parameters[word] = values[0]
                    continue
                text = self.real(rows, values)
                if text is None:
                    self.why[pattern] = f"{key[0]} {word}"
                    return None
                parameters[word] = f"={text}"
            if "bound" in parameters:
                bound = parameters.pop("bound")[1:]
                parameters = {"low": f"=-({bound})", "high": f"={bound}"}
            if key[0] == "truncated_normal":
                parameters["bounds"] = "absolute"
            if key[0] == "normal" and parameters.get("mean") in {"=0", "=0.0"}:
                del parameters["mean"]
            parameters = {k: _literal(v) for k, v in parameters.items()}
            if parameters:
                case["with"] = parameters
            row = self._row(pattern, rows, [facts.seen[n] for n in pick])
            if row is False:
                self.why[pattern] = "rows of zeros"
                return None
            if row is not None:
                case["row"] = row
            cases.append(case)
        return cases

    def _row(self, pattern: str, rows: list[tuple[int, Index]], seen: list[Seen]) -> Any:
        """The row that padding keeps at zero: an expression, None, or False if there is none."""
        del pattern
        if not any(one.rows for one in seen):
            return None
        if any(len(one.rows) > 1 for one in seen):
            return False
        targets = [next(iter(one.rows)) if one.rows else None for one in seen]
        configs = self.explainer.configs
        for path in sorted(
            {p for c in configs for p in c}, key=lambda p: ("pad" not in p, p.count("."), p)
        ):
            values = [configs[b].get(path) for b, _ in rows]
            if all(
                (v if isinstance(v, int) and not isinstance(v, bool) else None) == t
                for v, t in zip(values, targets, strict=True)
            ):
                return path
        if all(t == targets[0] for t in targets) and targets[0] is not None:
            return str(targets[0])
        present = [n for n, t in enumerate(targets) if t is not None]
        for path in sorted(
            {p for c in configs for p in c}, key=lambda p: ("pad" not in p, p.count("."), p)
        ):
            values = [configs[rows[n][0]].get(path) for n in present]
            if all(
                v == targets[n] and not isinstance(v, bool)
                for v, n in zip(values, present, strict=True)
            ):
                when = self.explainer.condition(rows, [t is not None for t in targets])
                if when is not None:
                    return f"{path} if {when} else None"
        same = {targets[n] for n in present}
        if len(same) == 1:
            when = self.explainer.condition(rows, [t is not None for t in targets])
            if when is not None:
                return f"{same.pop()} if {when} else None"
        return False

    # ------------------------------------------------------------------ real numbers

    def real(self, rows: list[tuple[int, Index]], values: Sequence[float]) -> str | None:
        """An expression of these numbers, exact to rounding."""
        key = (tuple(rows), tuple(values))
        if key not in self.memo:
            self.memo[key] = self._real(rows, np.array(values, dtype=np.float64))
        return self.memo[key]

    def _real(self, rows: list[tuple[int, Index]], t: np.ndarray) -> str | None:
        if np.allclose(t, t[0], rtol=1e-9, atol=0) and len({b for b, _ in rows}) >= 2:
            return repr(float(t[0]))
        table_key = tuple(rows)
        if table_key not in self.tables:
            self.tables[table_key] = Table(self.explainer.configs, rows, self.fields)
        table = self.tables[table_key]
        columns: list[tuple[str, np.ndarray]] = []
        for name, column in table.columns.items():
            if name in INDICES or not all(
                isinstance(v, (int, float)) and not isinstance(v, bool) for v in column
            ):
                continue
            if not any(isinstance(v, float) for v in column):
                continue
            columns.append((name, np.array(column, dtype=np.float64)))

        def order(name):
            return (
                not any(w in name for w in ("init", "std", "factor", "range")),
                name.count("."),
                name,
            )

        columns.sort(key=lambda one: order(one[0]))
        # floats that null stands in for are left to the cases below
        for name, f in columns:
            for scale in (1.0, -1.0):
                if np.allclose(t, scale * f, rtol=1e-6, atol=1e-12):
                    return name if scale > 0 else f"-{name}"
        if not (t != 0).all():
            return self._by_cases(table, rows, t)
        moving = [(n, f) for n, f in columns if (f != 0).all() and np.isfinite(f).all()][:24]
        single: list[tuple[str, np.ndarray]] = [("", np.ones(len(t))), *moving]
        double = [
            (f"{a} * {b}", f * g)
            for x, (a, f) in enumerate(moving[:10])
            for b, g in moving[x + 1 : 10]
        ]
        for name, f in (*single[1:], *double):
            ratio = t / f
            if np.allclose(ratio, ratio[0], rtol=1e-6):
                return f"{_nice(float(ratio[0]))} * {name}"
        distinct = len(set(np.round(t, 12).tolist()))
        for factors, deep in ((single, False), (single[:8], True), (double, False)):
            if deep and distinct < 6:
                continue
            for name, f in factors:
                text = self._rooted(table, name, t / f, deep=deep)
                if text is not None:
                    return text
        return self._by_cases(table, rows, t)

    @staticmethod
    def _rooted(table: Table, name: str, ratio: np.ndarray, *, deep: bool) -> str | None:
        """`name` over, or by, the root of a whole expression."""
        if (ratio <= 0).any():
            return None
        for form in ("/", "*"):
            square = (1 / ratio**2) if form == "/" else ratio**2
            for c in (1, 2, 3, 6, 4, 5, 8, 9, 12):
                whole = square * c
                near = np.rint(whole)
                if (
                    near.max() > 1e9
                    or near.min() < 1
                    or not np.allclose(whole, near, rtol=1e-9, atol=1e-6)
                ):
                    continue
                found = table.number([int(v) for v in near], long=deep)
                # Few values are explained by anything: the fewer, the simpler it must be.
                if found is None or found[0] > min(4.5, 1.0 + len(set(near.tolist())) / 2):
                    continue
                text = found[1]
                if form == "/":
                    top = name or "1"
                    if c != 1:
                        top = f"{_nice(math.sqrt(c))} * {name}" if name else _nice(math.sqrt(c))
                    return f"{top} / sqrt({text})"
                root = f"sqrt({text})" if c == 1 else f"sqrt(({text}) / {c})"
                return f"{name} * {root}" if name else root
        return None

    def _by_cases(self, table: Table, rows: list[tuple[int, Index]], t: np.ndarray) -> str | None:
        distinct = sorted(set(t.tolist()))
        # A constant is believed where several builds have it: not one that a case was made for.
        builds = [{rows[n][0] for n in range(len(t)) if t[n] == one} for one in distinct[:4]]
        if len(distinct) <= 3 and all(len(one) >= 3 for one in builds):
            text = repr(distinct[-1])
            for one in distinct[:-1]:
                when = table.condition([v == one for v in t])
                if when is None:
                    return None
                text = f"{one!r} if {when} else ({text})"
            return text
        if getattr(self, "_nested", False):
            return None
        self._nested = True
        try:
            tried = 0
            for _, text, bits in table.literals:
                if not (
                    " is None" in text
                    or " is not None" in text
                    or "==" in text
                    or "!=" in text
                    or text in table.columns
                    or text.startswith("not ")
                    or "> 0" in text
                ):
                    continue
                flags = [(bits >> n) & 1 for n in range(table.count)]
                tried += 1
                if tried > 40:
                    break
                yes = [n for n, f in enumerate(flags) if f]
                no = [n for n, f in enumerate(flags) if not f]
                if min(len({rows[n][0] for n in part}) for part in (yes, no)) < 3:
                    continue
                a = self.real([rows[n] for n in yes], t[yes].tolist())
                if a is None:
                    continue
                b = self.real([rows[n] for n in no], t[no].tolist())
                if b is not None:
                    return f"{a} if {text} else ({b})"
        finally:
            self._nested = False
        return None


def _nice(value: float) -> str:
    """A constant, as a square root of a small fraction if it is one."""
    if value.is_integer():
        return str(int(value))
    for denominator in range(1, 65):
        top = value * value * denominator
        if abs(top - round(top)) < 1e-7 * top and 0 < round(top) < 1000:
            short = float(f"{value:.6g}")
            if abs(short - value) < 1e-12:
                return repr(short)
            return (
                f"sqrt({round(top)} / {denominator})" if denominator > 1 else f"sqrt({round(top)})"
            )
    short = float(f"{value:.7g}")
    return repr(short if abs(short / value - 1) < 1e-7 else value)


def _literal(value: Any) -> Any:
    """A number as a number, and not as an expression of none."""
    if isinstance(value, str) and value[:1] == "=":
        try:
            return float(value[1:])
        except ValueError:
            return value
    return value


def _sinusoid(n: int, d: int, layout: str) -> np.ndarray:
    position = np.arange(n)[:, None]
    if layout == "interleaved":
        angle = position / 10000 ** (2 * (np.arange(d) // 2) / d)
        out = np.where(np.arange(d) % 2 == 0, np.sin(angle), np.cos(angle))
    else:
        angle = position * np.exp(-np.log(10000) / max(d // 2 - 1, 1) * np.arange(d // 2))
        out = np.concatenate([np.sin(angle), np.cos(angle)], axis=1)
    return out.flatten()
