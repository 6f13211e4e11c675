from __future__ import annotations

from typing import Any

import pytest

from seedbed.errors import SpecError
from seedbed.files import CheckpointSpec, plan_of
from seedbed.init import Limits

LLAMA = {
    "model_type": "llama", "num_hidden_layers": 1, "hidden_size": 8, "intermediate_size": 8,
    "num_attention_heads": 2, "num_key_value_heads": 2, "vocab_size": 11,
}  # fmt: skip
DEEPSEEK = {
    "model_type": "deepseek_v3", "architectures": ["DeepseekV3ForCausalLM"], "hidden_size": 16,
    "intermediate_size": 16, "moe_intermediate_size": 8, "num_hidden_layers": 2,
    "first_k_dense_replace": 1, "num_attention_heads": 2, "num_key_value_heads": 2,
    "n_routed_experts": 4, "n_group": 2, "topk_group": 1, "num_experts_per_tok": 2,
    "q_lora_rank": 8, "kv_lora_rank": 8, "qk_nope_head_dim": 8, "qk_rope_head_dim": 4,
    "v_head_dim": 8, "vocab_size": 11,
}  # fmt: skip


def dtypes(config: dict[str, Any], **spec: Any) -> dict[str, str]:
    """Dtype by name of a config's checkpoint."""
    plan = plan_of(CheckpointSpec.model_validate({"model": {"config": config}, **spec}), Limits())
    return {tensor.name: tensor.dtype.code for tensor in plan}


@pytest.mark.parametrize("field", ["dtype", "torch_dtype"])
def test_a_config_says_its_dtype(field: str) -> None:
    """The dtype of a config is that of its file; the spec's own goes first."""
    config = {**LLAMA, field: "bfloat16"}
    assert set(dtypes(config).values()) == {"BF16"}
    assert set(dtypes(config, dtype="F16").values()) == {"F16"}
    assert set(dtypes(config, dtype="F32").values()) == set(dtypes(LLAMA).values()) == {"F32"}


def test_one_file_has_one_canonical_form() -> None:
    """Said or left to the config, a dtype is one spec; another is another, and reads back so."""
    config = {**LLAMA, "torch_dtype": "bfloat16"}
    silent, same, other = (
        CheckpointSpec.model_validate({"model": {"config": config}, **dtype})
        for dtype in ({}, {"dtype": "BF16"}, {"dtype": "F32"})
    )
    assert silent.digest == same.digest != other.digest
    for spec in (silent, other):
        again = CheckpointSpec.model_validate_json(spec.canonical_json)
        assert (again.dtype, again.digest) == (spec.dtype, spec.digest)
    assert silent.replaced(dtype="F32").digest == other.digest


def test_what_the_library_keeps_in_f32() -> None:
    """Routers stay F32 beside narrower dtypes, and a rule goes before that."""
    router = {"model.layers.1.mlp.gate.weight", "model.layers.1.mlp.gate.e_score_correction_bias"}
    for code in ("BF16", "F16"):
        found = dtypes({**DEEPSEEK, "dtype": "bfloat16"}, dtype=code)
        assert {name for name, dtype in found.items() if dtype == "F32"} == router
        assert set(found.values()) == {"F32", code}
    assert set(dtypes(DEEPSEEK, dtype="F64").values()) == {"F64"}
    rules = [{"match": "*.gate.weight", "dtype": "BF16"}]
    assert dtypes(DEEPSEEK, dtype="BF16", rules=rules)["model.layers.1.mlp.gate.weight"] == "BF16"


def test_a_spec_that_was_planned_has_other_dtypes_yet() -> None:
    """What is kept beside one dtype is not kept beside another, though the model is the same."""
    first = CheckpointSpec.model_validate({"model": {"config": {**DEEPSEEK, "dtype": "bfloat16"}}})
    assert len({tensor.dtype.code for tensor in plan_of(first, Limits())}) == 2
    for code in ("F64", "F32"):
        other = first.replaced(dtype=code)
        assert {tensor.dtype.code for tensor in plan_of(other, Limits())} == {code}
        assert other.digest == CheckpointSpec.model_validate_json(other.canonical_json).digest


def test_no_dtype_is_refused() -> None:
    """What is no dtype of weights is refused in its place, of any class."""
    for config in (LLAMA, DEEPSEEK):
        with pytest.raises(SpecError, match="no dtype") as caught:
            dtypes({**config, "torch_dtype": "int4"})
        assert caught.value.path == ("model", "config", "torch_dtype")
