"""The catalogue against the library that it was solved from, at configs that nobody solved with."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from seedbed.models.catalogue import types
from seedbed.models.catalogue.store import load
from tests.interop.conftest import save
from tests.serving import Server

pytestmark = pytest.mark.interop

OFFLINE = {
    "HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error", "TOKENIZERS_PARALLELISM": "false",
}  # fmt: skip
EXACT = sorted(
    (model_type, name)
    for model_type, classes in types().items()
    for name, state in classes.items()
    if state["status"] == "exact"
)
SAMPLE = sorted(sorted(EXACT, key=lambda one: hashlib.sha256(one[1].encode()).digest())[:12])
"""By the digests of the names: a class that comes or goes shifts no other."""

SMALL: dict[str, dict[str, Any]] = {
    "ElectraForMaskedLM": {
        "model_type": "electra", "hidden_size": 48, "embedding_size": 24, "num_hidden_layers": 2,
        "num_attention_heads": 4, "intermediate_size": 64, "vocab_size": 99,
    },
    "AlbertForMaskedLM": {
        "model_type": "albert", "hidden_size": 48, "embedding_size": 24, "num_hidden_layers": 2,
        "num_attention_heads": 4, "intermediate_size": 64, "vocab_size": 99,
    },
    "BloomForCausalLM": {
        "model_type": "bloom", "hidden_size": 48, "n_layer": 2, "n_head": 4, "vocab_size": 99,
    },
    "GPTJForCausalLM": {
        "model_type": "gptj", "n_embd": 48, "n_layer": 2, "n_head": 4, "rotary_dim": 4,
        "vocab_size": 99,
    },
}  # fmt: skip


@pytest.mark.parametrize(("model_type", "name"), SAMPLE)
def test_unseen_configs_have_the_librarys_tensors(
    model_type: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names, shapes, dtypes and draws are those of real models of freshly sampled configs."""
    for variable, value in OFFLINE.items():  # which the scripts would set for good
        monkeypatch.setenv(variable, value)
    from scripts.catalogue import assembling, building, inits, sampling, studying

    builder = studying.Builder(model_type, name)
    sampler = sampling.Sampler(builder.config_class, seed=987_654)
    data, study = load(model_type), studying.Study(model_type, name)
    solver = inits.InitSolver.__new__(inits.InitSolver)

    def claim(one: Any) -> Any:
        return solver._claim(one, computed=False)

    right = refused = 0
    for _, turn in zip(sampler.walk(builder.build, lambda: False), range(8), strict=False):
        assert builder.last is not None
        what = assembling.check(data, name, builder.last, model_type)
        assert what is None or what.startswith("refused")
        refused += what is not None
        right += what is None
        if what is None and turn % 3 == 1:
            try:
                seen = inits.observe(study, builder.last, turn, building.Reads())
            except (TypeError, ValueError):  # a config that builds only without initial values
                continue
            assert assembling.starts(data, name, model_type, builder.last, seen, claim) == {}
    assert right > refused


@pytest.mark.parametrize("name", sorted(SMALL))
def test_from_pretrained_takes_what_is_served(name: str, server: Server, tmp_path: Path) -> None:
    """The library loads a served file with no key missing, unexpected or of another shape."""
    import torch
    import transformers

    config = {**SMALL[name], "architectures": [name]}
    file = save(server, {"seed": 7, "model": {"config": config}}, tmp_path)
    file.rename(tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    model, report = getattr(transformers, name).from_pretrained(tmp_path, output_loading_info=True)
    assert not any(report[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    with torch.no_grad():
        logits = model.eval()(input_ids=torch.arange(12).reshape(1, 12)).logits
    assert bool(torch.isfinite(logits).all())
