"""Change the code in one place, and see whether the tests of its module notice: `make mutants`.

    python -m scripts.mutants --minutes 20 --seed 7 web.ranges init.arrays

A mutant is made by an operator of cosmic-ray (`<` for `<=`, `and` for `or`, 4 for 3, a loop that
never runs …) and lives in memory, in a process of its own: no file is changed, so several are tried
at once. It is killed if a test of its module's mirror fails (`app/seedbed/init/views.py`:
`tests/init/test_views.py`), or takes far longer than without it. A survivor is a change that nobody
would notice: a test is missing, or the mutant means the same, or the code is not needed.

Which are tried is decided by the seed, how many by the minutes. Code that is compiled, and what
tests start as another program, is not mutated.
"""

from __future__ import annotations

import argparse
import contextlib
import difflib
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import multiprocessing
import multiprocessing.connection
import os
import random
import resource
import signal
import sys
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import CodeType

import pytest
from cosmic_ray.ast import ast_nodes, get_ast_from_path
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names

ROOT = Path(__file__).resolve().parent.parent
APP = ROOT / "app" / "seedbed"

WHERE = ("stream", "init", "files", "web.ranges", "web.streaming", "web.service", "web.keys")
"""Rooms and modules that are mutated unless others are named."""

COMPILED = {"stream.aesni", "stream.build", "stream.kernels", "stream.scattered", "stream.tiles"}
"""Modules that other processes compile."""

PRELOADED = (
    "fastapi", "httpx", "hypothesis.strategies", "ml_dtypes", "mpmath", "numpy", "psutil",
    "pydantic", "pytest", "safetensors.numpy", "scipy.stats",
)  # fmt: skip
"""What most tests import, once for all mutants."""

SPARE_SECONDS = 20
"""Of processor, beyond three times what the tests take without a mutant."""

WAIT_SECONDS = 300
"""For a mutant that waits for what never comes."""

OUTCOMES = KILLED, ENDLESS, SURVIVED = "killed", "endless", "survived"


@dataclass(frozen=True, slots=True)
class Mutant:
    """A module with one change.

    Attributes:
        module: after `seedbed.`.
        operator: of cosmic-ray.
        occurrence: which of the places where the operator could change something.
    """

    module: str
    operator: str
    occurrence: int

    def source(self) -> str:
        """The changed text of the module."""
        text: str | None = mutate_code(
            path_of(self.module).read_text(encoding="utf-8"),
            get_operator(self.operator)(),
            self.occurrence,
        )
        if text is None:
            raise LookupError(self)
        return text

    def diff(self) -> str:
        """What is changed, for people."""
        before = path_of(self.module).read_text(encoding="utf-8").splitlines()
        lines = difflib.unified_diff(before, self.source().splitlines(), lineterm="", n=1)
        return "\n".join([f"{self.module}: {self.operator}", *[*lines][2:]])


def path_of(module: str) -> Path:
    """The source of a module."""
    return APP / f"{module.replace('.', '/')}.py"


def mirror_of(module: str) -> Path:
    """The tests of a module."""
    *rooms, name = _MIRRORS.get(module, module).split(".")
    return ROOT.joinpath("tests", *rooms, f"test_{name}.py")


_MIRRORS = {
    **dict.fromkeys(("init.arrays", "init.composition", "init.fill"), "init.views"),
    **dict.fromkeys(("init.dense", "init.source"), "init.matrices"),
    **dict.fromkeys(("init.rules", "init.tensors"), "init.planning"),
    **{
        f"init.layers.{name}": "init.layers"
        for name in ("attention", "base", "convolution", "embedding", "linear", "normalization",
                     "recurrent")
    },
    **{
        f"init.schemes.{name}": "init.schemes"
        for name in ("base", "constants", "distributions", "fans", "recipes")
    },
    "init.schemes.draws": "init.schemes.derived",
    "files.small": "files.checkpoint",
    "files.card": "files.checkpoint",
    "files.token": "files.spec",
    "files.reading": "files.findings",
    "stream.compiled": "stream.engine",
    "stream.levels": "stream.engine",
}  # fmt: skip
"""Modules whose tests are those of another one's file."""


