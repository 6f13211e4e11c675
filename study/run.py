"""Runs the experiments and keeps their raw outcomes in one small JSON file."""

from __future__ import annotations

import hashlib
import json
import platform
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from seedbed.errors import ParameterError
from seedbed.stream import STREAM_VERSION
from study.data import FASHION, load
from study.design import EXPERIMENTS, Experiment
from study.start import measure_start
from study.train import as_records, torch_or_refuse, train

RESULTS = Path(__file__).parent / "results.json"
"""The committed result file; it is part of the package, since advice points into it."""


def quick_of(experiment: Experiment) -> Experiment:
    """The part of an experiment that a quick re-run repeats: some cells, the first few seeds."""
    quick = experiment.quick
    networks = experiment.architectures
    return replace(
        experiment,
        arms=tuple(arm for arm in experiment.arms if arm.name in quick["arms"]),
        architectures=tuple(a for a in networks if a.name in quick["architectures"]),
        rates=tuple(quick["rates"]),
        seeds=quick["seeds"],
    )


def digest_of(experiment: Experiment) -> str:
    """Which experiment this is: outcomes of another are not mixed with it. 16 digits."""
    facts = {key: value for key, value in asdict(experiment).items() if key != "quick"}
    text = json.dumps([STREAM_VERSION, facts], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def design_of(experiment: Experiment) -> dict[str, Any]:
    """What a reader of the result file must know of an experiment."""
    return {
        "question": experiment.question,
        "data": experiment.data,
        "digest": digest_of(experiment),
        "optimizer": experiment.optimizer,
        "rates": list(experiment.rates),
        "seeds": experiment.seeds,
        "epochs": experiment.epochs,
        "batch": experiment.batch,
        "arms": {arm.name: arm.init for arm in experiment.arms},
        "architectures": {
            a.name: {"depth": a.depth, "width": a.width} for a in experiment.architectures
        },
    }


def read(path: Path = RESULTS) -> dict[str, Any]:
    """A result file."""
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def choose(names: Sequence[str] | None) -> list[Experiment]:
    """Experiments by name, or all of them.

    Raises:
        ParameterError: there is none of a name.
    """
    known = {experiment.name: experiment for experiment in EXPERIMENTS}
    for name in names or ():
        if name not in known:
            raise ParameterError(f"there is no experiment {name!r}", ("only",), [*known])
    return [known[name] for name in names] if names else [*EXPERIMENTS]


def run(
    output: Path | None,
    experiments: Iterable[Experiment] = EXPERIMENTS,
    *,
    fashion: Path = FASHION,
    quick: bool = False,
    tell: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Train everything, and give back (and keep) what came of it.

    A file that is there already is gone on with: what it has of the same design is not done again.

    Args:
        output: the result file, written after each arm; None keeps nothing.
        experiments: what to run.
        fashion: directory of Fashion-MNIST.
        quick: only what `Experiment.quick` names, of experiments that have one.
        tell: hears of each arm as it ends.

    Raises:
        MissingDataError: PyTorch or a data set is missing.
    """
    torch = torch_or_refuse()
    chosen = [quick_of(e) for e in experiments if e.quick] if quick else list(experiments)
    results: dict[str, Any] = {"experiments": {}}
    if output is not None and output.exists():
        results = read(output)
    results["made_by"] = {
        "seedbed": version("seedbed"),
        "stream": STREAM_VERSION,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
    }
    for experiment in chosen:
        data = load(experiment.data, fashion)
        kept = results["experiments"].get(experiment.name)
        if kept is None or kept["digest"] != digest_of(experiment):
            kept = {**design_of(experiment), "seconds": 0.0, "cells": {}}
            results["experiments"][experiment.name] = kept
        for architecture in experiment.architectures:
            cells = kept["cells"].setdefault(architecture.name, {})
            for arm in experiment.arms:
                if arm.name in cells:
                    continue
                began = time.perf_counter()
                cells[arm.name] = as_records(train(experiment, architecture, arm, data), experiment)
                seconds = time.perf_counter() - began
                kept["seconds"] = round(kept["seconds"] + seconds, 1)
                tell(f"{experiment.name} {architecture.name} {arm.name}: {seconds:.1f} s")
                if output is not None:
                    write(results, output)
    if output is not None and "start" not in results:
        results["start"] = measure_start()
        write(results, output)
    return results


def write(results: dict[str, Any], output: Path) -> None:
    """A result file with a line a list of numbers: small, and its changes can be read."""
    text = json.dumps(results, indent=1, sort_keys=True)
    compact = _join_numbers(text)
    temporary = output.with_suffix(".partial")
    temporary.write_text(compact + "\n", encoding="utf-8")
    temporary.replace(output)


def _join_numbers(text: str) -> str:
    """Lists of plain numbers on one line each."""
    lines: list[str] = []
    joined: list[str] | None = None
    for line in text.split("\n"):
        bare = line.strip()
        number = bare.rstrip(",").lstrip("-").replace(".", "", 1).replace("e-", "", 1)
        if joined is not None and (number.isdigit() or bare.rstrip(",") == "null"):
            joined.append(bare)
        elif joined is not None and bare in ("]", "],"):
            lines[-1] += " ".join(joined) + bare
            joined = None
        else:
            if joined is not None:  # the list had other things in it
                indent = len(lines[-1]) - len(lines[-1].lstrip()) + 1
                lines += [" " * indent + one for one in joined]
            lines.append(line)
            joined = [] if bare.endswith("[") else None
    return "\n".join(lines)
