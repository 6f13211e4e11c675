"""Small configs of a model type, as different from each other as its builder allows.

A walk: from a config that builds, some fields are drawn anew; what fails is tried again with fewer
fields. Values are drawn by what a field's name and default say it is. Widths are multiples of 24,
so that heads, groups and rotary halves divide them, and the rest is drawn so that no two fields
often agree.
"""

from __future__ import annotations

import copy
import dataclasses
import inspect
import re
import sys
import typing
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

from transformers.activations import ACT2FN

from scripts.catalogue import building

Path = tuple[str, ...]
Config = dict[str, Any]

# The book-keeping of a config: nothing that a weight could depend on, or other things decide it.
IGNORED = {
    "transformers_version", "architectures", "output_hidden_states", "return_dict", "dtype",
    "torch_dtype", "label2id", "problem_type", "use_cache", "model_type", "_name_or_path",
    "output_attentions", "use_return_dict", "name_or_path", "chunk_size_feed_forward", "is_encoder_decoder",
}  # fmt: skip
PRIMES = (11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97)


def activations() -> list[str]:
    """Names of activations that have no parameters."""
    found = []
    for name in ACT2FN:
        try:
            made = ACT2FN[name]
        except Exception:
            continue
        if not any(True for _ in made.parameters()) and not any(True for _ in made.buffers()):
            found.append(name)
    return sorted(found)


ACTIVATIONS = activations()


@dataclasses.dataclass(frozen=True)
class Leaf:
    """One field: where it is, what it is, what it may be."""

    path: Path
    default: Any
    kind: str
    optional: bool = False
    choices: tuple[Any, ...] = ()

    @property
    def name(self) -> str:
        return self.path[-1]


def _hints(cls: type) -> dict[str, Any]:
    try:
        return typing.get_type_hints(cls)
    except Exception:
        return {f.name: f.type for f in dataclasses.fields(cls)}


def _literals(cls: type) -> dict[str, set[str]]:
    """Strings that a type's sources compare fields with."""
    found: dict[str, set[str]] = {}
    folder = cls.__module__.rsplit(".", 1)[0]
    texts = []
    for name in (
        cls.__module__,
        *(m for m in list(sys.modules) if m.startswith(f"{folder}.modeling_")),
    ):
        try:
            texts.append(inspect.getsource(sys.modules[name]))
        except (OSError, TypeError, KeyError):
            continue
    for text in texts:
        for field, _, one in re.findall(
            r"""\b(?:config|self)\.(\w+)(?:\[[^\]]*\])? *(==|!=) *["']([\w\-. ]+)["']""",
            text,
        ):
            found.setdefault(field, set()).add(one)
        for field, group in re.findall(
            r"""\b(?:config|self)\.(\w+) +(?:not )?in +[\[(\{]([^\])}]*)[\])}]""", text
        ):
            found.setdefault(field, set()).update(re.findall(r"""["']([\w\-. ]+)["']""", group))
    return found


