"""Data held to configs that took no part in solving it: sampled ones, defaults at full size, depths.

    python -m scripts.catalogue.holding --log build/held.jsonl [--seed 31337] [type …]

holds every class that is served, or those of some types, and goes on where the log ends. What it
finds wrong is to be mended, or served no more. Needs the interop environment.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.catalogue import comparing, oracle, ordering, reading, sampling, studying, sweeping
from scripts.catalogue.limited import Timeout
from seedbed.errors import SeedbedError
from seedbed.models.catalogue import engine
from seedbed.models.catalogue.store import index, load

Json = dict[str, Any]

UNSEEN = 8
"""Sampled configs that a class is held to."""

SECONDS = 40.0
"""Of the processor, for one build."""

LEAST_RIGHT = 5
"""Configs that have to be right, so that a class which refuses all is not called exact."""

_TIES = (None, True, False)
_MOST = 1_000_000


def sampled(kind: str, architecture: str, seed: int, count: int) -> list[Json]:
    """Configs that the library builds, of random fields."""
    builder = studying.Builder(kind, architecture)
    sampler = sampling.Sampler(builder.config_class, seed=seed)
    found: list[Json] = []
    for _ in sampler.walk(builder.build, lambda: len(found) >= count):
        assert builder.last is not None
        found.append(json.loads(json.dumps(builder.last.given)))
        if len(found) >= count:
            break
    return found


def tied(config: Json, data: Json, number: int) -> Json:
    """The same with one of the ways to tie: at the top, and in a nested text config."""
    paths = [("tie_word_embeddings",)]
    paths += [(path, "tie_word_embeddings") for path in data["nested"] if path == "text_config"]
    turns = itertools.islice(itertools.cycle(_TIES), number, None)
    for path, value in zip(paths, turns, strict=False):
        if value is not None:
            config = reading.having(config, path, value)
    return config


def outlined(kind: str, architecture: str, config: Json) -> tuple[oracle.Outlined, ...]:
    """Names, dtypes and shapes of a class."""
    return oracle.outline({**config, "model_type": kind}, architecture, seconds=SECONDS)


def built(data: Json, architecture: str, config: Json) -> tuple[tuple[Any, ...], frozenset[str]]:
    """What the data makes of a config: parameters, and names whose init is a guess."""
    program = engine._Program(data, architecture)
    run = engine._Run(program, program.settled.settle(config), _MOST)
    return tuple(run.parameters(program.body)), frozenset(run.guessed)


@dataclass
class Held:
    """What became of the configs that a class was held to.

    Attributes:
        unseen, refused: configs, and those of them that were refused.
        guessed: patterns whose init is a guess.
        wrong: the first difference, with its config.
    """

    unseen: int = 0
    refused: int = 0
    guessed: int = 0
    wrong: str | None = None

    @property
    def exact(self) -> bool:
        """Whether enough was right and nothing wrong."""
        return self.wrong is None and self.unseen - self.refused >= LEAST_RIGHT

    def state(self, data: Mapping[str, Any], architecture: str) -> dict[str, Any]:
        """What the index says of the class."""
        patterns = {tensor[0] for tensor in data["classes"][architecture]["tensors"]}
        return {
            "status": "exact",
            "unseen": self.unseen,
            "patterns": len(patterns),
            "guessed": self.guessed,
            "refused": self.refused,
        }


def cases(
    kind: str, architecture: str, data: Json, depths: Collection[int], seed: int
) -> Iterator[tuple[Json, bool]]:
    """Configs, each with whether initial values are compared too."""
    for n, config in enumerate(sampled(kind, architecture, seed, UNSEEN)):
        yield tied(config, data, n + 1), n % 3 == 0
    for name, config in sweeping.cases(kind):
        if "=" not in name or int(name.rpartition("=")[2]) in depths:
            yield config, False


def hold(
    kind: str, architecture: str, data: Json, *, depths: Collection[int], seed: int = 4242
) -> Held:
    """Compare until something is wrong: each config as it is, and as the library would save it."""
    held = Held()
    for config, inits in cases(kind, architecture, data, depths, seed):
        whole = {**config, "model_type": kind, "architectures": [architecture]}
        try:
            parameters, guessed = built(data, architecture, whole)
        except SeedbedError:
            held.refused += 1
            held.unseen += 1
            continue
        try:
            truth: Any = (
                oracle.truth(whole, architecture, seconds=SECONDS).tensors
                if inits
                else outlined(kind, architecture, config)
            )
        except (Exception, Timeout):
            continue
        held.unseen += 1
        what = comparing.tensors(parameters, truth)
        if what is None and inits:
            patterns = {ordering.split(name)[0] for name in guessed}
            held.guessed = max(held.guessed, len(patterns))
            wrong = comparing.starts(parameters, truth, guessed)
            what = f"init: {next(iter(wrong.items()))}" if wrong else None
        what = what or _saved(architecture, data, whole, truth)
        if what is not None:
            held.wrong = f"{what} | {json.dumps(config)[:300]}"
            break
    return held


def _saved(architecture: str, data: Json, config: Json, truth: Any) -> str | None:
    """What is wrong with the config as the library saves it, if it is not refused."""
    saved = json.loads(json.dumps(sweeping.plain(oracle.config_of(config).to_dict())))
    try:
        parameters, _ = built(data, architecture, saved | {"architectures": [architecture]})
    except SeedbedError:
        return None
    what = comparing.tensors(parameters, truth)
    return None if what is None else f"as saved: {what}"


def main() -> None:
    """Hold what is served."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("types", nargs="*", help="Model types; all without any.")
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=31337)
    asked = parser.parse_args()
    asked.log.touch()
    done = {(line["type"], line["class"]) for line in map(json.loads, asked.log.open())}
    for kind, states in sorted(index()["types"].items()):
        for architecture, state in sorted(states.items()):
            is_asked = not asked.types or kind in asked.types
            if state["status"] != "exact" or (kind, architecture) in done or not is_asked:
                continue
            held = hold(
                kind, architecture, dict(load(kind)), depths=sweeping.DEPTHS, seed=asked.seed
            )
            line = {"type": kind, "class": architecture, **dataclasses.asdict(held)}
            with asked.log.open("a") as log:
                log.write(json.dumps(line) + "\n")
            if held.wrong is not None:
                print(f"{kind} {architecture}: {held.wrong}", flush=True)


if __name__ == "__main__":
    main()
