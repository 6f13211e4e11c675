from __future__ import annotations

import json
import math
from typing import Any

import pytest

from seedbed.errors import LimitError, ParameterError, SpecError
from seedbed.models.transformers import FAMILIES, PRESETS, UnknownModelType, of_config
from seedbed.models.transformers.family import VERSION
from seedbed.models.transformers.gpt2 import GPT2
from seedbed.models.transformers.tiny import TINY

SMALL = {
    "model_type": "llama",
    "hidden_size": 8,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "vocab_size": 10,
}


def preset(name: str) -> Any:
    """The preset of a name."""
    return next(one for one in PRESETS if one.name == name)


def test_an_unknown_model_type_lists_those_that_are_known() -> None:
    """A type that no family has is an error of its own, so that others can be asked."""
    with pytest.raises(UnknownModelType, match="no model type 'perceiver'") as caught:
        of_config({"model_type": "perceiver"})
    assert caught.value.path == ("model_type",)
    assert {"gpt2", "llama", "t5"} <= set(caught.value.allowed)
    with pytest.raises(SpecError, match="names its model_type") as missing:
        of_config({"architectures": ["GPT2Model"]})
    assert not isinstance(missing.value, UnknownModelType)


@pytest.mark.parametrize(
    ("config", "path", "message"),
    [
        ({"hidden_size": 0}, ("hidden_size",), "greater than or equal to 1"),
        ({"hidden_size": "8"}, ("hidden_size",), "valid integer"),
        ({"hidden_size": 9}, ("hidden_size",), "9 does not divide into 2 heads"),
        ({"num_key_value_heads": 3}, ("num_attention_heads",), "heads of keys"),
        ({"pad_token_id": 10}, ("pad_token_id",), "below the 10 rows"),
        ({"hidden_sizes": 8}, ("hidden_sizes",), "no field that was studied"),
        ({"quantization_config": {}}, ("quantization_config",), "change the weights"),
        ({"architectures": ["LlamaForEver"]}, ("architectures", 0), "no class that was studied"),
        ({"torch_dtype": "int4"}, ("torch_dtype",), "no dtype"),
        ({"tie_word_embeddings": "yes"}, ("tie_word_embeddings",), "valid boolean"),
        ({"initializer_range": -1.0}, ("initializer_range",), "greater than or equal to 0"),
    ],
)
def test_what_cannot_mean_a_model_is_refused_in_its_place(
    config: dict[str, Any], path: tuple[str, ...], message: str
) -> None:
    """A field that is out of bounds, unknown or at odds with another is an error with its path."""
    with pytest.raises(SpecError, match=message) as caught:
        of_config({**SMALL, **config})
    assert caught.value.path == path


@pytest.mark.parametrize(
    ("config", "path"),
    [
        ({"model_type": "gpt2", "n_embd": 10, "n_head": 3}, ("n_embd",)),
        ({"model_type": "gpt2", "hidden_size": 10, "n_head": 3}, ("hidden_size",)),
        ({"model_type": "bert", "position_embedding_type": "relative_key"}, None),
        ({"model_type": "opt", "_remove_final_layer_norm": True}, None),
        ({"model_type": "distilbert", "dim": 9, "n_heads": 3, "sinusoidal_pos_embds": True}, None),
        ({"model_type": "roberta", "pad_token_id": 600}, None),
        ({"model_type": "whisper", "d_model": 9, "encoder_attention_heads": 3,
          "decoder_attention_heads": 3}, None),
        ({"model_type": "bart", "normalize_before": True}, None),
        ({"model_type": "t5", "feed_forward_proj": "gated-gelu-new"}, None),
        ({"model_type": "mamba", "time_step_min": 0.2}, None),
        ({"model_type": "mamba2", "num_heads": 3}, None),
        ({"model_type": "jamba", "attn_layer_offset": 8}, None),
        ({"model_type": "clip", "text_config": {"hidden_size": 9}}, ("text_config", "hidden_size")),
        ({"model_type": "clip", "vision_config": {"depth": 9}}, ("vision_config", "depth")),
        ({"model_type": "clip", "text_config_dict": {}}, ("text_config_dict",)),
        ({"model_type": "vit", "hidden_size": 10}, None),
        ({"model_type": "vit", "image_size": [224]}, None),
    ],
)  # fmt: skip
def test_families_refuse_what_they_do_not_cover(
    config: dict[str, Any], path: tuple[str, ...] | None
) -> None:
    """Each family checks what its library leaves to chance, and says where it is."""
    with pytest.raises(SpecError) as caught:
        of_config(config)
    assert len(caught.value.path) >= 1
    if path is not None:
        assert caught.value.path == path


