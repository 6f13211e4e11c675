"""A config as its library would read it: aliases, defaults, and refusal of what was not studied."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from seedbed.errors import Choices, ParameterError, Path, SpecError
from seedbed.models.catalogue.expressions import Missing, evaluate
from seedbed.models.config import IGNORED_MAX, INERT, ignorable

Json = Mapping[str, Any]

# Book-keeping that no weight depends on: of the library, of generation, of training.
HARMLESS = frozenset({
    "model_type", "architectures", "transformers_version", "dtype", "torch_dtype", "label2id",
    "problem_type", "use_cache", "_name_or_path", "name_or_path", "output_attentions",
    "output_hidden_states", "return_dict", "use_return_dict", "torchscript", "use_bfloat16",
    "chunk_size_feed_forward", "gradient_checkpointing", "auto_map", "_commit_hash",
    "attn_implementation", "_attn_implementation", "_attn_implementation_autoset",
    "finetuning_task", "task_specific_params", "tokenizer_class", "prefix", "pruned_heads_",
    "rope_parameters", "rope_scaling", "rope_theta", "sep_token_id", "decoder_start_token_id",
    "experts_implementation", "_experts_implementation",
})  # fmt: skip

_SPELT_CHARS = 100

# Each changes weights in a way of its own, whatever the model type.
REFUSED = {
    "quantization_config": "quantised weights are not initial weights",
    "per_layer_config": "layers that differ from one another are not known",
    "pruned_heads": "what pruned heads leave is not known",
}


def _spelt(value: Any) -> str:
    """A value of a config as JSON, if it is not too long to be read."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _SPELT_CHARS else f"{text[:_SPELT_CHARS]}…"


def kind_of(value: Any) -> str:
    """One letter for what a value is: whole numbers by sign, since 0 and −1 have meanings."""
    if value is None:
        return "n"
    if isinstance(value, bool):
        return "b"
    if isinstance(value, int):
        return "i" if value > 0 else "z" if value == 0 else "-"
    if isinstance(value, float):
        return "f"
    if isinstance(value, str):
        return "s"
    return "l" if isinstance(value, list) else "d"


_KINDS = {
    "n": "null",
    "b": "true or false",
    "i": "a positive integer",
    "z": "0",
    "-": "a negative integer",
    "f": "a number",
    "s": "a string",
    "l": "a list",
    "d": "an object",
}


def at(config: Json, path: str, default: Any = None) -> Any:
    """The value at a dotted path."""
    level: Any = config
    for key in path.split("."):
        if not isinstance(level, Mapping) or key not in level:
            return default
        level = level[key]
    return level


def _same(part: Any, whole: Any) -> bool:
    """Whether it is that value, or an object with some of that one's fields."""
    if isinstance(part, Mapping) and isinstance(whole, Mapping):
        labels = part.get("id2label")
        if isinstance(labels, Mapping):
            rest = {key: value for key, value in part.items() if key != "id2label"}
            part = {"num_labels": len(labels), **rest}
        return all(
            key in whole and _same(value, whole[key])
            for key, value in part.items()
            if key not in HARMLESS
        )
    return bool(part == whole) and isinstance(part, bool) == isinstance(whole, bool)


def put(config: dict[str, Any], path: str, value: Any) -> bool:
    """Sets the value at a dotted path, if the object that it is in is there."""
    *outer, last = path.split(".")
    for key in outer:
        if not isinstance(config.get(key), dict):
            return False
        config = config[key]
    config[last] = value
    return True