def modules_in(where: Sequence[str]) -> Iterator[str]:
    """Modules of rooms, or those that are named."""
    for place in where:
        folder = APP / place.replace(".", "/")
        paths = sorted(folder.rglob("*.py")) if folder.is_dir() else [path_of(place)]
        for path in paths:
            module = ".".join(path.relative_to(APP).with_suffix("").parts)
            if path.stem != "__init__" and module not in COMPILED:
                yield module


def mutants_of(module: str) -> Iterator[list[Mutant]]:
    """For each place that can be changed, all that it can be changed to; type hints are none."""
    places: dict[object, list[Mutant]] = {}
    tree = get_ast_from_path(path_of(module))
    for name in operator_names():
        operator_class = get_operator(name)
        if operator_class.arguments():
            continue
        positions = (
            (node, position)
            for node in ast_nodes(tree)
            for position in operator_class().mutation_positions(node)
        )
        for occurrence, (node, position) in enumerate(positions):
            if not _is_hint(node):
                places.setdefault(position, []).append(Mutant(module, name, occurrence))
    yield from places.values()


def _is_hint(node: object) -> bool:
    """Whether a node of parso's tree is within an annotation, which nothing evaluates."""
    while (parent := getattr(node, "parent", None)) is not None:
        before = parent.children[: parent.children.index(node)]
        marks = [getattr(child, "value", None) for child in before[-1:]]
        if (parent.type in {"tfpdef", "annassign"} and marks == [":"]) or (
            parent.type == "funcdef" and marks == ["->"]
        ):
            return True
        node = parent
    return False


class _Mutated(importlib.machinery.SourceFileLoader):
    """Loads a module from a changed text, at the path of the module itself."""

    def __init__(self, fullname: str, path: str, text: str) -> None:
        super().__init__(fullname, path)
        self._text = text

    def get_code(self, fullname: str) -> CodeType:
        return compile(self._text, self.get_filename(fullname), "exec")


class _Finder(importlib.abc.MetaPathFinder):
    """Finds one module, changed."""

    def __init__(self, mutant: Mutant) -> None:
        self._name = f"seedbed.{mutant.module}"
        self._loader = _Mutated(self._name, str(path_of(mutant.module)), mutant.source())

    def find_spec(self, fullname: str, *_: object) -> importlib.machinery.ModuleSpec | None:
        if fullname != self._name:
            return None
        return importlib.util.spec_from_loader(fullname, self._loader)


def _child(module: str, mutant: Mutant | None, seconds: int, says: Path) -> None:
    """Run a module's mirror in this process, and end with pytest's own code."""
    os.setpgid(0, 0)
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    with says.open("w", encoding="utf-8") as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    if mutant is not None:
        sys.meta_path.insert(0, _Finder(mutant))
    options = ["-q", "-x", "-p", "no:cacheprovider", "-p", "no:xdist", "-m", "not stress"]
    preloaded = ["-W", "ignore::pytest.PytestAssertRewriteWarning"]
    code = pytest.main([*options, *preloaded, str(mirror_of(module))])
    sys.stdout.flush()
    os._exit(int(code))


