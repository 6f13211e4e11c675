from __future__ import annotations

import json
import math
import re
from typing import Any

import pytest

from seedbed.errors import ParameterError
from seedbed.models.transformers import FAMILIES, PRESETS, of_config
from seedbed.models.transformers.family import VERSION
from seedbed.models.transformers.presets import KNOWN
from seedbed.models.transformers.tiny import TINY

COUNTS = {
    # As their publishers or the library's documentation count them; a tied head once.
    "gpt2": 124_439_808,
    "gpt2-medium": 354_823_168,
    "gpt2-large": 774_030_080,
    "gpt2-xl": 1_557_611_200,
    "llama-2-7b": 6_738_415_616,
    "llama-2-13b": 13_015_864_320,
    "llama-2-70b": 68_976_648_192,
    "llama-3-8b": 8_030_261_248,
    "llama-3-70b": 70_553_706_496,
    "llama-3.2-1b": 1_235_814_400,
    "llama-3.2-3b": 3_212_749_824,
    "smollm2-135m": 134_515_008,
    "distilgpt2": 81_912_576,
    "mistral-7b": 7_241_732_096,
    "mixtral-8x7b": 46_702_792_704,
    "qwen2.5-0.5b": 494_032_768,
    "qwen2.5-1.5b": 1_543_714_304,
    "qwen2.5-7b": 7_615_616_512,
    "gemma-2b": 2_506_172_416,
    "gemma-7b": 8_537_680_896,
    "gemma-2-2b": 2_614_341_888,
    "phi-3-mini": 3_821_079_552,
    "phi-2": 2_779_683_840,
    "falcon-7b": 6_921_720_704,
    "pythia-70m": 70_426_624,
    "pythia-12b": 11_846_072_320,
    "t5-small": 60_506_624,
    "whisper-tiny": 37_760_640,
    "whisper-large-v3": 1_543_490_560,
    "vit-base-patch16-224": 86_567_656,
    "clip-vit-base-patch32": 151_277_313,
    "clip-vit-large-patch14": 427_616_513,
    "siglip-base-patch16-224": 203_155_970,
}


def count(preset: Any) -> int:
    """Numbers in a preset's checkpoint."""
    return sum(math.prod(one.shape) for one in preset.build({}).parameters)


def test_known_sizes_have_as_many_parameters_as_published() -> None:
    """The sum over all tensors is what is known of the real model."""
    known = {one.name: one for one in KNOWN}
    assert {name: count(known[name]) for name in COUNTS} == COUNTS


def test_the_summary_says_about_how_many() -> None:
    """The number in a preset's summary is its count, within six per cent."""
    units = {"M": 1e6, "B": 1e9}
    for one in KNOWN:
        said = re.search(r" (\d+(?:\.\d+)?)([MB])\b", one.summary)
        assert said is not None, one.name
        number = float(said[1]) * units[said[2]]
        assert count(one) == pytest.approx(number, rel=0.06), one.name


def test_presets_have_names_and_sources() -> None:
    """Names are unique and fit in a URL, and each preset says where its numbers come from."""
    names = [one.name for one in PRESETS]
    assert len(set(names)) == len(names)
    for one in PRESETS:
        assert re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,63}", one.name), one.name
        assert "--" not in one.name
        assert ".." not in one.name
        assert one.source
        assert one.summary
        assert one.library == f"transformers {VERSION}"


def test_every_family_has_a_tiny_preset() -> None:
    """There is one for tests of each family, a few hundred kilobytes at most."""
    assert {one.architecture.model_type for one in TINY} == set(FAMILIES)
    for one in TINY:
        assert 4 * count(one) < 1_100_000, one.name


@pytest.mark.parametrize("preset", TINY, ids=[one.name for one in TINY])
def test_a_tiny_preset_fits_its_tokenizer(preset: Any) -> None:
    """Special tokens of the config are those of the tokenizer, and all tokens have a row."""
    model = preset.build({})
    assert model.config is not None
    assert of_config(model.config).digest == model.digest
    config = {**model.config, **model.config.get("text_config", {})}
    assert bool(model.files) == ("vocab_size" in config)
    if not model.files:
        return
    tokens = json.loads(model.files["tokenizer.json"])
    settings = json.loads(model.files["tokenizer_config.json"])
    assert len(tokens["model"]["vocab"]) == config["vocab_size"]
    contents = {one["id"]: one["content"] for one in tokens["added_tokens"]}
    for key, kinds in (("pad", ("pad",)), ("eos", ("eos", "sep")), ("bos", ("bos", "cls", "eos"))):
        if config.get(f"{key}_token_id") is not None:
            names = {settings.get(f"{kind}_token") for kind in kinds}
            assert contents[config[f"{key}_token_id"]] in names


@pytest.mark.parametrize("field", ["dtype", "torch_dtype"])
@pytest.mark.parametrize("value", ["bfloat16", "float32", None])
def test_a_preset_takes_no_dtype(field: str, value: str | None) -> None:
    """The dtype of a preset is the spec's; as an argument, which no tensor would heed, it fails."""
    with pytest.raises(ParameterError, match="the spec's") as caught:
        TINY[0].build({field: value})
    assert caught.value.path == (field,)
