"""From what was solved to what is written, and whether it is true of configs nobody solved with."""

from __future__ import annotations

import ast
import inspect
import json
import math
import re
import time
from typing import Any

from scripts.catalogue import building, sampling
from scripts.catalogue.solving import INDICES, flatten
from scripts.catalogue.studying import Build, Explainer, Explanation, Study, pattern_of, with_labels
from seedbed.errors import SeedbedError
from seedbed.models.catalogue import engine
from seedbed.models.catalogue.expressions import compile_expression
from seedbed.models.catalogue.settling import HARMLESS, kind_of

_DROPPED = {
    "transformers_version", "architectures", "output_hidden_states", "return_dict", "dtype",
    "torch_dtype", "label2id", "id2label", "problem_type", "use_cache", "chunk_size_feed_forward",
}  # fmt: skip


def _tree(cls: type, prefix: str, into: dict[str, Any]) -> dict[str, Any]:
    """Defaults of a class, without book-keeping; notes nested objects and aliases."""
    found: dict[str, Any] = {}
    nested = building.subconfigs(cls)
    aliases = {k: v for k, v in cls.attribute_map.items() if k != v}
    if aliases:
        into["aliases"][prefix] = aliases
    for key, value in building.defaults(cls).items():
        if key in _DROPPED:
            continue
        if key in nested:
            spec = cls.sub_configs_defaults[key]
            fact: dict[str, Any] = {"type": nested[key].model_type}
            if not issubclass(spec.config_class, building.PreTrainedConfig):
                fact["auto"] = True
            if spec.optional:
                fact["optional"] = True
            start = building.plain(building.absent(cls, key))
            if start:
                fact["absent"] = start
            into["nested"][f"{prefix}{key}"] = fact
            found[key] = _tree(nested[key], f"{prefix}{key}.", into)
        else:
            found[key] = value
    found["num_labels"] = 2
    return found


def type_data(model_type: str) -> dict[str, Any]:
    """What all classes of a type share."""
    data: dict[str, Any] = {
        "version": 1,
        "transformers": building.transformers.__version__,
        "type": model_type,
        "aliases": {},
        "nested": {},
        "activations": sampling.ACTIVATIONS,
        "classes": {},
    }
    data["defaults"] = _tree(building.config_class(model_type), "", data)
    return data


def _heard(cls: type, reads: set[str]) -> list[str]:
    """Fields that are not declared, but that building or the config's own code listens to."""
    names = set(reads)
    null: set[str] = set()
    for one in cls.__mro__:
        if one.__name__ in {"PreTrainedConfig", "object"} or not one.__module__.startswith(
            "transformers.models"
        ):
            continue
        try:
            source = inspect.getsource(one)
        except (OSError, TypeError):
            continue
        null.update(re.findall(r"""kwargs\.(?:pop|get)\(\s*["'](\w+)["'](?:, None)?\)""", source))
        names.update(re.findall(r"""kwargs\.(?:pop|get)\(\s*["'](\w+)["']""", source))
        names.update(re.findall(r"""["'](\w+)["'] (?:not )?in kwargs""", source))
    declared = set(building.defaults(cls)) | {"num_labels"}
    return sorted(
        f"{n}?" if n in null else n
        for n in names
        if n not in declared
        and n not in HARMLESS
        and not hasattr(cls, n)
        and n not in cls.attribute_map
    )


def exact_quotients(
    text: str, rows: list[tuple[int, tuple[int, ...]]], explainer: Explainer
) -> str:
    """`a // b` as `div(a, b)` where there never was a remainder, so that none is let pass."""
    if "//" not in text:
        return text
    tree = ast.parse(text, mode="eval")

    class Change(ast.NodeTransformer):
        def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
            self.generic_visit(node)
            if not isinstance(node.op, ast.FloorDiv):
                return node
            if isinstance(node.left, ast.UnaryOp):
                return node  # −(−a // b): rounding up
            remainder = compile_expression(ast.unparse(ast.BinOp(node.left, ast.Mod(), node.right)))
            seen = 0
            for b, index in rows:
                try:
                    if remainder(explainer.scope(b, index)) != 0:
                        return node
                    seen += 1
                except Exception:
                    continue
            if seen < 3:
                return node
            return ast.Call(ast.Name("div", ast.Load()), [node.left, node.right], [])

    return ast.unparse(ast.fix_missing_locations(Change().visit(tree)))