class Attempt:
    """A run of a module's mirror, with a mutant or with the module as it is.

    Args:
        module: whose mirror.
        mutant: None for the module as it is.
        seconds: of processor that it may take.
        folder: for what pytest says.
    """

    def __init__(self, module: str, mutant: Mutant | None, seconds: float, folder: Path) -> None:
        self.module, self.mutant = module, mutant
        self.began = time.monotonic()
        self._process = multiprocessing.get_context("fork").Process(
            target=_child, args=(module, mutant, int(seconds), folder / f"{module}.txt")
        )
        self._process.start()
        self.sentinel = self._process.sentinel

    @property
    def seconds(self) -> float:
        """Since it began."""
        return time.monotonic() - self.began

    def end(self) -> None:
        """End it, and what its tests have started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid or 0, signal.SIGKILL)
        self._process.join(WAIT_SECONDS)

    def outcome(self) -> str:
        """How it ended, or is ended now because it took too long."""
        alive = self.seconds > WAIT_SECONDS
        if not alive:
            self._process.join(WAIT_SECONDS)
        self.end()
        if alive or self._process.exitcode in (-signal.SIGKILL, -signal.SIGXCPU):
            return ENDLESS
        return KILLED if self._process.exitcode else SURVIVED


class Trial:
    """Tries mutants, several at once, for as long as there is time."""

    def __init__(self, folder: Path, jobs: int, deadline: float) -> None:
        self._folder, self._jobs, self._deadline = folder, jobs, deadline
        self._seconds: dict[str, float] = {}
        self._waiting: dict[str, list[Mutant]] = {}
        self._running: list[Attempt] = []
        self.counts: Counter[tuple[str, str]] = Counter()
        self.survivors: list[Mutant] = []

    def run(self, mutants: Sequence[Mutant]) -> None:
        """Try them in this order, but that a module without a change comes first.

        Raises:
            SystemExit: its mirror fails.
        """
        todo = deque(mutants)
        while (todo or self._running) and time.monotonic() < self._deadline:
            while todo and len(self._running) < self._jobs:
                self._start(todo.popleft())
            sentinels = [attempt.sentinel for attempt in self._running]
            ended = multiprocessing.connection.wait(sentinels, timeout=1)
            for attempt in [*self._running]:
                if attempt.sentinel in ended or attempt.seconds > WAIT_SECONDS:
                    self._running.remove(attempt)
                    todo.extendleft(self._take(attempt))
        for attempt in self._running:
            attempt.end()

    def _start(self, mutant: Mutant) -> None:
        module = mutant.module
        if module in self._waiting:
            self._waiting[module].append(mutant)
        elif module not in self._seconds:
            self._waiting[module] = [mutant]
            self._running.append(Attempt(module, None, WAIT_SECONDS, self._folder))
        else:
            seconds = SPARE_SECONDS + 3 * self._seconds[module]
            self._running.append(Attempt(module, mutant, seconds, self._folder))

    def _take(self, attempt: Attempt) -> list[Mutant]:
        """Count what has ended; mutants that waited for it."""
        outcome, mutant = attempt.outcome(), attempt.mutant
        if mutant is not None:
            self.counts[attempt.module, outcome] += 1
            if outcome == SURVIVED:
                self.survivors.append(mutant)
                print(mutant.diff(), end="\n\n", flush=True)
            return []
        if outcome != SURVIVED:
            text = (self._folder / f"{attempt.module}.txt").read_text(encoding="utf-8")
            raise SystemExit(f"{mirror_of(attempt.module)} fails without a mutant:\n{text}")
        self._seconds[attempt.module] = attempt.seconds
        return self._waiting.pop(attempt.module)


def main() -> None:
    """Try mutants until the time is over, and report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("where", nargs="*", default=WHERE, help="rooms or modules: init, web.keys")
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    options = parser.parse_args()
    deadline = time.monotonic() + 60 * options.minutes
    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT / "app"))
    sys.dont_write_bytecode = True
    for name in PRELOADED:
        importlib.import_module(name)
    modules = [*modules_in(options.where)]
    mirrored = [module for module in modules if mirror_of(module).exists()]
    choice = random.Random(options.seed)
    places = [place for module in mirrored for place in mutants_of(module)]
    choice.shuffle(places)
    folder = ROOT / "build" / "mutants"
    folder.mkdir(parents=True, exist_ok=True)
    trial = Trial(folder, options.jobs, deadline)
    trial.run([choice.choice(place) for place in places])
    report = "\n".join(lines_of(trial, len(places), sorted({*modules} - {*mirrored})))
    print(report)
    survivors = "".join(f"{mutant.diff()}\n\n" for mutant in trial.survivors)
    (folder / "report.txt").write_text(f"{survivors}{report}\n", encoding="utf-8")


def lines_of(trial: Trial, places: int, unmirrored: Sequence[str]) -> Iterator[str]:
    """Figures for each module, and for all."""
    total: Counter[str] = Counter()
    for module in sorted({module for module, _ in trial.counts}):
        counts = {outcome: trial.counts[module, outcome] for outcome in OUTCOMES}
        total.update(counts)
        yield f"{module}: {', '.join(f'{count} {what}' for what, count in counts.items())}"
    figures = ", ".join(f"{total[outcome]} {outcome}" for outcome in OUTCOMES)
    yield f"{total.total()} mutants, of {places} places: {figures}"
    if unmirrored:
        yield f"without a mirror, and so not tried: {', '.join(unmirrored)}"


if __name__ == "__main__":
    main()