def test_there_is_an_end_of_layers() -> None:
    """A config may not ask for more tensors than any checkpoint has."""
    config = {"model_type": "qwen3_moe", "num_hidden_layers": 10_000, "num_experts": 4096}
    with pytest.raises(LimitError, match="max_tensors"):
        of_config(config)


def test_a_padding_row_counts_from_the_end_if_negative() -> None:
    """As in torch, −1 is the last row."""
    first = next(iter(of_config({**SMALL, "pad_token_id": -1}).parameters[0].blocks))
    assert (first.start, first.stop, first.value) == (9, 10, 0.0)
    assert of_config(SMALL).parameters[0].blocks == ()


def test_a_range_of_zero_counts_as_the_default() -> None:
    """As in the library, an initializer_range of 0 is 0.02."""
    first = of_config({**SMALL, "initializer_range": 0.0}).parameters[0]
    assert first.init.spelling == '{"scheme":"normal","std":0.02}'


def test_the_config_spells_out_what_decides() -> None:
    """The written config has every deciding field, what was given, and no dtype of its own."""
    model = of_config(
        {
            "model_type": "gpt2",
            "hidden_size": 8,
            "n_head": 2,
            "n_layer": 1,
            "torch_dtype": "float16",
            "activation_function": "relu",
            "auto_map": {"AutoModel": "code.Model"},
            "n_inner": None,
            "_name_or_path": "x",
        }
    )
    assert model.config == {
        "activation_function": "relu",
        "architectures": ["GPT2LMHeadModel"],
        "bos_token_id": 50256,
        "eos_token_id": 50256,
        "initializer_range": 0.02,
        "model_type": "gpt2",
        "n_embd": 8,
        "n_head": 2,
        "n_layer": 1,
        "n_positions": 1024,
        "tie_word_embeddings": True,
        "transformers_version": VERSION,
        "vocab_size": 50257,
    }
    assert model.generation_config == {
        "_from_model_config": True,
        "bos_token_id": 50256,
        "eos_token_id": 50256,
        "transformers_version": VERSION,
    }
    assert model.library == f"transformers {VERSION}"


def test_labels_are_written_as_the_library_writes_them() -> None:
    """num_labels becomes id2label and label2id, unless it is the default."""
    base = {**SMALL, "architectures": ["LlamaForSequenceClassification"]}
    three = of_config({**base, "num_labels": 3})
    assert three.config is not None
    assert three.config["id2label"] == {"0": "LABEL_0", "1": "LABEL_1", "2": "LABEL_2"}
    assert three.config["label2id"] == {"LABEL_0": 0, "LABEL_1": 1, "LABEL_2": 2}
    assert "num_labels" not in three.config
    assert three.parameters[-1].shape == (3, 8)
    assert three.generation_config is None
    two = of_config({**base, "num_labels": 2})
    assert two.config is not None
    assert "id2label" not in two.config
    named = of_config({**base, "id2label": {"0": "no", "1": "yes", "2": "so"}})
    assert named.parameters[-1].shape == (3, 8)
    assert of_config(three.config).digest == three.digest == named.digest


def test_t5_is_always_tied() -> None:
    """Where a config asks for a head of its own, the library says what that means instead."""
    model = of_config({"model_type": "t5", "num_layers": 1, "tie_word_embeddings": False})
    assert model.config is not None
    assert (model.config["tie_word_embeddings"], model.config["scale_decoder_outputs"]) == (
        True,
        False,
    )
    assert not any("lm_head" in one.name for one in model.parameters)