def class_data(
    study: Study, explainer: Explainer, out: Explanation, inits: dict[str, Any]
) -> dict[str, Any]:
    """One class, as the engine reads it."""
    every = [(b, ()) for b in range(len(study.builds))]
    shared: list[Any] = [[]]
    tensors = []
    for tensor in out.tensors:
        members = thin_rows(out.members[tensor["key"]])
        shape = [exact_quotients(text, members, explainer) for text in tensor["shape"]]
        cases = inits.get(tensor["key"], [])
        if cases not in shared:
            shared.append(cases)
        tensors.append(
            [tensor["name"], tensor["when"], shape, tensor["dtype"], shared.index(cases)]
        )
    loops = {}
    for prefix, (low, high) in out.loops.items():
        if any(t[0].startswith(f"{prefix}*") for t in tensors):
            loops[prefix] = [low, high]
    derived = []
    for rule in out.derived:
        rule = dict(rule)
        if "count" not in rule:
            rows = [
                (b, ())
                for b, build in enumerate(study.builds)
                if rule["mode"] in {"always", "follows"}
                or flatten(build.raw).get(rule["field"]) is None
            ]
            rule["value"] = exact_quotients(rule["value"], rows, explainer)
        derived.append(rule)
    del every
    fixed: dict[str, Any] = {}
    alike: dict[str, Any] = {}
    follows = {rule["field"] for rule in derived if rule["mode"] == "follows"}
    choices: dict[str, Any] = {}
    kinds: dict[str, str] = {}
    raws = [flatten(b.raw) for b in study.builds]
    used = explainer.used(iter([*all_texts(tensors, loops, derived, shared)]))
    classes = building.classes(building.config_class(study.model_type))
    reads = {prefix: study.reads.get(cls.__name__, set()) for prefix, cls in classes.items()}
    leaves = {}
    for leaf in sampling.leaves(building.config_class(study.model_type)):
        prefix = "".join(f"{part}." for part in leaf.path[:-1])
        if prefix in classes:
            leaves[prefix + building.mapped(classes[prefix], leaf.name)] = leaf
    declared = {
        f"{prefix}{key}" for prefix, cls in classes.items() for key in building.defaults(cls)
    }
    for path in sorted({p for r in raws for p in r}):
        prefix, name = path.rpartition(".")[0], path.rpartition(".")[2]
        prefix = f"{prefix}." if prefix else ""
        if prefix not in classes:
            # inside an object that is not a config: fixed as a whole by its owner
            continue
        if name in HARMLESS or name in _DROPPED or (path == "num_labels" and path not in used):
            continue
        heard = name in reads[prefix] or path in used
        if not heard and name not in building.listened(classes[prefix]):
            continue
        values = [r.get(path) for r in raws if path in r]
        distinct = []
        for value in values:
            if value not in distinct:
                distinct.append(value)
        leaf = leaves.get(path)
        if path not in declared and name != "num_labels":
            continue
        if (
            len(distinct) == 1
            and leaf is not None
            and leaf.kind == "choice"
            and distinct[0] in sampling.ACTIVATIONS
        ):
            choices[path] = "activations"
        elif path in follows:
            continue
        elif len(distinct) == 1:
            if not isinstance(distinct[0], dict):
                fixed[path] = distinct[0]
            # What the config itself makes of it is written into config.json, and is the same.
            became = [sampling.get(b.post, tuple(path.split("."))) for b in study.builds]
            if became[0] != distinct[0] and all(one == became[0] for one in became):
                alike[path] = became[0]
        else:
            kinds[path] = "".join(
                sorted(
                    {kind_of(v) for v in values}
                    | ({"n"} if leaf is not None and leaf.kind == "flag" else set())
                )
            )
            if leaf is not None and leaf.kind == "token" and "i" in kinds[path]:
                kinds[path] = "".join(sorted({*kinds[path], "z"}))
            if leaf is not None and leaf.kind in {"choice", "strings"}:
                if leaf.default in sampling.ACTIVATIONS:
                    choices[path] = "activations"
                else:
                    words = {
                        w
                        for v in values
                        for w in (v if isinstance(v, list) else [v])
                        if isinstance(w, (str, int))
                    }
                    choices[path] = sorted(words, key=str)
            elif path not in used and leaf is not None and leaf.kind in {"int", "float", "token"}:
                kinds[path] = "".join(
                    sorted({*kinds[path], *"iz-f", *("l" if leaf.kind == "token" else "")})
                )
    # objects that are no configs, such as tables of tables: as they were, if they were read
    for path, leaf in leaves.items():
        if leaf.kind == "fixed" and leaf.name not in HARMLESS:
            prefix = ".".join(leaf.path[:-1])
            prefix = f"{prefix}." if prefix else ""
            value = sampling.get(study.builds[0].raw, tuple(path.split(".")))
            if leaf.name in reads.get(prefix, ()) and isinstance(value, dict):
                fixed[path] = value
    # What a config works out itself is written into config.json, and follows from the rest.
    posts = {p for b in study.builds for p in flatten(b.post)}
    heard_by = {
        prefix: names
        for prefix, cls in classes.items()
        if (
            names := [
                n for n in _heard(cls, reads[prefix]) if f"{prefix}{n.rstrip('?')}" not in posts
            ]
        )
    }
    return {
        "loops": loops,
        "tensors": tensors,
        "inits": shared,
        "derived": derived,
        "fixed": fixed,
        "alike": alike,
        "choices": choices,
        "kinds": kinds,
        "heard": heard_by,
    }