def leaves(cls: type, prefix: Path = (), default: Config | None = None) -> list[Leaf]:
    """All fields of a config class and those nested in it."""
    found: list[Leaf] = []
    hints, literals = _hints(cls), _literals(cls)
    nested = building.subconfigs(cls)
    try:
        real = building.plain(cls())
    except Exception:
        real = {}
    for key, declared in building.defaults(cls, kept=False).items():
        if key in IGNORED:
            continue
        path = (*prefix, key)
        if key in building.extras(cls):
            found.append(Leaf(path, None, building.extras(cls)[key]))
            continue
        if key in nested:
            found.extend(leaves(nested[key], path))
            continue
        if key == "id2label":
            found.append(Leaf((*prefix, "num_labels"), 2, "labels"))
            continue
        hint = str(hints.get(key, ""))
        optional = "None" in hint
        value = declared if declared is not None else real.get(building.mapped(cls, key))
        choices: tuple[Any, ...] = ()
        kind = "fixed"
        lit = re.search(r"Literal\[([^\]]*)\]", hint)
        if key in {"rope_parameters", "rope_scaling"}:
            kind = "rope"
        elif key.endswith(("_token_id", "_token_index", "_token_ids")) or key == "bos_token_ids":
            kind = "token"
        elif lit and "str" not in hint.split("Literal", maxsplit=1)[0]:
            kind, choices = "choice", tuple(re.findall(r"""['"]([^'"]+)['"]""", lit[1]))
            if not choices:
                choices = tuple(int(v) for v in re.findall(r"\d+", lit[1]))
        elif isinstance(value, bool) or (value is None and "bool" in hint):
            kind = "bool"
        elif isinstance(value, str):
            if value in ACT2FN:
                kind, choices = (
                    "choice",
                    tuple(
                        v
                        for v in ("gelu", "relu", "silu", "tanh", value)
                        if v in ACTIVATIONS or v == value
                    ),
                )
            else:
                numbers = (5, 6, 9, 11, 14, 19) if re.search(r"\bint\b", hint) else ()
                kind, choices = "choice", (*sorted({value, *literals.get(key, ())}), *numbers)
        elif isinstance(value, int) or (
            value is None and re.search(r"\bint\b", hint) and "list" not in hint
        ):
            kind = "int"
        elif isinstance(value, float) or (value is None and "float" in hint and "list" not in hint):
            kind = "float"
        elif isinstance(value, list) and value:
            if all(isinstance(v, bool) for v in value):
                kind = "bools"
            elif all(isinstance(v, int) for v in value):
                kind = "ints"
            elif all(isinstance(v, float) for v in value):
                kind = "floats"
            elif all(isinstance(v, str) for v in value):
                kind, choices = (
                    "strings",
                    tuple(
                        sorted(
                            {*value, *literals.get(key, ())}
                            if key.endswith("layer_types")
                            or key in {"layers_block_type", "hybrid_override_pattern"}
                            else set(value)
                        )
                    ),
                )
            elif all(
                isinstance(v, list) and v and all(isinstance(w, int) for w in v) for v in value
            ):
                kind = "matrix"
        elif value == [] or (value is None and "list[int]" in hint):
            kind = "indices"
        elif value is None and "list[str]" in hint and (words := literals.get(key)):
            kind = "strings"
            choices = tuple(sorted({*words, *(["full_attention"] if "layer_types" in key else [])}))
        elif value is None and "str" in hint and literals.get(key):
            kind, choices = "choice", tuple(sorted(literals[key]))
        found.append(Leaf(path, value, kind, optional, choices))
    return found


def get(config: Config, path: Path, default: Any = None) -> Any:
    """The value at a path."""
    for key in path:
        if not isinstance(config, dict) or key not in config:
            return default
        config = config[key]
    return config


ABSENT = object()


def shown(value: Any) -> Any:
    """What a value shows of what a field may be: a word itself, or of which kind it is."""
    if isinstance(value, (str, bool)) or value is None:
        return value
    if isinstance(value, int):
        return (value > 0) - (value < 0)
    return type(value).__name__


def put(config: Config, path: Path, value: Any) -> None:
    """Sets the value at a path, or removes it."""
    for key in path[:-1]:
        if not isinstance(config.get(key), dict):
            config[key] = {}
        config = config[key]
    if value is ABSENT:
        config.pop(path[-1], None)
    else:
        config[path[-1]] = value