class Settled:
    """Settles configs of one class of a model type.

    Args:
        data: of the type.
        architecture: the class's name, which the data has.
    """

    def __init__(self, data: Json, architecture: str) -> None:
        self._data = data
        self._class = data["classes"][architecture]
        self._name = architecture
        self._written = frozenset(data.get("written", ()))
        self._derived = {rule["field"] for rule in self._class["derived"]}

    def settle(self, config: Json, ignored: list[str] | None = None) -> dict[str, Any]:
        """All fields: those given, the defaults of the others, and those that follow from them.

        Args:
            config: what json.loads made of a config.json.
            ignored: gets the paths of fields that the library's code does not look at.

        Raises:
            SpecError: a field or a value that was not studied, with its path.
        """
        ignored = [] if ignored is None else ignored
        settled = self._merge(
            self._gathered(self._lettered(config)), self._data["defaults"], "", ignored
        )
        self._respell(settled)
        self._check(settled)
        for rule in self._class["derived"]:
            self._derive(settled, rule)
        return settled

    # ------------------------------------------------------------------ reading

    def _lettered(self, config: Json) -> Json:
        """A config whose layers are a string of letters, `M*-E`, with the list that it stands for.

        The library takes the string only where there is no list.
        """
        for name, fact in self._data.get("letters", {}).items():
            if name not in config:
                continue
            text, field, words = config[name], fact["field"], fact["letters"]
            aliases = [key for key, to in self._data["aliases"].get("", {}).items() if to == field]
            config = {key: value for key, value in config.items() if key != name}
            if any(config.get(key) is not None for key in (field, *aliases)):
                continue
            if not isinstance(text, str) or not set(text) <= set(words):
                raise SpecError(f"{name} is a string of {' '.join(words)}", (name,), tuple(words))
            config = {**config, field: [words[letter] for letter in text]}
        return config

    def _gathered(self, config: Json) -> Json:
        """A config whose text fields are flat, as some are published, with those in their object.

        The library takes them only where the object itself is absent.
        """
        for path in self._data.get("flat", ()):
            if config.get(path) is None:
                names = {*self._data["defaults"][path], *self._data["aliases"].get(f"{path}.", ())}
                inner = {key: config[key] for key in config if key in names - HARMLESS}
                if inner:
                    rest = {key: config[key] for key in config if key not in inner}
                    config = {**rest, path: inner}
        return config

    def _respell(self, settled: dict[str, Any]) -> None:
        """Words that a config once had for others: `mamba` for `linear_attention`."""
        for path, words in self._data.get("respelt", {}).items():
            value = at(settled, path)
            if isinstance(value, list):
                put(settled, path, [words.get(w, w) if isinstance(w, str) else w for w in value])

    def _merge(
        self, config: Json, defaults: Json, prefix: str, ignored: list[str]
    ) -> dict[str, Any]:
        """One object's fields over its defaults."""
        place = tuple(prefix.rstrip(".").split(".")) if prefix else ()
        aliases = self._data["aliases"].get(prefix, {})
        heard = self._class["heard"].get(prefix, ())
        merged = copy.deepcopy(dict(defaults))
        set_by: dict[str, str] = {}
        for key, value in config.items():
            name = aliases.get(key, key)
            if key in REFUSED and value not in (None, {}, []):
                raise SpecError(REFUSED[key], (*place, key))
            if name in set_by and config[set_by[name]] != value:
                raise SpecError(f"{key} and {set_by[name]} are one field", (*place, key))
            set_by[name] = key
            if name in {"id2label", "num_labels"}:
                self._count_labels(merged, config, name, value, (*place, key))
                continue
            nested = (
                isinstance(defaults.get(name), Mapping)
                and f"{prefix}{name}" in self._data["nested"]
            )
            if nested:
                merged[name] = self._nested(
                    value, defaults[name], f"{prefix}{name}", (*place, key), ignored
                )
            elif name in defaults or name in HARMLESS or f"{prefix}{name}" in self._derived:
                merged[name] = _plain(value, (*place, key))
            elif name in heard or (value is not None and f"{name}?" in heard):
                raise SpecError(
                    f"{key} can change the weights of {self._name}, and how is not known",
                    (*place, key),
                )
            else:
                self._ignore(name, value, (*place, key), [*defaults, *aliases], ignored)
        for name, value in defaults.items():
            path = f"{prefix}{name}"
            if path in self._data["nested"] and name not in set_by:
                merged[name] = self._nested(None, value, path, (*place, name), ignored)
        return merged

    def _ignore(
        self, name: str, value: Any, place: Path, known: Sequence[str], ignored: list[str]
    ) -> None:
        """Put down a field that the library does not look at, unless it was meant as another."""
        path = ".".join(map(str, place))
        if name in INERT or name[:1] == "_" or path in self._written:
            return
        if len(ignored) >= IGNORED_MAX or not ignorable(name, value, (), known):
            raise SpecError(
                f"{name[:100]} is no field of {self._name}'s config", place, Choices(known, name)
            )
        ignored.append(path)

    @staticmethod
    def _count_labels(
        merged: dict[str, Any], config: Json, name: str, value: Any, place: Path
    ) -> None:
        """The number of labels, which a config says by listing them."""
        if value is None:
            return
        if name == "num_labels":
            if not isinstance(config.get("id2label"), Mapping):
                merged["num_labels"] = value
            return
        if not isinstance(value, Mapping):
            raise SpecError("id2label is an object", place)
        count = config.get("num_labels")
        if isinstance(count, int) and count != len(value):
            raise SpecError(
                f"num_labels is {count}, but id2label has {len(value)} labels",
                (*place[:-1], "num_labels"),
            )
        merged["num_labels"] = len(value)

    def _nested(
        self, value: Any, defaults: Json, path: str, place: Path, ignored: list[str]
    ) -> dict[str, Any] | None:
        facts = self._data["nested"][path]
        if value is None:
            if facts.get("optional"):
                return None
            value = facts.get("absent", {})
        elif facts.get("over") and isinstance(value, Mapping):
            value = {**facts.get("absent", {}), **value}
        if not isinstance(value, Mapping):
            raise SpecError(f"{value!r} is not an object", place)
        named = value.get("model_type", facts["type"])
        if facts.get("auto") and named != facts["type"]:
            raise SpecError(
                f"a {path} of type {named!r} is not known here",
                (*place, "model_type"),
                (facts["type"],),
            )
        return self._merge(value, defaults, f"{path}.", ignored)

    # ------------------------------------------------------------------ refusing

    def _check(self, settled: Json) -> None:
        self._check_fixed(settled)
        self._check_choices(settled)
        self._check_lengths(settled)
        for path, kinds in self._class["kinds"].items():
            value = at(settled, path, self)
            if value is self:
                continue
            kind = kind_of(value)
            if kind not in kinds and not (kind in "iz-" and "f" in kinds):
                raise SpecError(
                    self._not_known(path, value),
                    tuple(path.split(".")),
                    [_KINDS[k] for k in kinds],
                )

    def _not_known(self, path: str, value: Any) -> str:
        """What to say of a value with which nobody has seen the class."""
        return f"{self._name} is not known with {path} = {_spelt(value)}"

    def _check_fixed(self, settled: Json) -> None:
        """Fields of one value, or of what the config's own class makes of that value."""
        alike = self._class["alike"]
        for path, value in self._class["fixed"].items():
            actual = at(settled, path, value)
            if path in alike and _same(actual, alike[path]):
                continue
            if actual != value or isinstance(actual, bool) != isinstance(value, bool):
                raise SpecError(
                    f"{self._not_known(path, actual)}, only with {_spelt(value)}",
                    tuple(path.split(".")),
                    (str(value),) if isinstance(value, (int, str)) else (),
                )

    def _check_choices(self, settled: Json) -> None:
        for path, allowed in self._class["choices"].items():
            names = self._data["activations"] if allowed == "activations" else allowed
            value = at(settled, path)
            if isinstance(value, int) and any(isinstance(name, str) for name in names):
                continue  # a number beside words such as "auto": its kind is checked below
            if isinstance(value, (str, int)) and value not in names:
                raise SpecError(
                    self._not_known(path, value), tuple(path.split(".")), [str(n) for n in names]
                )
            if isinstance(value, list) and not all(item in names for item in value):
                raise SpecError(
                    self._not_known(path, value), tuple(path.split(".")), [str(n) for n in names]
                )

    def _check_lengths(self, settled: Json) -> None:
        """Lists of one length: of more or fewer stages it is not known what they hold."""
        for path, length in self._class.get("lengths", {}).items():
            value = at(settled, path)
            if isinstance(value, list) and len(value) != length:
                raise SpecError(
                    f"{self._name} was seen with {length} items here, not with {len(value)}",
                    tuple(path.split(".")),
                )

    def _derive(self, settled: dict[str, Any], rule: Json) -> None:
        path = rule["field"]
        current = at(settled, path)
        declared = at(self._data["defaults"], path, self) is not self
        if rule["mode"] in {"absent", "asked"} and current is not None and declared:
            return
        if rule["mode"] == "asked":
            raise SpecError(
                f"how the library fills in an absent {path} is not known: give it",
                tuple(path.split(".")),
            )
        try:
            if "count" in rule:
                count = evaluate(rule["count"], settled)
                if not isinstance(count, int) or not 0 <= count <= 65_536:
                    raise ParameterError(f"{path} would have {count} items")
                value: Any = [evaluate(rule["value"], {**settled, "i": i}) for i in range(count)]
            else:
                value = evaluate(rule["value"], settled)
        except Missing as error:
            if rule["mode"] == "absent" and "." in path:
                return  # the object that it would be in is absent too
            raise SpecError(f"{path} cannot be derived: {error.message}", error.path) from error
        strict = not declared or rule["mode"] == "follows"
        if strict and current is not None and current != value:
            raise SpecError(
                f"{current!r} does not follow from the other fields: {value!r} does",
                tuple(path.split(".")),
            )
        put(settled, path, value)


def _plain(value: Any, place: Path) -> Any:
    """A value of JSON; `{"__float__": "Infinity"}` is how the library spells what JSON cannot."""
    if isinstance(value, Mapping):
        if set(value) == {"__float__"}:
            try:
                return float(value["__float__"])
            except (TypeError, ValueError):
                raise SpecError(f"{value!r} is not a number", place) from None
        return {str(key): _plain(item, (*place, str(key))) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item, (*place, n)) for n, item in enumerate(value)]
    if isinstance(value, float) and math.isnan(value):
        raise SpecError("nan is not a value", place)
    return value
