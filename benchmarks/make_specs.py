"""Write specs of ResNet-50 and GPT-2: `python -m benchmarks.make_specs GOLDEN_DIRECTORY`.

Names, shapes and dtypes are those that torchvision and transformers save, from files of their
measurements (`tv-resnet50.json.gz`, `gpt2-default.json.gz`); the rules say how both fill them.
"""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path
from typing import Any

SPECS = Path(__file__).parent / "specs"

GPT2_LAYERS = 12

_DEFAULT = {"scheme": "he_uniform", "a": 5**0.5}
"""What `torch.nn.Linear` draws its weight from: ±1/√fan_in."""

_FC_BOUND = 2048**-0.5

RULES: dict[str, list[dict[str, Any]]] = {
    "resnet50": [
        {"match": "*", "init": {"scheme": "he_normal", "mode": "fan_out", "nonlinearity": "relu"}},
        {"match": "*bn?.weight", "init": "ones"},
        {"match": "*downsample.1.weight", "init": "ones"},
        {"match": "*.running_var", "init": "ones"},
        {"match": "*.bias", "init": "zeros"},
        {"match": "*.running_mean", "init": "zeros"},
        {"match": "*.num_batches_tracked", "init": "zeros"},
        {"match": "fc.weight", "init": _DEFAULT},
        {"match": "fc.bias", "init": {"scheme": "uniform", "low": -_FC_BOUND, "high": _FC_BOUND}},
    ],
    "gpt2": [
        {"match": "*", "init": {"scheme": "normal", "std": 0.02}},
        {
            "match": "*.c_proj.weight",
            "init": {"scheme": "normal", "std": 0.02 / (2 * GPT2_LAYERS) ** 0.5},
        },
        {"match": "*.ln_?.weight", "init": "ones"},
        {"match": "*.bias", "init": "zeros"},
    ],
}

FILES = {"resnet50": "tv-resnet50", "gpt2": "gpt2-default"}


def spec(model: str, measured: dict[str, Any]) -> str:
    """One tensor a line."""
    tensors = []
    for name, facts in measured["tensors"].items():
        tensor = {"name": name, "shape": facts["shape"]}
        if facts["dtype"] != "F32":
            tensor["dtype"] = facts["dtype"]
        tensors.append(f"    {json.dumps(tensor)}")
    rules = [f"    {json.dumps(rule)}" for rule in RULES[model]]
    listed = ",\n".join(tensors)
    ruled = ",\n".join(rules)
    return f'{{\n  "tensors": [\n{listed}\n  ],\n  "rules": [\n{ruled}\n  ]\n}}\n'


if __name__ == "__main__":
    SPECS.mkdir(exist_ok=True)
    for model, source in FILES.items():
        with gzip.open(Path(sys.argv[1]) / f"{source}.json.gz", "rt") as file:
            (SPECS / f"{model}.json").write_text(spec(model, json.load(file)))