class Sampler:
    """Draws configs of one class."""

    def __init__(self, cls: type, seed: int) -> None:
        self.cls = cls
        self.random = Random(seed)
        self.leaves = [leaf for leaf in leaves(cls) if leaf.kind != "fixed"]
        self.fixed = [leaf for leaf in leaves(cls) if leaf.kind == "fixed"]
        self.failures: dict[Path, float] = {}
        self.words: dict[Path, set[str]] = {}

    def learn(self, config: Config) -> None:
        """Words in the lists of a config that was completed by its class."""
        for leaf in self.leaves:
            value = get(config, leaf.path) if leaf.kind == "strings" else None
            if isinstance(value, list):
                self.words.setdefault(leaf.path, set()).update(
                    word for word in value if isinstance(word, str)
                )

    def draw(self, leaf: Leaf, config: Config) -> Any:
        """A value for a field, beside the others that a config has."""
        r, name, default = self.random, leaf.name, leaf.default
        low = name.lower()
        if (
            leaf.optional
            and "init" not in low
            and leaf.kind not in {"token", "ints", "matrix", "strings", "floats", "choice"}
            and r.random() < 0.25
        ):
            return None
        if leaf.kind == "labels":
            return r.choice((2, 3, 5, 7, 9))
        if leaf.kind == "flag":
            return r.choice((ABSENT, True, False))
        if leaf.kind == "bool":
            return r.random() < 0.5
        if leaf.kind == "token":
            if isinstance(default, list):
                return [r.randrange(2, 40) for _ in default]
            return None if leaf.optional and r.random() < 0.3 else r.randrange(0, 40)
        if leaf.kind == "choice":
            return r.choice(leaf.choices) if leaf.choices else default
        if leaf.kind == "rope":
            return r.choice(
                (default, default, {"rope_type": "default", "rope_theta": 5000.0}, None)
            )
        if leaf.kind == "float":
            return self._float(low, default)
        if leaf.kind == "floats":
            return [self._float(low, v) for v in default]
        if leaf.kind == "bools":
            return [r.random() < 0.5 for _ in default]
        if leaf.kind == "ints":
            return self._ints(low, default, leaf, config)
        if leaf.kind == "matrix":
            how = r.random()
            return (
                default
                if how < 0.5
                else [
                    [max(1, v + r.choice((-1, 0, 1))) if v > 1 else v for v in row]
                    for row in default
                ]
            )
        if leaf.kind == "strings":
            length = self._layers(leaf.path, config) or len(default or (1, 2))
            if r.random() < 0.3 and leaf.optional:
                return None
            words = sorted({*leaf.choices, *self.words.get(leaf.path, ())})
            return [r.choice(words) for _ in range(length)]
        if leaf.kind == "indices":
            length = self._layers(leaf.path, config) or 3
            return sorted(r.sample(range(length), r.randrange(0, length + 1)))
        return self._int(low, default, leaf, config)

    def _layers(self, path: Path, config: Config) -> int | None:
        for key in (
            "num_hidden_layers",
            "n_layer",
            "num_layers",
            "n_layers",
            "depth",
            "encoder_layers",
        ):
            value = get(config, (*path[:-1], key))
            if isinstance(value, int):
                return value
        return None

    def _float(self, low: str, default: float | None) -> float | None:
        r = self.random
        if default is None:
            return r.choice((0.5, 1.0, 2.0))
        if "init" in low and default:
            return float(f"{default * r.uniform(0.4, 1.6):.4g}")
        if "ratio" in low or "expan" in low or "mult" in low or ("factor" in low and default >= 1):
            return r.choice((1.0, 2.0, 3.0, 4.0, 1.5, default))
        if "dropout" in low or "drop" in low or "prob" in low:
            return round(r.uniform(0, 0.4), 3)
        if default == 0.0 or "layer_scale" in low:
            return r.choice((0.0, 0.0, 0.125, 0.25))
        return float(f"{default * r.uniform(0.4, 1.0):.4g}")

    def _ints(self, low: str, default: list[int], leaf: Leaf, config: Config) -> list[int]:
        r = self.random
        current = get(config, leaf.path)
        length = len(current) if isinstance(current, list) else len(default)
        base = [default[min(i, len(default) - 1)] for i in range(length)]
        if "depth" in low or "layers" in low or "block" in low or "repeat" in low:
            return [r.randrange(1, 4) for _ in base]
        if "head" in low:
            return [r.choice((1, 2, 3, 4)) for _ in base]
        if max(base) >= 16 and (
            "dim" in low or "hidden" in low or "channel" in low or "size" in low or "width" in low
        ):
            return [24 * r.randrange(1, 8) for _ in base]
        if (
            "kernel" in low
            or "patch_size" in low
            or "stride" in low
            or "image_size" in low
            or "padding" in low
            or "window" in low
        ):
            return (
                base if r.random() < 0.6 else [max(1, v + r.choice((0, 0, 1, 2, -1))) for v in base]
            )
        if max(base) >= 16:
            return [24 * r.randrange(1, 8) for _ in base]
        return [max(0, v + r.choice((-1, 0, 0, 1, 2))) for v in base] if r.random() < 0.6 else base

    def _level(self, path: Path, config: Config) -> Config:
        level = get(config, path[:-1]) if path[:-1] else config
        return level if isinstance(level, dict) else {}

    def _int(self, low: str, default: int | None, leaf: Leaf, config: Config) -> int | None:
        r = self.random
        if ("vocab" in low and "size" in low) or low == "n_vocab":
            return r.choice(
                (101, 103, 107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167, 173)
            )
        if re.search(
            r"(key_value|kv|group)_?(heads|attention_heads)|num_kv|n_head_kv|multi_query_group_num",
            low,
        ):
            level = self._level(leaf.path, config)
            heads = next(
                (
                    v
                    for k, v in level.items()
                    if re.fullmatch(r"(num_|n_)?(attention_)?(heads?|attention_heads)", k)
                    and isinstance(v, int)
                ),
                0,
            )
            options = [d for d in (1, 2, 3, 4, 6) if heads and heads % d == 0]
            return r.choice(options or [1, 2])
        if re.search(
            r"head_dim|head_size|d_kv|kv_channels|size_per_head|dim_head|rope_dim|rotary_dim|v_head|qk_",
            low,
        ):
            return r.choice((4, 8, 12, 16, 20, 24, 28, 32))
        if "head" in low and "dim" not in low and "size" not in low:
            return r.choice((2, 3, 4, 6, 1)) if default is None or default > 1 else r.choice((1, 2))
        if (
            re.search(r"(^|_)(num|n)_.*experts?($|_)|num_experts|n_routed", low)
            and "per" not in low
            and "top" not in low
            and "group" not in low
        ):
            return (
                r.choice((3, 4, 5, 6, 8)) if default is None or default > 2 else r.choice((1, 2, 3))
            )
        if "per_tok" in low or "top_k" in low or "topk" in low:
            return r.choice((1, 2))
        if re.search(r"group", low):
            return (
                r.choice((1, 2, 3, 4))
                if default is None or default <= 4
                else r.choice((2, 3, 4, 6, 12))
            )
        if (
            re.search(r"layers?($|_)|depth|n_layer|num_blocks|stages", low)
            and "idx" not in low
            and "size" not in low
            and "dim" not in low
        ):
            if default is not None and default <= 2:
                return r.choice((1, 2, 3)) if default else r.choice((0, 1, 2))
            return r.choice((2, 3, 4, 5, 6))
        if "image_size" in low or low in {"img_size", "input_size"}:
            return r.choice((16, 32, 48, 64)) if default is None or default < 2000 else default
        if "patch_size" in low or low == "tubelet_size":
            return r.choice((2, 4, 8, 16)) if default is None or default > 2 else r.choice((1, 2))
        if "channels" in low and (default or 3) <= 4:
            return r.choice((1, 2, 3, 4))
        if re.search(r"kernel|stride|dilation|padding", low) and (default or 3) < 40:
            return r.choice((default or 3, default or 3, (default or 3) + 1, (default or 3) + 2))
        if (
            re.search(r"step|freq|period|interval|every|pattern|first_k|offset|idx|index", low)
            and (default or 0) < 40
        ):
            return r.choice((default or 1, 1, 2, 3, 0))
        if re.search(
            r"hidden|d_model|embed|_dim$|^dim$|width|n_embd|d_inner|inner|intermediate|ffn|d_ff|_size$|rank|channels|features",
            low,
        ):
            if default is not None and default <= 8:
                return r.choice((default, max(1, default - 1), default + 1, default * 2))
            if "max_position" in low or "vocab" in low or "positions" in low:
                return r.choice(PRIMES)
            if re.search(
                r"^(hidden_size|d_model|n_embd|dim|embed_dim|width|embedding_size|hidden_dim|projection_dim)$",
                low,
            ):
                return 24 * r.randrange(1, 11)
            if r.random() < 0.5:
                return 24 * r.randrange(1, 11)
            return r.choice((20, 28, 40, 44, 52, 56, 64, 76, 80, 88, 100, 104, 112, 116))
        if default is None:
            return r.choice((3, 5, 7, 8, 12, 16))
        if default < 0:
            return default if r.random() < 0.8 else r.choice((0, 1, 2))
        if default == 0:
            return r.choice((0, 0, 0, 0, 1, 2))
        if default <= 8:
            return r.choice((default, default, max(1, default - 1), default + 1, default * 2))
        if default >= 64:
            return r.choice(PRIMES)
        return r.choice((default, default + 2, default // 2, default + 8, default * 2))

    def start(self, fill: float = 0.0) -> Config:
        """A config with everything drawn once; shared lengths as they are.

        Args:
            fill: the share of values drawn for fields that are null by default, since some classes
                cannot do without what they do not declare.
        """
        config: Config = {}

        def drawn(leaf: Leaf) -> bool:
            return leaf.default is not None or (fill > 0 and self.random.random() < fill)

        for leaf in self.leaves:
            put(config, leaf.path, ABSENT if leaf.kind == "flag" else copy.deepcopy(leaf.default))
        for leaf in self.leaves:
            if leaf.kind == "int":
                value = self._int(leaf.name.lower(), leaf.default, leaf, config)
                put(config, leaf.path, value if drawn(leaf) else None)
            if leaf.kind in {"ints", "token"}:
                put(config, leaf.path, self.draw(leaf, config))
            if leaf.kind in {"strings", "indices"}:
                put(config, leaf.path, None if leaf.optional else leaf.default)
        for leaf in self.leaves:
            if leaf.kind == "strings" and leaf.default is None and drawn(leaf):
                put(config, leaf.path, self.draw(leaf, config))
        return config

    def aside(self, config: Config, leaf: Leaf) -> list[Config]:
        """The config with another value of one field: a few that differ in kind."""
        old = get(config, leaf.path, ABSENT)
        values: list[Any] = []
        kinds: set[Any] = set()
        for _ in range(12):
            value = self.draw(leaf, config)
            kind = shown(None if value is ABSENT else value)
            if value != old and (
                kind not in kinds if leaf.kind != "choice" else value not in values
            ):
                kinds.add(kind)
                values.append(value)
        found = []
        for value in values[:4]:
            new = copy.deepcopy(config)
            put(new, leaf.path, value)
            if "layer" in leaf.name and leaf.kind == "int":
                self._refit(new, leaf.path, [])
            found.append(new)
        return found

    def beside(self, config: Config, leaf: Leaf) -> Iterator[Config]:
        """The config with another value of one field, and what may have to go with it."""
        for new in self.aside(config, leaf):
            linked = copy.deepcopy(new)
            self._link(linked)
            if linked != new:
                yield linked
            # Lists that have one item for each of these.
            old, size = get(config, leaf.path), get(new, leaf.path)
            for other in self.leaves:
                value = get(new, other.path)
                if (
                    other.path[:-1] == leaf.path[:-1]
                    and isinstance(value, list)
                    and len(value) == old
                    and isinstance(size, int)
                    and 0 < size <= 2 * len(value)
                ):
                    put(new, other.path, (value * 2)[:size])
            yield new
        others = [
            one for one in self.leaves if one.path[:-1] == leaf.path[:-1] and one.kind == leaf.kind
        ]
        for other in self.random.sample(others, min(6, len(others))):
            for new in self.aside(config, leaf)[:1]:
                put(new, other.path, self.draw(other, new))
                yield new

    def propose(self, config: Config, share: float) -> tuple[Config, list[Path]]:
        """The config with a share of its fields drawn anew."""
        r = self.random
        new = copy.deepcopy(config)
        moved = []
        count = max(1, round(share * len(self.leaves)))
        weights = [1.0 / (1.0 + self.failures.get(leaf.path, 0.0)) for leaf in self.leaves]
        chosen = {leaf.path: leaf for leaf in r.choices(self.leaves, weights, k=count)}
        # Heads and layers first: others are drawn to fit them.
        for leaf in sorted(
            chosen.values(),
            key=lambda one: (
                one.kind in {"strings", "indices"},
                "kv" in one.name or "key_value" in one.name,
            ),
        ):
            put(new, leaf.path, self.draw(leaf, new))
            moved.append(leaf.path)
            if "layer" in leaf.name and leaf.kind == "int":
                self._refit(new, leaf.path, moved)
            if "head" in leaf.name and leaf.kind == "int":
                for other in self.leaves:
                    if other.path[:-1] == leaf.path[:-1] and re.search(
                        r"key_value_heads|kv_heads", other.name
                    ):
                        put(new, other.path, self.draw(other, new))
        if r.random() < 0.15:
            self._lengths(new, moved)
        if r.random() < 0.8:
            self._link(new)
        return new, moved

    def _link(self, new: Config) -> None:
        """Widths that are products of others, as state-space models have them."""
        for leaf in self.leaves:
            if leaf.name in {"expand", "mamba_expand", "ssm_expand"}:
                level = self._level(leaf.path, new)
                lead = "mamba_" if "mamba_n_heads" in level or "mamba_num_heads" in level else ""
                heads = next(
                    (
                        k
                        for k in (f"{lead}num_heads", f"{lead}n_heads", "n_mamba_heads")
                        if k in level
                    ),
                    None,
                )
                size = next(
                    (
                        k
                        for k in (
                            f"{lead}head_dim",
                            f"{lead}d_head",
                            "mamba_headdim",
                            "mamba_d_head",
                        )
                        if k in level
                    ),
                    None,
                )
                width = level.get("hidden_size")
                if (
                    heads
                    and size
                    and isinstance(width, int)
                    and isinstance(level.get(leaf.name), int)
                    and isinstance(level[heads], int)
                    and level[heads] > 0
                ):
                    inner = width * level[leaf.name]
                    if inner % level[heads] == 0:
                        level[size] = inner // level[heads]

    def _refit(self, new: Config, path: Path, moved: list[Path]) -> None:
        for other in self.leaves:
            if (
                other.path[:-1] == path[:-1]
                and other.kind in {"strings", "indices"}
                and get(new, other.path) is not None
            ):
                put(new, other.path, self.draw(other, new))
                moved.append(other.path)

    def _lengths(self, new: Config, moved: list[Path]) -> None:
        """All lists of one length in one object, longer or shorter by one."""
        lists = [
            leaf
            for leaf in self.leaves
            if leaf.kind in {"ints", "matrix", "bools", "floats"}
            and not re.search(r"image_size|patch_size|window_size|input_size", leaf.name)
        ]
        if not lists:
            return
        one = self.random.choice(lists)
        old = get(new, one.path)
        if not isinstance(old, list) or len(old) < 2:
            return
        step = self.random.choice((-1, 1))
        size = len(old)
        for leaf in self.leaves:
            value = get(new, leaf.path)
            if leaf.path[:-1] != one.path[:-1]:
                continue
            if isinstance(value, list) and len(value) == size and leaf.kind != "token":
                put(new, leaf.path, value[:-1] if step < 0 else [*value, copy.deepcopy(value[-1])])
                moved.append(leaf.path)
            elif (
                value == size
                and leaf.kind == "int"
                and re.search(r"stage|level|num_.*blocks|num_layers", leaf.name)
            ):
                put(new, leaf.path, value + step)
                moved.append(leaf.path)

    def walk(
        self, build: Callable[[Config], bool], deadline: Callable[[], bool]
    ) -> Iterator[Config]:
        """Configs that build, one after another, until nobody asks or time is up.

        Yields nothing if no config that builds is found.
        """
        config = None
        for attempt in range(16):
            if deadline():
                break
            tried = self.start(max(0, attempt - 5) / 8)
            if build(tried):
                config = tried
                break
        if config is None:
            config = self._descend(build, deadline)
            if config is None:
                return
        yield config
        share = 0.5
        while not deadline():
            new, moved = self.propose(config, share)
            if build(new):
                for path in moved:
                    self.failures[path] = self.failures.get(path, 0.0) * 0.7
                share = min(0.7, share * 1.3)
                config = new
                yield config
            else:
                for path in moved:
                    self.failures[path] = self.failures.get(path, 0.0) + 1.0 / len(moved)
                share = max(0.5 / max(1, len(self.leaves)), share * 0.6)

    def _descend(
        self, build: Callable[[Config], bool], deadline: Callable[[], bool]
    ) -> Config | None:
        """From the defaults, one field after another made small."""
        config: Config = {}
        if not build(config):
            return None
        order = sorted(
            (leaf for leaf in self.leaves if leaf.kind in {"int", "ints"}),
            key=lambda one: (
                "layer" not in one.name and "depth" not in one.name,
                "head" not in one.name,
            ),
        )
        for leaf in order:
            if deadline():
                break
            new = copy.deepcopy(config)
            put(
                new,
                leaf.path,
                self.draw(leaf, new)
                if leaf.kind == "ints"
                else self._int(leaf.name.lower(), leaf.default, leaf, new),
            )
            if build(new):
                config = new
        return config
