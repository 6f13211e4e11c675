"""Reading a Hugging Face config.json: one spelling of each field, typed, and none overlooked.

A config.json is read as transformers reads it: `n_embd` is `hidden_size` where the model type says
so, `id2label` says how many labels there are, and an absent field has the default of its class. It
is stricter in one respect: a field that the library's code looks at, and that nobody has studied,
is an error here and no attribute, for it may decide about the weights. One that none of its code
looks at is ignored here too, and said to be.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar, cast

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from seedbed.errors import Choices, Path, SpecError, respelt
from seedbed.init import FLOAT_CODES
from seedbed.stream import FloatCode, UnclearDtype, dtype_code

Json = Mapping[str, Any]
Fields = TypeVar("Fields", bound=BaseModel)

INTEGER_MAX = 2**53
"""Of a field: beyond it JSON's readers disagree."""

_FLOATS = {"Infinity": math.inf, "-Infinity": -math.inf, "NaN": math.nan}
"""What transformers 5 writes as {"__float__": name}."""


def words(text: str) -> frozenset[str]:
    """The words of a text: a set of names, easy to read and to add to."""
    return frozenset(text.split())


INERT = words(
    # What any config may hold that says nothing of the weights: fields of PreTrainedConfig in
    # transformers 4 and 5, of generation, which once stood there, and what tools leave behind.
    """
    architectures auto_map base_model_tp_plan bad_words_ids begin_suppress_tokens bos_token_id
    chunk_size_feed_forward cross_attention_hidden_size custom_pipelines decoder_start_token_id
    diversity_penalty do_sample dtype early_stopping encoder_no_repeat_ngram_size eos_token_id
    eos_token_ids exponential_decay_length_penalty finetuning_task forced_bos_token_id
    forced_decoder_ids forced_eos_token_id gradient_checkpointing id2label is_decoder
    is_encoder_decoder label2id language length_penalty max_length max_new_tokens min_length
    model_type no_repeat_ngram_size num_beam_groups num_beams num_labels num_return_sequences
    output_attentions output_hidden_states output_past output_scores pad_token_id prefix
    problem_type remove_invalid_values repetition_penalty return_dict return_dict_in_generate
    sep_token_id suppress_tokens task_specific_params temperature tf_legacy_loss
    tie_encoder_decoder tie_last_hidden_states tokenizer_class top_k top_p torch_dtype torchscript
    transformers_version transformers.js_config typical_p unsloth_fixed unsloth_version
    use_bfloat16 use_cache
    """
)

NEUTRAL: Mapping[str, tuple[Any, ...]] = {
    "add_cross_attention": (False, None),
    "compression_config": (None,),
    "per_layer_config": (None, {}),
    "pruned_heads": (None, {}),
    "quantization_config": (None,),
}
"""Fields that change the weights of any model type, with the values at which they do not."""


SIZES = words(
    # What the library's configs call their sizes and switches: of a type whose own name is another,
    # whoever writes one of these means something by it, and the library would build another model.
    """
    context_length d_ff d_inner d_kv d_model decoder_layers depth dim emb_dim embed_dim
    embedding_dim embedding_size encoder_layers expert_ffn_hidden_size ffn_dim ffn_hidden_size
    head_dim hidden_dim hidden_size inner_dim intermediate_size kv_channels layer_types layers
    layers_block_type mlp_dim model_dim moe_intermediate_size moe_num_experts n_ctx n_embd n_experts
    n_head n_heads n_inner n_kv_heads n_layer n_layers n_positions n_routed_experts
    n_shared_experts n_words num_attention_groups num_attention_heads num_encoder_blocks
    num_experts num_heads num_hidden_layers num_key_value_heads num_kv_heads num_layers
    num_local_experts num_query_groups num_shared_experts num_stages org_vocab_size
    padded_vocab_size tie_embeddings tie_weights tie_word_embeddings tgt_vocab_size vocab_size
    vocabulary_size
    """
)

