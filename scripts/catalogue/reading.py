"""How the library reads a config, held against how the light path does: without building models.

A config class of transformers does more than keep what it is given: it fills in what is absent,
pops legacy spellings, takes flat fields for those of a nested config, derives lists of layer kinds.
All that shows in the config that comes out, in a millisecond. So each way of giving a field is
tried here, at every depth, and what the light path's settled config has otherwise is a finding.

    python -m scripts.catalogue.reading --log build/reading.jsonl [--only lfm2]
"""

from __future__ import annotations

import argparse
import copy
import inspect
import json
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from scripts.catalogue import oracle
from scripts.catalogue.fitting import flattened
from scripts.resumable import logged
from seedbed.errors import SeedbedError
from seedbed.models.catalogue import types
from seedbed.models.catalogue.settling import HARMLESS, Settled
from seedbed.models.catalogue.store import load

DEPTHS = (1, 2, 3, 5, 8, 13, 21, 48, 64, 96)
LAYERS = re.compile(r"(^|_)(n_layers?|num_layers|layers|depth|num_blocks|n_blocks)$")
_WORD = re.compile(r"[A-Za-z_][\w.]*")
_ABSENT = object()

Path_ = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """A config of which light path and library read a field otherwise.

    Attributes:
        case: how the config was made: `bare`, `depth`, `given`, `spelling`, `flat`, `alias`.
        given: path that was given, if one was.
        field: path that is read otherwise.
        mine, theirs: its values.
        config: the whole of it.
    """

    case: str
    given: str
    field: str
    mine: Any
    theirs: Any
    config: dict[str, Any]


def used(one: Mapping[str, Any]) -> set[str]:
    """Words of the expressions of a class."""
    texts = [text for pair in one["loops"].values() for text in pair]
    for _, when, shape, _, _ in one["tensors"]:
        texts += [when, *shape]
    for cases in one["inits"]:
        for case in cases:
            texts += [case.get("when", ""), case.get("row") or ""]
            texts += [
                value[1:]
                for value in case.get("with", {}).values()
                if isinstance(value, str) and value[:1] == "="
            ]
    return {
        word for text in texts for word in _WORD.findall(re.sub(r"'[^']*'", "", text))
    } - _LANGUAGE


_LANGUAGE = {
    "min", "max", "ceil", "sqrt", "div", "divisible", "len", "int", "sum", "if", "else", "and", "or",
    "not", "in", "is", "None", "True", "False", "i", "j", "k", "l",
}  # fmt: skip


def reached(config: Any, path: str) -> Any:
    """The value of a config of the library at a dotted path, as JSON has it."""
    for name in path.split("."):
        if isinstance(config, Mapping):
            config = config.get(name, _ABSENT)
        else:
            config = getattr(config, name, _ABSENT)
        if config is _ABSENT or config is None:
            return config
    return plain(config)


def plain(value: Any) -> Any:
    """A value as JSON has it."""
    if isinstance(value, Mapping):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(part) for part in value]
    return value


def level(defaults: Mapping[str, Any], path: Path_) -> Any:
    """What defaults have at a path."""
    for name in path:
        defaults = defaults[name]
    return defaults


def having(config: Mapping[str, Any], path: Path_, value: Any) -> dict[str, Any]:
    """The same with another value at a path."""
    first, *rest = path
    inner = having(config.get(first) or {}, tuple(rest), value) if rest else value
    return {**config, first: inner}


def others(value: Any, name: str) -> list[Any]:
    """Values that a field might have in place of this one."""
    if isinstance(value, bool):
        return [not value, None]
    if isinstance(value, int):
        return [value * 2 or 2, 1, 0, None]
    if isinstance(value, float):
        return [value * 0.5 + 0.125, None]
    if isinstance(value, str):
        return [None]
    if isinstance(value, list):
        return [value[:-1], value[::-1], None] if value else [[0], [1, 2], None]
    if isinstance(value, Mapping):
        return []
    if name.endswith(("types", "type")):
        return []
    return [True, False, 1, 2, 3, [0], [1, 2], 0.5, "a"]


@lru_cache(maxsize=512)
def words(cls: type) -> frozenset[str]:
    """Everything in the methods of a config class that may be the name of a field."""
    found: set[str] = set(cls.attribute_map)  # type: ignore[attr-defined]
    for one in cls.__mro__:
        if not one.__module__.startswith("transformers.models"):
            continue
        for part in vars(one).values():
            for method in (
                ((part.fget, part.fset) if isinstance(part, property) else (inspect.unwrap(part),))
                if callable(part) or isinstance(part, property)
                else ()
            ):
                try:
                    text = inspect.getsource(method) if inspect.isfunction(method) else ""
                except (OSError, TypeError):
                    continue
                text = re.sub(r'r?"""[\s\S]*?"""', "", text)
                found |= set(re.findall(r"""["']([a-z]\w{2,})["']""", text))
                found |= set(re.findall(r"\bself\.([a-z]\w+)", text))
    return frozenset(found)


def config_classes(cls: type, prefix: str = "") -> Iterator[tuple[str, type]]:
    """A config class and those of its nested configs, by prefix."""
    yield prefix, cls
    for key, spec in cls.sub_configs_defaults.items():  # type: ignore[attr-defined]
        sub = spec.config_class
        if not issubclass(sub, oracle.transformers.PreTrainedConfig):
            if not spec.model_type:
                continue
            sub = spec.get_config_class(spec.model_type)
        yield from config_classes(sub, f"{prefix}{key}.")