def thin_rows(rows: list[Any], most: int = 300) -> list[Any]:
    """At most so many rows, evenly spread."""
    step = max(1, len(rows) // most)
    return rows[::step]


def all_texts(tensors: Any, loops: Any, derived: Any, inits: Any) -> list[str]:
    """Every expression of a class."""
    texts = [t for pair in loops.values() for t in pair]
    for _, when, shape, _, _ in tensors:
        texts += [when, *shape]
    for rule in derived:
        texts += [rule["value"], rule.get("count", "0"), rule["field"]]
    for cases in inits:
        for case in cases:
            texts.append(case.get("when", "True"))
            texts.append(case.get("row") or "0")
            texts += [
                v[1:] for v in case.get("with", {}).values() if isinstance(v, str) and v[:1] == "="
            ]
    return texts


# ---------------------------------------------------------------- is it true?


def check(data: dict[str, Any], architecture: str, build: Build, model_type: str) -> str | None:
    """What differs between the engine's answer and a build, if anything does."""
    program = engine._Program(data, architecture)
    whole = json.loads(json.dumps(build.given))
    for config in (whole, json.loads(json.dumps(build.post))):
        try:
            run = engine._Run(
                program, program.settled.settle({"model_type": model_type, **config}), 100_000
            )
            found = {p.name: (p.shape, p.dtype or "") for p in run.parameters(program.body)}
        except SeedbedError as error:
            return f"refused: {error.message} at {'.'.join(map(str, getattr(error, 'path', ())))}"
        if found != build.tensors:
            lost = [n for n in build.tensors if n not in found]
            extra = [n for n in found if n not in build.tensors]
            other = [n for n in found if n in build.tensors and found[n] != build.tensors[n]]
            for words, names in (("lost", lost), ("extra", extra), ("other shape", other)):
                if names:
                    return f"{words}: {names[0]} and {len(names) - 1} more"
    return None


def starts(
    data: dict[str, Any],
    architecture: str,
    model_type: str,
    build: Build,
    seen: dict[str, Any],
    claim: Any,
) -> dict[str, str]:
    """Patterns whose tensors start otherwise in a real build than the engine says, and how."""
    program = engine._Program(data, architecture)
    run = engine._Run(
        program,
        program.settled.settle({"model_type": model_type, **json.loads(json.dumps(build.given))}),
        100_000,
    )
    wrong: dict[str, str] = {}
    for parameter in run.parameters(program.body):
        if parameter.name in run.guessed or parameter.name not in seen:
            continue
        want = claim(seen[parameter.name])
        if isinstance(want, str):
            continue
        scheme, numbers = want
        have = parameter.init
        pattern = f"{pattern_of(parameter.name)[0]}#{len(parameter.shape)}{parameter.dtype or ''}"
        if have.scheme != scheme:
            wrong[pattern] = f"{have.scheme}, not {scheme}"
            continue
        for word, value in numbers:
            mine = getattr(have, "high" if word == "bound" else word)
            if (isinstance(value, str) and mine != value) or (
                not isinstance(value, str)
                and not math.isclose(mine, value, rel_tol=1e-5, abs_tol=1e-12)
            ):
                wrong[pattern] = f"{scheme} {word} {mine}, not {value}"
        rows = {r for block in parameter.blocks for r in range(block.start, block.stop)}
        if set(seen[parameter.name].rows) != rows and scheme != "zeros":
            wrong[pattern] = (
                f"rows of zeros {sorted(rows)}, not {sorted(seen[parameter.name].rows)}"
            )
    return wrong


__all__ = ["INDICES", "check", "class_data", "time", "type_data", "with_labels"]