IGNORED_MAX = 256
"""Fields of a config that may be ignored: to look for slips of the pen costs time."""


def ignorable(name: str, value: Any, heard: Collection[str], studied: Collection[str]) -> bool:
    """Whether a field that nobody studied is one that the library ignores.

    Args:
        name: of the field.
        value: of it: null says nothing.
        heard: names that the library's code looks at in configs of this type.
        studied: names that are understood: what is nearly one of them was meant as it.
    """
    if name in heard:
        return False
    return value is None or not (name in SIZES or any(_slip(name, other) for other in studied))


def _slip(name: str, other: str) -> bool:
    """Whether two names are one letter apart: one more, one less, another, or two in turn."""
    if abs(len(name) - len(other)) > 1:
        return False
    differ = (
        place for place, pair in enumerate(zip(name, other, strict=False)) if len({*pair}) > 1
    )
    start = next(differ, min(len(name), len(other)))
    a, b = name[start:], other[start:]
    return a[1:] == b[1:] or a[1:] == b or a == b[1:] or (a[:2] == b[1::-1] and a[2:] == b[2:])


def resolved(value: Any) -> Any:
    """A value with `{"__float__": "Infinity"}` as the float it means, at any depth."""
    if isinstance(value, Mapping):
        if len(value) == 1 and value.get("__float__") in _FLOATS:
            return _FLOATS[value["__float__"]]
        return {key: resolved(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [resolved(part) for part in value]
    return value


def dtype_of(config: Json) -> FloatCode | None:
    """Code of the dtype that a config says its weights have, which a spec may overrule.

    Raises:
        SpecError: there is no such dtype.
    """
    name = "dtype" if config.get("dtype") is not None else "torch_dtype"
    value = config.get(name)
    if value is None or value == "auto":
        return None
    try:
        code = dtype_code(value) if isinstance(value, str) else None
    except UnclearDtype as error:
        raise SpecError(f"dtype {_said(value)}: {error}", (name,), FLOAT_CODES) from error
    if code not in FLOAT_CODES:
        allowed = Choices(FLOAT_CODES, value)
        raise SpecError(f"there is no dtype of weights {_said(value)}", (name,), allowed)
    return cast(FloatCode, code)


@dataclass(frozen=True)
class Config(Mapping[str, Any]):
    """The fields of a config.json, or of a part of one, by the names of their class.

    Attributes:
        fields: what is given, and the defaults of what is not.
        spelled: given name by field, where an alias was used.
        present: the fields that the object has.
        prefix: path of this part in the whole.
        heard: names that the library's code looks at; without them any unknown one is an error.
        ignored: paths of fields that nothing looks at, put down as they are met.
    """

    fields: Json
    spelled: Mapping[str, str] = field(default_factory=dict)
    present: frozenset[str] = frozenset()
    prefix: Path = ()
    heard: frozenset[str] | None = None
    ignored: list[str] = field(default_factory=list)

    @classmethod
    def read(
        cls,
        config: Json,
        *,
        aliases: Mapping[str, str] | None = None,
        defaults: Json | None = None,
        prefix: Path = (),
        heard: frozenset[str] | None = None,
    ) -> Config:
        """Read what json.loads made of a config.json.

        Args:
            config: the object.
            aliases: other name → field, as `attribute_map` of the config's class.
            defaults: of absent fields.
            prefix: path of this object in the whole.
            heard: names that the library's code looks at in configs of this type.

        Raises:
            SpecError: a field is given twice, under two names and with two values.
        """
        aliases = aliases or {}
        fields: dict[str, Any] = {}
        spelled: dict[str, str] = {}
        for key, value in config.items():
            name = aliases.get(key, key)
            meant = resolved(value)
            if name in fields and fields[name] != meant:
                raise SpecError(
                    f"{key} and {spelled.get(name, name)} are two names of one field, with "
                    f"different values",
                    (*prefix, key),
                )
            fields[name] = meant
            if name != key:
                spelled[name] = key
        labels = fields.get("id2label")
        if isinstance(labels, Mapping):
            fields["num_labels"] = len(labels)  # which wins in transformers, too
            spelled.setdefault("num_labels", "id2label")
        present = frozenset(fields)
        return cls({**(defaults or {}), **fields}, spelled, present, prefix, heard)

    def __getitem__(self, name: str) -> Any:
        return self.fields[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.fields)

    def __len__(self) -> int:
        return len(self.fields)

    def path(self, name: str) -> Path:
        """Where a field is, in the spelling of who wrote it."""
        return (*self.prefix, self.spelled.get(name, name))

    def error(self, name: str, message: str, allowed: Collection[str] = ()) -> SpecError:
        """An error about a field."""
        return SpecError(
            message, self.path(name), allowed if isinstance(allowed, tuple) else tuple(allowed)
        )

    def require_known(self, *known: Collection[str]) -> None:
        """Refuse fields that are neither among these nor inert in any model, and what never goes.

        Raises:
            SpecError: naming the first such field, and those that resemble it.
        """
        for name in self.present:
            if name in NEUTRAL:
                if self.fields[name] not in NEUTRAL[name]:
                    raise self.error(name, f"{name} would change the weights in a way not covered")
            elif not (name in INERT or name[:1] == "_" or any(name in some for some in known)):
                studied = sorted({field for some in known for field in some})
                if self._ignores(name, studied):
                    continue
                raise self.error(
                    name,
                    f"{name[:100]} is no field that was studied for this model type: it might "
                    "change the weights",
                    Choices(studied, name[:100]),
                )

    def _ignores(self, name: str, studied: Collection[str]) -> bool:
        """Whether the library would ignore a field; puts it down, if so."""
        if self.heard is None or len(self.ignored) >= IGNORED_MAX:
            return False
        if not ignorable(name, self.fields[name], self.heard, studied):
            return False
        self.ignored.append(".".join(map(str, self.path(name))))
        return True

    def integer(
        self, name: str, least: int = 0, most: int = INTEGER_MAX, *, null: bool = False
    ) -> int | None:
        """A whole number within bounds.

        Raises:
            SpecError: it is none, out of bounds, or null where null is not taken.
        """
        value = self.fields.get(name)
        if value is None and null:
            return None
        if not isinstance(value, int) or isinstance(value, bool):
            raise self.error(name, f"must be a whole number{' or null' * null}, not {_said(value)}")
        if not least <= value <= most:
            raise self.error(name, f"must be from {least:,} to {most:,}, not {_said(value)}")
        return value

    def number(
        self,
        name: str,
        least: float = -math.inf,
        most: float = math.inf,
        *,
        null: bool = False,
    ) -> float | None:
        """A number within bounds, infinity where the bounds let it be.

        Raises:
            SpecError: it is none, out of bounds, or null where null is not taken.
        """
        value = self.fields.get(name)
        if value is None and null:
            return None
        if not isinstance(value, int | float) or isinstance(value, bool) or math.isnan(value):
            raise self.error(name, f"must be a number{' or null' * null}, not {_said(value)}")
        if not least <= value <= most:
            raise self.error(name, f"must be from {least:g} to {most:g}, not {_said(value)}")
        return float(value)

    def flag(self, name: str, *, null: bool = False) -> bool | None:
        """True or false.

        Raises:
            SpecError: it is neither, or null where null is not taken.
        """
        value = self.fields.get(name)
        if (value is None and null) or isinstance(value, bool):
            return value
        raise self.error(
            name, f"must be true or false{' or null' * null}, not {_said(value)}", ("true", "false")
        )

    def text(
        self, name: str, allowed: Collection[str] | None = None, *, null: bool = False
    ) -> str | None:
        """A string, one of a few if those are given.

        Raises:
            SpecError: it is none of them, or null where null is not taken.
        """
        value = self.fields.get(name)
        if value is None and null:
            return None
        if not isinstance(value, str) or (allowed is not None and value not in allowed):
            among = f"one of {', '.join(sorted(allowed))}" if allowed else "a string"
            raise self.error(
                name, f"must be {among}{' or null' * null}, not {_said(value)}", allowed or ()
            )
        return value

    def items_of(self, name: str, kind: type, *, null: bool = False) -> tuple[Any, ...] | None:
        """A list of strings, of whole numbers, of floats or of flags.

        Raises:
            SpecError: it is none, one of its parts is of another kind, or null is not taken.
        """
        value = self.fields.get(name)
        if value is None and null:
            return None
        if not isinstance(value, list | tuple):
            raise self.error(name, f"must be a list{' or null' * null}, not {_said(value)}")
        for index, part in enumerate(value):
            fits = isinstance(part, int | float if kind is float else kind)
            if not fits or (isinstance(part, bool) and kind is not bool):
                raise SpecError(
                    f"must be {_KINDS[kind]}, not {_said(part)}", (*self.path(name), index)
                )
        return tuple(value)

    def part(self, name: str, **reading: Any) -> Config:
        """The object under a name, read in its turn; nothing given if it is absent or null.

        Raises:
            SpecError: it is no object.
        """
        value = self.fields.get(name)
        if value is None:
            value = {}
        if not isinstance(value, Mapping):
            raise self.error(name, f"must be an object, not {_said(value)}")
        part = Config.read(value, prefix=self.path(name), heard=self.heard, **reading)
        return replace(part, ignored=self.ignored)

    def architecture(self, known: Collection[str], default: str) -> str:
        """The class that the weights are of, as `architectures` says.

        Args:
            known: classes that are.
            default: the class where nothing is said.

        Raises:
            SpecError: another is named, or several.
        """
        value = self.fields.get("architectures")
        if value is None or value == []:
            return default
        names = self.items_of("architectures", str) or ()
        if len(names) != 1:
            raise self.error("architectures", "must name one class", known)
        if names[0] not in known:
            raise SpecError(
                f"{names[0][:100]} is no class that was studied for this model type",
                (*self.path("architectures"), 0),
                respelt(known, names[0]),
            )
        return str(names[0])

    def into(self, model: type[Fields], *inert: Collection[str]) -> Fields:
        """The fields of a Pydantic model, checked, with their defaults where they are absent.

        Args:
            model: whose names are those of the config's class.
            inert: other fields that may be given, and take no part.

        Raises:
            SpecError: with the path of the first field that does not fit.
        """
        self.require_known(model.model_fields, *inert)
        chosen = {name: self.fields[name] for name in model.model_fields if name in self.fields}
        try:
            return model.model_validate(chosen)
        except ValidationError as error:
            raise self._problem(error.errors(include_url=False)[0]) from error

    def _problem(self, first: ErrorDetails) -> SpecError:
        """The first problem of a Pydantic model as ours."""
        top, *rest = first["loc"] or ("",)
        path = self.path(str(top)) if top else self.prefix
        context = first.get("ctx", {})
        allowed = context.get("allowed", ())
        if first["type"] == "literal_error":
            allowed = [word.strip("'") for word in _split(context.get("expected", ""))]
        return SpecError(
            f"{first['msg']}, not {_said(first['input'])}", (*path, *rest), tuple(allowed)
        )


_KINDS = {str: "a string", int: "a whole number", float: "a number", bool: "true or false"}


def _split(expected: str) -> list[str]:
    """The words of Pydantic's `'a', 'b' or 'c'`."""
    return expected.replace(" or ", ", ").split(", ")


def _said(value: Any) -> str:
    """A value, short enough for a message."""
    text = "null" if value is None else repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"
