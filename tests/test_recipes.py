from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest

from seedbed.files import CheckpointSpec, VirtualFile
from seedbed.stream import get_engine

RECIPES = Path(__file__).parent.parent / "examples" / "recipes"
SPECS = sorted(RECIPES.glob("*.json"))


def spreads(path: Path) -> dict[str, tuple[float, float]]:
    """Mean and standard deviation of each tensor that a spec means."""
    spec = CheckpointSpec.model_validate_json(path.read_bytes())
    file = VirtualFile(spec, engine=get_engine("numpy"))
    return {t.name: tuple(t.fill.summary()[:2]) for t in file.tensors}  # type: ignore[misc]


STANDARD_DEVIATIONS: list[tuple[str, str, float]] = [
    ("alexnet", "conv3.weight", 0.01),
    ("gpt2", "h.0.mlp.up.weight", 0.02),
    ("gpt2", "h.1.mlp.down.weight", 0.01),  # 0.02 / √(2·2)
    ("deepnorm", "layers.0.query.weight", 0.125),  # √(2 / 128)
    ("deepnorm", "layers.1.value.weight", 0.0625),  # × 16^−¼
    ("tfixup", "encoder.layers.0.value.weight", 0.125 * 0.67 / 2**0.25),
    ("tfixup", "encoder.embed.weight", 0.125 / 18**0.25),
    ("fixup", "block1.conv1.weight", math.sqrt(2 / 144) / math.sqrt(3)),
    ("fixup", "conv1.weight", math.sqrt(2 / 144)),
    ("fixup", "block1.conv2.weight", 0.0),
    ("mup", "hidden.0.weight", 0.0625),
    ("mup", "readout.weight", 0.125),  # 1/√64, that of the base width
    ("lora", "q_proj.lora_A.weight", 1 / math.sqrt(3 * 512)),
    ("lora", "q_proj.lora_B.weight", 0.0),
    ("mamba", "dt_proj.weight", 0.5 / math.sqrt(3)),  # U(±4^−½)
    ("siren", "net.0.weight", 0.5 / math.sqrt(3)),
    ("siren", "net.1.weight", math.sqrt(2 / 256) / 30),
]


@pytest.mark.parametrize(("recipe", "tensor", "std"), STANDARD_DEVIATIONS)
def test_spreads_by_hand(recipe: str, tensor: str, std: float) -> None:
    """The tensors of a recipe have the standard deviations that its formula gives."""
    mean, actual = spreads(RECIPES / f"{recipe}.json")[tensor]
    assert mean == 0.0
    assert actual == pytest.approx(std, rel=1e-12)


def test_constants_by_hand() -> None:
    """Biases of AlexNet, scales of Fixup, ReZero's scalars: what is not drawn."""
    alexnet = spreads(RECIPES / "alexnet.json")
    ones = {name for name, (mean, _) in alexnet.items() if mean == 1.0}
    assert ones == {"conv2.bias", "conv4.bias", "conv5.bias", "fc6.bias", "fc7.bias"}
    assert spreads(RECIPES / "fixup.json")["block0.scale"] == (1.0, 0.0)
    assert spreads(RECIPES / "rezero.json")["layers.1.alpha"] == (0.0, 0.0)


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_no_rule_is_idle(path: Path) -> None:
    """Each rule of a recipe decides something: without it a tensor is filled otherwise, or not."""

    def decisions(body: dict[str, Any]) -> object:
        try:
            spec = CheckpointSpec.model_validate(body)
            return [(t.name, t.scheme) for t in VirtualFile(spec).tensors]
        except ValueError as error:
            return str(error)

    body = json.loads(path.read_bytes())
    whole = decisions(body)
    assert isinstance(whole, list)
    for i in range(len(body["rules"])):
        rules = [*body["rules"][:i], *body["rules"][i + 1 :]]
        assert decisions({**body, "rules": rules}) != whole


def test_recipes_are_listed() -> None:
    """The table of the directory has a row for each spec."""
    text = (RECIPES / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| \[(\w+)\.json\]\(\1\.json\)", text, re.MULTILINE) != []
    assert sorted(re.findall(r"^\| \[(\w+)\.json\]", text, re.MULTILINE)) == [
        path.stem for path in SPECS
    ]
