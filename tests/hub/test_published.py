from __future__ import annotations

from importlib.resources import files

import pytest

from seedbed.files import CheckpointSpec
from seedbed.hub import published_id, published_specs, spec_of_published

# As published with the models: parameters of the class that the repository is of.
COUNTS = {
    "openai-community/gpt2": 124_439_808,
    "google-bert/bert-base-uncased": 109_514_298,
    "Qwen/Qwen2.5-0.5B": 494_032_768,
    "Qwen/Qwen3-0.6B": 596_049_920,
    "meta-llama/Llama-3.1-8B": 8_030_261_248,
    "mistralai/Mistral-7B-v0.1": 7_241_732_096,
    "microsoft/phi-2": 2_779_683_840,
    "facebook/opt-125m": 125_239_296,
}


def test_each_means_a_model() -> None:
    """Every id has a spec that can be built, and says where its shapes are from."""
    assert len(published_specs()) > 120
    for id_, entry in published_specs().items():
        organisation, _, name = id_.partition("/")
        assert organisation, id_
        assert name, id_
        assert entry["source"], id_
        spec = CheckpointSpec.model_validate_json(spec_of_published(id_))
        assert spec.built is not None
        assert spec.built.parameters, id_


@pytest.mark.parametrize("id_", COUNTS)
def test_parameters(id_: str) -> None:
    """They have as many as they were published with."""
    built = CheckpointSpec.model_validate_json(spec_of_published(id_)).built
    assert built is not None
    total = 0
    for parameter in built.parameters:
        size = 1
        for dimension in parameter.shape:
            size *= dimension
        total += size
    assert total == COUNTS[id_]


def test_spellings() -> None:
    """In either case, and without an organisation where there once was none; nothing else."""
    assert published_id("openai-community/gpt2") == "openai-community/gpt2"
    assert published_id("gpt2") == published_id("GPT2") == "openai-community/gpt2"
    assert published_id("qwen/QWEN2.5-0.5b") == "Qwen/Qwen2.5-0.5B"
    assert published_id("bert-base-uncased") == "google-bert/bert-base-uncased"
    for other in ("Qwen2.5-0.5B", "seedbed/gpt2", "gpt2/gpt2", "openai-community/", ""):
        assert published_id(other) is None


def test_the_data_is_small() -> None:
    """Configs of other people take some KB, and nothing is there but they and their source."""
    data = files("seedbed.hub") / "published.json.gz"
    assert len(data.read_bytes()) < 50_000
    assert all({"model", "source"} <= {*entry} <= {"model", "source", "dtype"}
               for entry in published_specs().values())  # fmt: skip
