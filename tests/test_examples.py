from __future__ import annotations

import json
import math
import re
from pathlib import Path

import pytest
from safetensors import safe_open

from seedbed.errors import SpecError
from seedbed.files import CheckpointSpec, VirtualFile
from seedbed.stream import get_engine

EXAMPLES = Path(__file__).parent.parent / "examples"
SPECS = sorted(EXAMPLES.glob("*.json"))

SHAPES = {
    "mlp": {
        "fc1.weight": [256, 784],
        "fc1.bias": [256],
        "fc2.weight": [10, 256],
        "fc2.bias": [10],
    },
    "cnn": {
        "stem.weight": [16, 3, 3, 3],
        "block.weight": [32, 16, 3, 3],
        "head.weight": [10, 32],
        "head.bias": [10],
        **{
            f"norm{i}.{part}": [width] * (part != "num_batches_tracked")
            for i, width in ((1, 16), (2, 32))
            for part in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
        },
    },
    "transformer": {
        "embed.weight": [32000, 512],
        "lm_head.weight": [32000, 512],
        "norm.weight": [512],
        **{f"layers.0.{part}_norm.weight": [512] for part in ("attention", "mlp")},
        **{f"layers.0.{part}.weight": [512, 512] for part in ("query", "key", "value", "output")},
        **{f"layers.0.{part}.weight": [1376, 512] for part in ("gate", "up")},
        "layers.0.down.weight": [512, 1376],
    },
    "lstm": {
        "embed/embeddings": [10000, 64],
        "lstm/lstm_cell/kernel": [64, 512],
        "lstm/lstm_cell/recurrent_kernel": [128, 512],
        "lstm/lstm_cell/bias": [512],
        "head/kernel": [128, 2],
        "head/bias": [2],
    },
}
"""What the modules that the examples speak of have in PyTorch, or in the framework they ask for."""

DTYPES = {
    "mlp": {"*": "F32"},
    "cnn": {"num_batches_tracked": "I64", "*": "F32"},
    "transformer": {"norm.weight": "F32", "*": "BF16"},
    "lstm": {"*": "F32"},
}
"""Dtype by the end of the name."""


def _file(path: Path) -> VirtualFile:
    spec = CheckpointSpec.model_validate_json(path.read_bytes())
    return VirtualFile(spec, engine=get_engine("numpy"))


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_example_has_the_tensors_of_its_modules(path: Path, tmp_path: Path) -> None:
    """An example's file has, for safetensors' own reader, the names, shapes and dtypes it should.

    The reader looks at the header and at the size only, so the tensors are left as holes.
    """
    file = _file(path)
    saved = tmp_path / "model.safetensors"
    with saved.open("wb") as out:
        out.write(file.header)
        out.truncate(file.size)
    with safe_open(saved, "np") as read:
        slices = {name: read.get_slice(name) for name in read.keys()}  # noqa: SIM118 (no mapping)
    assert {name: part.get_shape() for name, part in slices.items()} == SHAPES[path.stem]
    for name, part in slices.items():
        ends = DTYPES[path.stem]
        assert part.get_dtype() == next(
            (ends[end] for end in ends if name.endswith(end)), ends["*"]
        )


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_example_needs_each_of_its_rules(path: Path) -> None:
    """No rule of an example is idle: without it some tensor is filled otherwise, or not at all."""
    body = json.loads(path.read_bytes())
    whole = _decisions(body)
    for i in range(len(body.get("rules", ()))):
        rules = [*body["rules"][:i], *body["rules"][i + 1 :]]
        assert _decisions({**body, "rules": rules}) != whole


def _decisions(body: dict[str, object]) -> list[object]:
    """What each tensor is filled with, or the places where nothing says so."""
    try:
        file = VirtualFile(CheckpointSpec.model_validate(body), engine=get_engine("numpy"))
    except SpecError as error:
        return [error.path]
    return [(tensor.name, tensor.dtype.code, tensor.scheme) for tensor in file.tensors]


def test_examples_are_listed_with_what_they_come_to() -> None:
    """The table of examples/README.md has a row for each example, with its true figures."""
    rows = re.findall(
        r"^\| \[(\S+)\]\((\S+)\) \| .+ \| (\w+) \| ([\d,]+) \| ([\d,]+) \| ([\d,]+) \|$",
        (EXAMPLES / "README.md").read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    assert sorted(row[0] for row in rows) == [path.name for path in SPECS]
    for name, link, dtype, *figures in rows:
        file = _file(EXAMPLES / link)
        elements = sum(map(math.prod, SHAPES[Path(link).stem].values()))
        assert (name, dtype) == (link, file.spec.dtype)
        assert figures == [f"{n:,}" for n in (len(file.tensors), elements, file.size)]
