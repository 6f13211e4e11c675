"""Published configs through the light path and through the library: exact, refused or WRONG.

    python -m scripts.catalogue.measure FOLDER [--log build/measure.jsonl] [--only llama]

FOLDER has `*.json.gz` (config, class, tensors) and perhaps `*.jsonl` of small configs. What the log
has is not done again; without a log everything is. Needs the interop environment.
"""

from __future__ import annotations

import argparse
import gzip
import json
import re
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.catalogue import comparing, oracle
from scripts.catalogue.limited import Timeout
from scripts.resumable import logged
from seedbed.errors import SeedbedError
from seedbed.models import registry
from seedbed.models.config import dtype_of


@dataclass(frozen=True, slots=True)
class Stored:
    """A tensor of a stored truth."""

    name: str
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Case:
    """A config, the class that it means, and perhaps what the library was seen to save."""

    name: str
    config: dict[str, Any]
    architecture: str
    stored: tuple[Stored, ...] | None = None


def cases(folder: Path) -> Iterator[Case]:
    """All of a folder."""
    for path in sorted(folder.glob("*.json.gz")):
        one = json.loads(gzip.decompress(path.read_bytes()))
        kept = tuple(Stored(n, d, tuple(s)) for n, (d, s) in one["tensors"].items())
        yield Case(path.name.removesuffix(".json.gz"), one["config"], one["class"], kept)
    for path in sorted(folder.glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            one = json.loads(line)
            yield Case(one["what"], one["config"], one["config"]["architectures"][0])


def measure(case: Case, *, inits: bool, most: int = 2**63) -> dict[str, Any]:
    """What became of one config."""
    line: dict[str, Any] = {"name": case.name, "class": case.architecture}
    began = time.process_time()
    config = {k: v for k, v in case.config.items() if k != "quantization_config"}
    config["architectures"] = [case.architecture]
    try:
        model = registry.of_config(config)
    except SeedbedError as error:
        where = ".".join(map(str, getattr(error, "path", ())))
        return {**line, "state": "refused", "why": f"{where}: {error.message}"[:200]}
    finally:
        line["seconds"] = round(time.process_time() - began, 2)
    line["engine"] = "catalogue" if type(model).__module__ and _solved(config) else "family"
    try:
        inits = inits and (case.stored is None or len(case.stored) <= most)
        kept = _truth(config, case) if inits or case.stored is None else case.stored
    except (Exception, Timeout) as error:
        return {**line, "state": "no truth", "why": f"{type(error).__name__}: {error}"[:200]}
    what = comparing.tensors(model.parameters, kept)
    if what is not None and not (case.stored is not None and what.startswith("dtype")):
        return {**line, "state": "WRONG", "why": what}
    if inits:
        wrong = comparing.starts(model.parameters, kept, model.guessed)
        line["guessed"] = len(model.guessed)
        line["unsaid"] = len(comparing.unsaid(kept))
        if wrong:
            name = next(iter(wrong))
            return {**line, "state": "WRONG", "why": f"init ({len(wrong)}): {name} {wrong[name]}"}
    line["dtypes"] = _dtypes(model, case)
    return {**line, "state": "exact"}


def _solved(config: dict[str, Any]) -> bool:
    """Whether the catalogue answered, and no family written by hand."""
    from seedbed.models.transformers import FAMILIES

    family = FAMILIES.get(config.get("model_type", ""))
    return family is None or config["architectures"][0] not in {
        *family.classes(),
        *family.former,
    }


def _truth(config: dict[str, Any], case: Case) -> Any:
    return oracle.truth(config, case.architecture, seconds=240).tensors


def _dtypes(model: Any, case: Case) -> str | None:
    """Whether dtypes are those of the stored truth, if there is one."""
    if case.stored is None:
        return None
    default = dtype_of(case.config) or "F32"
    model = model.in_dtype(default)
    want = {one.name: one.dtype for one in case.stored}
    wrong = [p.name for p in model.parameters if (p.dtype or default) != want.get(p.name)]
    return f"{len(wrong)} others: {wrong[0]}" if wrong else "right"


def kind(why: str) -> str:
    """A reason without what is of one config alone."""
    return re.sub(r"\d+", "n", re.sub(r"'[^']*'|\[[^\]]*\]", "…", why))[:70]


def table(lines: list[dict[str, Any]]) -> str:
    """Counts, then every answer that is not exact."""
    states = Counter(line["state"] for line in lines)
    right = sum(line.get("dtypes") == "right" for line in lines)
    text = [f"{len(lines)}: {dict(states)}; {right} with right dtypes too"]
    for state in ("WRONG", "no truth", "refused"):
        these = [line for line in lines if line["state"] == state]
        text += [f"{state:8s} {one['name'][:60]:60s} {one['class']}: {one['why']}" for one in these]
    named = [one for one in lines if one.get("guessed") or one.get("unsaid")]
    text += [
        f"{'inits':8s} {one['name'][:60]:60s} {one['class']}: {one['guessed']} guessed, "
        f"{one['unsaid']} of which the recorder does not say"
        for one in named
    ]
    return "\n".join(text)


def main() -> None:
    """Measure what the log lacks, and show the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--log", type=Path)
    parser.add_argument("--only", default="", help="Cases whose name has this.")
    parser.add_argument("--most", type=int, default=2**63, help="Tensors, with initial values.")
    parser.add_argument("--names", action="store_true", help="Without initial values.")
    given = parser.parse_args()
    done: dict[str, dict[str, Any]] = {}
    if given.log:
        done = {line["name"]: line for line in logged(given.log)}
    for case in cases(given.folder):
        if case.name in done or given.only not in case.name:
            continue
        done[case.name] = measure(case, inits=not given.names, most=given.most)
        if given.log:
            with given.log.open("a", encoding="utf-8") as log:
                log.write(json.dumps(done[case.name]) + "\n")
    print(table([line for name, line in done.items() if given.only in name]))


if __name__ == "__main__":
    main()
