from __future__ import annotations

import importlib
import re
import sys
from typing import Any

import pytest

from seedbed.errors import SpecError
from seedbed.models import presets, registry
from tests import processes

HUB_NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?")


def test_names_are_unique_and_fit_the_hub() -> None:
    """No preset hides another, and every name is one that Hub clients let through."""
    names = [
        preset.name
        for library in registry.LIBRARIES
        for preset in importlib.import_module(f"seedbed.models.{library}").PRESETS
    ]
    assert len(names) == len(set(names)) == len(presets())
    for name in names:
        assert HUB_NAME.fullmatch(name), name
        assert not re.search(r"--|\.\.", name), name
        assert len(name) <= 96


def test_what_a_catalogue_says() -> None:
    """Every preset says in a line what it is and whose, and lists what it takes."""
    for preset in presets().values():
        assert preset.summary, preset.name
        assert "\n" not in preset.summary
        assert re.search(r"\d", preset.library), preset.name
        for argument in preset.arguments():
            assert argument.name.isidentifier(), preset.name
            assert argument.json_schema, (preset.name, argument.name)


def test_near_names() -> None:
    """A name that is none is answered with those near to it."""
    with pytest.raises(SpecError) as caught:
        registry.preset("resnet51")
    assert "resnet50" in caught.value.allowed
    assert caught.value.path == ("preset",)


def test_a_config_of_nothing_known() -> None:
    """A model type that is none, or none at all, is answered with those that are known."""
    for config in ({"model_type": "lama"}, {}, {"model_type": 5}, {"model_type": None}):
        with pytest.raises(SpecError) as caught:
            registry.of_config(config)
        assert caught.value.path == ("model_type",)
        assert "llama" in caught.value.allowed


def test_a_start_does_not_pay() -> None:
    """Neither families nor data are read before somebody asks for a preset."""
    code = (
        "import sys, seedbed.web.application as a, seedbed.models.registry as r\n"
        "print([m for m in sys.modules if m.startswith(('seedbed.models.vision',"
        "'seedbed.models.transformers','seedbed.models.catalogue'))])"
    )
    done = processes.run(sys.executable, "-c", code)
    assert (done.stdout.strip(), done.stderr) == (b"[]", b"")


@pytest.mark.parametrize(
    ("config", "library"),
    [
        ({"_class_name": "UNet2DConditionModel", "_diffusers_version": "0.35.0"}, "diffusers"),
        ({"_class_name": "AutoencoderKL", "in_channels": 3}, "diffusers"),
        ({"architecture": "resnet50", "num_classes": 1000, "pretrained_cfg": {}}, "timm"),
        ({"peft_type": "LORA", "r": 8, "base_model_name_or_path": "gpt2"}, "PEFT"),
        ({"class_name": "Functional", "config": {}, "module": "keras"}, "Keras"),
    ],
)
def test_a_config_of_another_library_is_told_apart(config: dict[str, Any], library: str) -> None:
    """It is said whose it is and what to send instead, without hundreds of names."""
    with pytest.raises(SpecError, match=f"a config of {library}") as caught:
        registry.of_config(config)
    assert "manifest" in caught.value.message
    assert caught.value.path[0] in config
    assert caught.value.allowed == ()