def test_a_former_name_of_a_class_is_written_as_it_is_now() -> None:
    """A config that names a class as it was once called gets the class of today."""
    model = of_config({"model_type": "t5", "architectures": ["T5WithLMHeadModel"], "num_layers": 1})
    assert model.config is not None
    assert model.config["architectures"] == ["T5ForConditionalGeneration"]
    assert model.generation_config is not None


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_the_default_class_is_one_of_the_classes(family: Any) -> None:
    """Each family yields what it would without a config, and every class has its method."""
    small = preset(f"tiny-{family.model_type.replace('_', '-')}")
    for name, method in family.classes().items():
        assert callable(getattr(family, method))
        assert small.build({"architectures": [name]}).parameters
    bare = family.model_validate({}) if family is GPT2 else None
    if bare is not None:
        assert len(tuple(bare.parameters())) == 148


def test_arguments_of_a_preset_are_fields_by_any_name() -> None:
    """A field given by its alias takes the place of the preset's."""
    tiny = preset("tiny-gpt2")
    by_alias = tiny.build({"hidden_size": 32, "num_attention_heads": 2})
    assert by_alias.digest == tiny.build({"n_embd": 32, "n_head": 2}).digest
    assert by_alias.parameters[0].shape == (264, 32)
    assert {*by_alias.files} == {"tokenizer.json", "tokenizer_config.json"}


def test_a_part_of_a_preset_is_changed_in_part() -> None:
    """Of a config within the config only the fields that are said take other values."""
    large = preset("clip-vit-large-patch14")
    wider = large.build({"vision_config": {"image_size": 336}})
    shapes = {one.name: one.shape for one in wider.parameters}
    assert shapes["vision_model.embeddings.position_embedding.weight"] == (24 * 24 + 1, 1024)
    assert shapes["visual_projection.weight"] == (768, 1024)
    assert wider.config is not None
    assert wider.config["vision_config"]["patch_size"] == 14


def test_arguments_of_a_preset_are_checked() -> None:
    """A preset says what it does not take, and keeps to its model type."""
    tiny = preset("tiny-gpt2")
    with pytest.raises(ParameterError, match="no field that was studied") as caught:
        tiny.build({"layers": 3})
    assert caught.value.path == ("layers",)
    assert "n_layer" in caught.value.allowed
    with pytest.raises(ParameterError, match="of the model type gpt2"):
        tiny.build({"model_type": "llama"})
    assert tiny.build({"model_type": "gpt2"}).digest == tiny.build({}).digest


def test_a_preset_lists_its_arguments() -> None:
    """The catalogue has the fields with the preset's own defaults, and the classes."""
    arguments = {one.name: one for one in preset("gpt2-medium").arguments()}
    assert arguments["n_embd"].default == 1024
    assert arguments["n_embd"].json_schema["minimum"] == 1
    assert "residual stream" in arguments["n_embd"].description
    assert arguments["architectures"].default == ["GPT2LMHeadModel"]
    assert "GPT2Model" in arguments["architectures"].json_schema["items"]["enum"]


@pytest.mark.parametrize("one", TINY, ids=[one.name for one in TINY])
def test_arguments_are_plain_json(one: Any) -> None:
    """What the catalogue shows of a preset refers to nothing that is elsewhere."""
    for argument in one.arguments():
        text = json.dumps([argument.default, argument.json_schema], allow_nan=False)
        assert "$ref" not in text, argument.name


HOSTILE = (
    None, True, -1, 0, 1.5, 2**63, math.inf, "", "x", "9", [], [1], [[]], {}, {"a": 1},
    {"__float__": "NaN"},
)  # fmt: skip
"""Values of which most fit nowhere."""


@pytest.mark.parametrize("kind", FAMILIES)
def test_no_value_of_a_field_does_harm(kind: str) -> None:
    """Whatever a field is, the answer is a model or an error with a path, and comes soon."""
    tiny = dict(preset(f"tiny-{kind.replace('_', '-')}").defaults)
    family = FAMILIES[kind]
    for field in (*family.model_fields, *family.aliases, "id2label", "architectures", "dtype"):
        kept = {key: value for key, value in tiny.items() if family.aliases.get(field) != key}
        for value in HOSTILE:
            try:
                model = of_config({"model_type": kind, **kept, field: value})
            except SpecError as caught:
                refused = caught
            else:
                assert model.config is not None
                assert of_config(model.config).digest == model.digest, (field, value)
                continue
            assert refused.path[0] in (field, *tiny, *family.model_fields), (field, value)
