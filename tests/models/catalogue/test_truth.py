"""Configs that were once answered with another network than the library's.

Each stands for a kind: a legacy or derived spelling, a flat field, a depth past a period, a nested
default, an alias that is heard late, an order. `truths.json` has what transformers writes of them,
as a digest of names, dtypes, shapes and order (`scripts.catalogue.reordering --truths`).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from scripts.catalogue import comparing
from seedbed.errors import SpecError
from seedbed.models import registry
from seedbed.stream import Normal

TRUTHS = json.loads((Path(__file__).parent / "truths.json").read_text(encoding="utf-8"))
REFUSED = {
    "pop2piano": "is_gated_act",
    "reformer": "architectures",
}
"""Model types whose config here is refused, and the field that is named."""


@pytest.mark.parametrize("one", [pytest.param(one, id=one["what"][:40]) for one in TRUTHS])
def test_what_was_silently_wrong_is_exact_or_refused(one: dict[str, Any]) -> None:
    """Names, dtypes, shapes and order are the library's, or the error names the field."""
    config = one["config"]
    field = REFUSED.get(config["model_type"])
    if field is not None:
        with pytest.raises(SpecError) as refused:
            registry.of_config(config)
        assert refused.value.path[0] == field
        return
    model = registry.of_config({key: v for key, v in config.items() if key != "dtype"})
    assert comparing.digest(model.parameters) == one["digest"]


@pytest.mark.parametrize(
    ("kind", "pattern"),
    [
        ("blip", "text_decoder.bert.encoder.layer.0.crossattention.self.query.weight"),
        ("bert-generation", "bert.encoder.layer.0.crossattention.self.query.weight"),
        ("wav2vec2", "wav2vec2.encoder.layers.0.adapter_layer.linear_1.weight"),
    ],
)
def test_a_sampled_spread_is_a_field(kind: str, pattern: str) -> None:
    """What one sample's `initializer_range` was baked into follows the field now."""
    config = next(o["config"] for o in TRUTHS if o["config"]["model_type"] == kind)
    by_name = {one.name: one for one in registry.of_config(config).parameters}
    one = by_name[pattern]
    assert one.init.fill(one.shape) == type(one.init.fill(one.shape))(Normal(0.0, 0.02))


def test_a_list_is_held_to_the_length_that_was_seen() -> None:
    """A class that was seen with four stages refuses three, and says how many it knows."""
    config = {
        "model_type": "clap", "architectures": ["ClapModel"],
        "audio_config": {"depths": [2, 2, 6], "num_attention_heads": [4, 8, 16]},
    }  # fmt: skip
    with pytest.raises(SpecError, match="seen with 4 items") as refused:
        registry.of_config(config)
    assert refused.value.path == ("audio_config", "depths")


CLAP = {"model_type": "clap", "architectures": ["ClapModel"]}
LLAMA = {"model_type": "llama", "architectures": ["LlamaForCausalLM"]}
MOE = {
    "model_type": "glm_moe_dsa", "architectures": ["GlmMoeDsaForCausalLM"], "num_hidden_layers": 6,
    "n_routed_experts": 4,
}  # fmt: skip
NEMOTRON = {"model_type": "nemotron_h", "architectures": ["NemotronHForCausalLM"]}


def shapes(config: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """All tensors of a config."""
    return {one.name: one.shape for one in registry.of_config(config).parameters}


def test_a_channel_map_alone_makes_four_channels() -> None:
    """Fusion of no type convolves what it was given: it was answered with four times as much."""
    name = "audio_model.audio_encoder.patch_embed.proj.weight"
    for kind, channels in ((None, 1), ("channel_map", 4)):
        fused = {"enable_fusion": True, "fusion_type": kind}
        assert shapes({**CLAP, "audio_config": fused})[name] == (96, channels, 4, 4)


def test_layers_that_share_an_indexer_have_none() -> None:
    """A schedule in fields that no class declares says in which layers the indexers are."""
    names = shapes({**MOE, "index_topk_freq": 4, "index_skip_topk_offset": 3})
    layers = {name.split(".")[2] for name in names if ".indexer." in name}
    assert layers == {"0", "1", "2"}
    assert all(
        ".indexer.wk.weight" in "".join(n for n in shapes(MOE) if f".{i}." in n) for i in "05"
    )
    assert shapes({**MOE, "num_experts": 4}) == shapes(MOE)
    with pytest.raises(SpecError, match="one field"):
        registry.of_config({**MOE, "num_experts": 8})


def test_letters_stand_for_layers() -> None:
    """A pattern of letters is the list that it stands for; beside a list it says nothing."""
    words = ["mamba", "attention", "moe", "linear_attention", "mlp"]
    listed = shapes({**NEMOTRON, "layers_block_type": words})
    assert shapes({**NEMOTRON, "hybrid_override_pattern": "M*EM-"}) == listed
    assert (
        shapes({**NEMOTRON, "layers_block_type": words, "hybrid_override_pattern": "M"}) == listed
    )
    for wrong in ("MX", 3, None):
        with pytest.raises(SpecError, match="string of") as refused:
            registry.of_config({**NEMOTRON, "hybrid_override_pattern": wrong})
        assert refused.value.path == ("hybrid_override_pattern",)


@pytest.mark.parametrize("config", [LLAMA, CLAP])
def test_fields_that_no_code_looks_at_are_ignored_and_said_to_be(config: dict[str, Any]) -> None:
    """As the library ignores them; what resembles a field, or names a size, is an error."""
    plain = registry.of_config(config)
    noted = registry.of_config({**config, "sequence_parallel_enabled": True, "n_special": None})
    assert noted.parameters == plain.parameters
    assert noted.ignored == ("n_special", "sequence_parallel_enabled")
    assert plain.ignored == ()
    for name in ("initializer_rang", "n_layer", "initializer_factr"):
        if name != "initializer_rang" or config is LLAMA:
            with pytest.raises(SpecError, match="no field") as refused:
                registry.of_config({**config, name: 3})
            assert refused.value.path == (name,)
    with pytest.raises(SpecError, match="no field"):
        registry.of_config({**config, **{f"made_up_{i}": i for i in range(300)}})


def test_fields_of_parts_are_ignored_by_their_path() -> None:
    """What a nested config holds beside its fields is named with where it is."""
    clip = {"model_type": "clip", "architectures": ["CLIPModel"]}
    for config in (clip, CLAP):
        model = registry.of_config({**config, "text_config": {"made_up": 1}})
        assert model.ignored == ("text_config.made_up",)
