"""`record_config`, against what transformers builds and saves of the same config."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.interop

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
from safetensors import safe_open  # noqa: E402

from seedbed.errors import SpecError  # noqa: E402
from seedbed.torch import record_config  # noqa: E402
from tests.interop.recording.test_command import seedbed  # noqa: E402

JAMBA: dict[str, Any] = {
    "model_type": "jamba", "architectures": ["JambaForCausalLM"], "dtype": "bfloat16",
    "hidden_size": 16, "intermediate_size": 8, "num_hidden_layers": 3, "num_attention_heads": 2,
    "num_key_value_heads": 1, "vocab_size": 16, "attn_layer_period": 3, "attn_layer_offset": 1,
    "expert_layer_period": 2, "expert_layer_offset": 1, "num_experts": 2, "mamba_d_state": 4,
    "mamba_dt_rank": 2, "use_mamba_kernels": False,
}  # fmt: skip
"""Of a type with layers of several kinds, a state-space table and step sizes."""

GLM: dict[str, Any] = {
    "model_type": "glm4_moe", "architectures": ["Glm4MoeForCausalLM"], "dtype": "bfloat16",
    "hidden_size": 16, "intermediate_size": 8, "moe_intermediate_size": 8, "num_hidden_layers": 2,
    "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 8, "vocab_size": 16,
    "n_routed_experts": 4, "first_k_dense_replace": 1, "n_group": 1, "topk_group": 1,
}  # fmt: skip
"""Of a type whose routers stay F32."""


@pytest.mark.parametrize("config", [JAMBA, GLM], ids=["jamba", "glm4_moe"])
def test_what_the_library_saves(config: dict[str, Any], tmp_path: Path) -> None:
    """Names, order, shapes and dtypes of the file that a loaded model of the class saves."""
    (tmp_path / "config.json").write_text(json.dumps(config))
    made = seedbed("record", "config.json", "-o", "spec.json", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    spec = json.loads((tmp_path / "spec.json").read_text())
    name = config["architectures"][0]
    assert spec["metadata"] == {"recorded_from": f"transformers {transformers.__version__} {name}"}

    architecture = getattr(transformers, name)
    parsed = architecture.config_class.from_dict(config)
    model = architecture._from_config(parsed, dtype=torch.bfloat16)
    model.save_pretrained(tmp_path / "fresh")
    loaded = architecture.from_pretrained(tmp_path / "fresh", dtype="auto")  # keeps some in F32
    loaded.save_pretrained(tmp_path / "saved")
    recorded = {
        tensor.name: (tensor.dtype, list(tensor.shape)) for tensor in record_config(config).tensors
    }
    with safe_open(tmp_path / "saved" / "model.safetensors", "pt") as file:
        parts = {key: file.get_slice(key) for key in file.keys()}  # noqa: SIM118  # no mapping
        wanted = {key: (part.get_dtype(), part.get_shape()) for key, part in parts.items()}
    assert recorded == wanted
    kept = {key for key, (dtype, _) in wanted.items() if dtype == "F32"}
    assert bool(kept) == (config is GLM)

    (tmp_path / "ours").mkdir()
    drawn = seedbed("generate", "spec.json", "-o", "ours/model.safetensors", cwd=tmp_path)
    assert drawn.returncode == 0, drawn.stderr
    (tmp_path / "ours" / "config.json").write_text(json.dumps(config))
    _, told = architecture.from_pretrained(tmp_path / "ours", output_loading_info=True)
    assert not any(told[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))


@pytest.mark.parametrize(
    ("change", "path", "message"),
    [
        ({"model_type": "jambas"}, ("model_type",), "no model type 'jambas'"),
        ({"model_type": None}, ("model_type",), "no model type"),
        ({"architectures": ["Jamba"]}, ("architectures", 0), "no class 'Jamba'"),
        ({"architectures": ["PreTrainedModel"]}, ("architectures", 0), "has no tensors"),
        ({"model_type": "rag", "architectures": None}, ("architectures",), "must name one"),
        ({"quantization_config": {"bits": 4}}, ("quantization_config",), "ignore_quantization"),
        ({"hidden_size": "x"}, (), "does not take this config|cannot build"),
        ({"num_attention_heads": 0}, (), "does not take this config|cannot build"),
    ],
)
def test_refusals(change: dict[str, Any], path: tuple[str | int, ...], message: str) -> None:
    """What the library cannot build is refused in its words, with the field where there is one."""
    with pytest.raises(SpecError, match=message) as refused:
        record_config({**JAMBA, **change})
    assert refused.value.path == path


def test_ignored_quantization() -> None:
    """The unquantised model of a quantised one's config, where that is asked for."""
    quantised = {**JAMBA, "quantization_config": {"quant_method": "gptq", "bits": 4}}
    assert record_config(quantised, ignore_quantization=True).json() == record_config(JAMBA).json()


def test_base_class_of_several() -> None:
    """A type with several base classes starts as the first, as the library has it."""
    config = {
        "model_type": "funnel", "vocab_size": 16, "d_model": 16, "n_head": 2, "d_head": 8,
        "d_inner": 16, "block_sizes": [1, 1],
    }  # fmt: skip
    recording = record_config(config)
    model = transformers.FunnelModel(transformers.FunnelConfig.from_dict(config))
    assert [tensor.name for tensor in recording.tensors] == list(model.state_dict())
    assert recording.metadata["recorded_from"].endswith(type(model).__name__)


def test_config_is_left_alone() -> None:
    """What is recorded is not written into, and so recorded the same again."""
    scaling = {"type": "linear", "factor": 2.0}
    config = {**GLM, "rope_scaling": scaling, "partial_rotary_factor": 0.5}
    before = json.dumps(config)
    first = record_config(config).json()
    assert json.dumps(config) == before
    assert record_config(config).json() == first
