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
    "nemotron_h": "hybrid_override_pattern",
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
