"""`seedbed record` and `put`, from a module on disk to weights that load."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.interop

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

from seedbed.errors import SpecError  # noqa: E402
from seedbed.torch import init_, record  # noqa: E402
from tests.interop.recording.networks import NanoGPT  # noqa: E402
from tests.serving import PATIENCE_SECONDS, Server  # noqa: E402

MODEL = """
from torch import nn

def build():
    return nn.Sequential(nn.Linear(8, 4), nn.LayerNorm(4))

def padded():
    return nn.LSTM(2, 2), nn.Embedding(8, 4, padding_idx=0)[1]

def looking():
    layer = nn.Linear(8, 4)
    print(layer.weight.std().item())
    return layer

def unfilled():
    import torch
    layer = nn.Linear(8, 4)
    layer.extra = nn.Parameter(torch.empty(3))
    return layer


def listed():
    import torch
    model = nn.Linear(2, 2)
    model.register_buffer("table", torch.tensor([3.0, 1.0, 4.0, 1.5]))
    return model
"""


MIXTRAL = {
    "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "num_local_experts": 4, "vocab_size": 99, "pad_token_id": 0,
}  # fmt: skip
"""Of a model whose files have other tensors than its module: experts one by one."""

LOADING = """
from pathlib import Path
from huggingface_hub import ModelCard, model_info, snapshot_download
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM

model, info = AutoModelForCausalLM.from_pretrained(
    "recordings/mixtral", revision="seed-7", output_loading_info=True
)
assert not any(info.values()), info
assert type(model).__name__ == "MixtralForCausalLM"
assert model.generation_config.max_new_tokens == 5
assert ModelCard.load("recordings/mixtral").text == "# My model"
assert model_info("recordings/mixtral").library_name == "transformers"
half = AutoConfig.from_pretrained("recordings/mixtral", revision="seed-7-bf16")
assert str(half.dtype) == "torch.bfloat16"
folder = Path(snapshot_download("recordings/mixtral", revision="seed-7", local_dir="folder"))
own = AutoModelForCausalLM.from_pretrained(folder).state_dict()
assert own.keys() == model.state_dict().keys()
assert all(own[name].equal(tensor) for name, tensor in model.state_dict().items())
save_file(model.state_dict(), "loaded.safetensors")
"""


def seedbed(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """The command line, in a process of its own."""
    return subprocess.run(
        [str(Path(sys.executable).with_name("seedbed")), *map(str, arguments)],
        cwd=cwd, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


def test_record_and_generate(tmp_path: Path) -> None:
    """A spec is written, the report said, and the weights generated from it load."""
    from safetensors.torch import load_file

    (tmp_path / "mine.py").write_text(MODEL)
    done = seedbed("record", "mine:build", "-o", "spec.json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "4 tensors, 44 elements: 2 uniform, 1 ones, 1 zeros" in done.stderr
    done = seedbed("generate", "spec.json", "--seed", "3", "-o", "w.safetensors", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    model = nn.Sequential(nn.Linear(8, 4), nn.LayerNorm(4))
    model.load_state_dict(load_file(tmp_path / "w.safetensors"), strict=True)
    printed = seedbed("record", "mine:build", cwd=tmp_path)
    assert json.loads(printed.stdout) == json.loads((tmp_path / "spec.json").read_text())


def test_refusals(tmp_path: Path) -> None:
    """What no spec says, and where code looks at random values, is said by name; the end is 2."""
    (tmp_path / "mine.py").write_text(MODEL)
    done = seedbed("record", "mine:unfilled", "-o", "spec.json", cwd=tmp_path)
    assert done.returncode == 2
    assert "extra: unfilled: never filled" in done.stderr
    assert not (tmp_path / "spec.json").exists()
    done = seedbed("record", "mine:looking", cwd=tmp_path)
    assert done.returncode == 2
    assert "mine.py:12: item of a random value" in done.stderr
    assert seedbed("record", "mine:looking", "--looks", cwd=tmp_path).returncode == 0


def test_literals(tmp_path: Path) -> None:
    """Numbers that no scheme gives are refused, unless they are to be listed."""
    from safetensors.torch import load_file

    (tmp_path / "mine.py").write_text(MODEL)
    done = seedbed("record", "mine:listed", cwd=tmp_path)
    assert done.returncode == 2
    assert "table" in done.stderr
    done = seedbed("record", "mine:listed", "--literals", "-o", "spec.json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    done = seedbed("generate", "spec.json", "-o", "w.safetensors", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert load_file(tmp_path / "w.safetensors")["table"].tolist() == [3.0, 1.0, 4.0, 1.5]


def test_put(server: Server) -> None:
    """A recorded model is stored under a name, served, and loaded where the module would be."""
    from safetensors.torch import load

    recording = record(NanoGPT)
    address = recording.put(server.url, "recordings/nanogpt")
    assert address == f"{server.url}/v1/specs/recordings/nanogpt"
    answer = httpx.get(f"{address}/model.safetensors?seed=7").raise_for_status()
    model = NanoGPT()
    model.load_state_dict(load(answer.content), strict=True)
    assert model.lm_head.weight is model.transformer.wte.weight
    assert torch.equal(model.lm_head.weight, load(answer.content)["transformer.wte.weight"])
    with pytest.raises(SpecError):
        recording.put(server.url, "recordings/not a name")


def test_a_recorded_model_of_a_library(server: Server, tmp_path: Path) -> None:
    """Recorded, stored, described, and loaded in three ways with equal bytes.

    By `AutoModel` of the repository and of its snapshot, which have the config and the card of the
    user, and by `init_`.
    """
    import transformers
    from safetensors.torch import load_file

    def build() -> Any:
        model = transformers.MixtralForCausalLM(transformers.MixtralConfig(**MIXTRAL))
        model.generation_config.max_new_tokens = 5
        return model

    recording = record(build)
    recording.put(server.url, "recordings/mixtral", files={"README.md": "# My model"})
    stored = httpx.get(f"{server.url}/v1/specs/recordings/mixtral").raise_for_status().json()
    listed = stored["model"]["list"]
    described = httpx.post(f"{server.url}/v1/describe", json=recording.json()).raise_for_status()
    names = sorted(tensor.name for tensor in recording.tensors)
    assert [tensor["name"] for tensor in described.json()["tensors"]] == names  # as in the file
    assert len(listed) < len(names)
    done = subprocess.run(
        [sys.executable, "-c", LOADING], cwd=tmp_path,
        env={**os.environ, "HF_ENDPOINT": server.url, "HF_HOME": str(tmp_path / "home"),
             "HF_HUB_DISABLE_TELEMETRY": "1"},
        capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    loaded = load_file(tmp_path / "loaded.safetensors")
    model = build()
    init_(model, recording, seed=7)
    state = model.state_dict()
    assert loaded.keys() == state.keys()
    assert all(state[name].equal(tensor) for name, tensor in loaded.items())