class Reader:
    """One class of a type, read by both."""

    def __init__(self, kind: str, architecture: str, data: Mapping[str, Any]) -> None:
        self.kind = kind
        self.data = data
        self.one = data["classes"][architecture]
        self.settled = Settled(data, architecture)
        flat = set(flattened(data["defaults"]))
        self.fields = sorted(
            {
                path
                for path in used(self.one)
                if path in flat or any(rule["field"] == path for rule in self.one["derived"])
            }
        )
        self.declared = flat

    def compare(self, case: str, given: str, config: dict[str, Any]) -> list[Finding]:
        """Fields that are read otherwise; none where either of the two refuses."""
        try:
            settled = self.settled.settle({"model_type": self.kind, **copy.deepcopy(config)})
        except SeedbedError:
            return []
        try:
            theirs = oracle.config_of({"model_type": self.kind, **config})
        except Exception:
            return []
        found = []
        for path in self.fields:
            mine = settled
            for name in path.split("."):
                mine = mine.get(name, _ABSENT) if isinstance(mine, Mapping) else _ABSENT
            want = reached(theirs, path)
            if mine is _ABSENT or want is _ABSENT:
                continue
            if mine != want or isinstance(mine, bool) != isinstance(want, bool):
                found.append(Finding(case, given, path, mine, want, config))
        return found

    def cases(self) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """Configs: bare, each nested one empty, each depth, each field, spelling and flat field."""
        yield "bare", "", {}
        defaults = self.data["defaults"]
        for path in self.data["nested"]:
            yield "bare", path, having({}, tuple(path.split(".")), {})
        for path in self.declared:
            if LAYERS.search(path) and isinstance(level(defaults, tuple(path.split("."))), int):
                for depth in DEPTHS:
                    yield "depth", path, having({}, tuple(path.split(".")), depth)
        classes = dict(config_classes(oracle.CONFIG_MAPPING[self.kind]))
        for path in sorted(self.declared):
            prefix, _, name = path.rpartition(".")
            cls = classes.get(f"{prefix}." if prefix else "")
            if cls is None or name not in words(cls) or name in {*HARMLESS, "num_labels"}:
                continue  # what no method looks at moves nothing else
            for value in others(level(defaults, tuple(path.split("."))), name):
                yield "given", path, having({}, tuple(path.split(".")), value)
        for prefix, names in self.data["aliases"].items():
            at = tuple(prefix.rstrip(".").split(".")) if prefix else ()
            for alias, name in names.items():
                value = level(defaults, at).get(name)
                for other in others(value, name):
                    yield "alias", f"{prefix}{alias}", having({}, (*at, alias), other)
        yield from self.unlisted()

    def unlisted(self) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """Names that are no fields: words of the source, and fields of a nested config, flat."""
        defaults = self.data["defaults"]
        root = oracle.CONFIG_MAPPING[self.kind]
        for prefix, cls in config_classes(root):
            at = tuple(prefix.rstrip(".").split(".")) if prefix else ()
            try:
                own = level(defaults, at)
            except (KeyError, TypeError):
                continue
            heard = {n.rstrip("?") for n in self.one["heard"].get(prefix, ())}
            known = {*own, *heard, *HARMLESS, *self.data["aliases"].get(prefix, ()), "num_labels"}
            for name in sorted(words(cls) - known):
                for value in (True, 3, [0], "M*-E"):
                    yield "spelling", f"{prefix}{name}", having({}, (*at, name), value)
        top = {n.rstrip("?") for n in self.one["heard"].get("", ())}
        for path in self.fields:
            prefix, _, name = path.rpartition(".")
            if prefix and name not in {*defaults, *top, *HARMLESS}:
                value = level(defaults, tuple(path.split("."))) if path in self.declared else None
                for other in others(value, name)[:2]:
                    yield "flat", name, {name: other}


def read(kind: str, architecture: str, data: Mapping[str, Any]) -> list[Finding]:
    """Everything that is read otherwise, once for each pair of fields."""
    reader = Reader(kind, architecture, data)
    found: dict[tuple[str, str, str], Finding] = {}
    bare: set[str] = set()
    for case, given, config in reader.cases():
        for one in reader.compare(case, given, config):
            difference = json.dumps([one.field, one.mine, one.theirs], default=str)
            if difference in bare:
                continue  # nothing that this config has to do with
            if case == "bare":
                bare.add(difference)
            found.setdefault((case, given, one.field), one)
    return list(found.values())


def main() -> None:
    """Read every class of the catalogue both ways."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--log", type=Path, default=Path("build/reading.jsonl"))
    parser.add_argument("--only", default="", help="Types, with commas between.")
    given = parser.parse_args()
    done = {(line["type"], line["class"]) for line in logged(given.log)}
    wanted = set(given.only.split(",")) if given.only else None
    for kind, states in types().items():
        if wanted is not None and kind not in wanted:
            continue
        for name, state in states.items():
            if state["status"] != "exact" or (kind, name) in done:
                continue
            try:
                found = read(kind, name, load(kind))
            except Exception as error:
                print(f"{kind} {name}: {type(error).__name__}: {error}"[:200], file=sys.stderr)
                continue
            line = {"type": kind, "class": name}
            with given.log.open("a", encoding="utf-8") as log:
                for one in found:
                    text = {
                        "case": one.case, "given": one.given, "field": one.field,
                        "mine": one.mine, "theirs": one.theirs, "config": one.config,
                    }  # fmt: skip
                    log.write(json.dumps({**line, **text}, default=str) + "\n")
                log.write(json.dumps({**line, "case": "end"}) + "\n")


if __name__ == "__main__":
    main()
