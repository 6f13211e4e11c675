from __future__ import annotations

from typing import Any

import pytest

from seedbed.errors import Choices, SpecError
from seedbed.files import CheckpointSpec, words
from seedbed.files.words import nearest, suggestions
from seedbed.init import LAYERS, SCHEMES, Rule, TensorSpec
from seedbed.models import presets

TENSOR, SPEC = tuple(TensorSpec.model_fields), tuple(CheckpointSpec.model_fields)


def known(kind: str) -> tuple[str, ...]:
    """A closed list of the service."""
    lists: dict[str, Any] = {
        "tensor": TENSOR, "spec": SPEC, "layer": LAYERS, "preset": presets(), "scheme": SCHEMES,
        "rule": Rule.model_fields,
        "framework": ("torch", "keras", "flax", "nnx"),
        "linear": LAYERS["linear"].model_fields,
        "conv2d": LAYERS["conv2d"].model_fields, "normal": SCHEMES["normal"].model_fields,
    }  # fmt: skip
    return tuple(lists[kind])


@pytest.mark.parametrize(
    ("typed", "kind", "meant"),
    [
        ("initializer", "tensor", "init"), ("kernel_initializer", "tensor", "init"),
        ("size", "tensor", "shape"), ("dims", "tensor", "shape"), ("Shape", "tensor", "shape"),
        ("data_type", "tensor", "dtype"), ("type", "tensor", "dtype"), ("nmae", "tensor", "name"),
        ("sed", "spec", "seed"), ("random_seed", "spec", "seed"), ("params", "spec", "tensors"),
        ("glob", "rule", "match"), ("framwork", "spec", "framework"),
        ("gpt-2", "preset", "gpt2"), ("ResNet50", "preset", "resnet50"),
        ("resnet-50", "preset", "resnet50"), ("openai/gpt2", "preset", "gpt2"),
        ("Linear", "layer", "linear"), ("Dense", "layer", "linear"),
        ("nn.Conv2d", "layer", "conv2d"),
        ("BatchNorm2d", "layer", "batch_norm"),
        ("MultiheadAttention", "layer", "multihead_attention"),
        ("units", "linear", "out_features"), ("in_channels", "linear", "in_features"),
        ("use_bias", "linear", "bias"), ("filters", "conv2d", "out_channels"),
        ("stddev", "normal", "std"),
        ("jax", "framework", "flax"), ("sdt", "normal", "std"), ("he-norml", "scheme", "he_normal"),
        ("zeroes", "scheme", "zeros"),
    ],
)  # fmt: skip
def test_what_people_type(typed: str, kind: str, meant: str) -> None:
    """The first suggestion is what is meant: by spelling, form of writing, or another's name."""
    assert nearest(typed, known(kind))[0] == meant


@pytest.mark.parametrize("typed", ["", "qqqq", "x" * 65, "he_normal" * 100_000])
def test_what_resembles_nothing(typed: str) -> None:
    """Nothing is suggested for a word that is unlike all, nor for one that is absurdly long."""
    assert nearest(typed, known("scheme")) == []


def test_one_word_is_suggested_once() -> None:
    """Two spellings of one word are one suggestion, and the better hides what is far from it."""
    assert nearest("He-Normal", ("normal", "he_normal", "HeNormal")) == ["he_normal"]
    assert nearest("resnet", presets(), most=2) == ["resnet18", "resnet34"]


def test_errors_are_told_with_what_was_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message has the suggestion, a long list is left out, and only a few are looked for."""
    error = SpecError("there is no 'sed'", ("sed",), Choices(SPEC, "sed"))
    (one,) = suggestions([error])
    assert one.message == "there is no 'sed'; did you mean seed?"
    assert (one.nearest, one.allowed) == (("seed",), SPEC)
    (long,) = suggestions([SpecError("x", (), Choices(presets(), "gpt-2"))])
    assert (long.nearest[0], long.allowed) == ("gpt2", ())
    looked: list[str] = []
    monkeypatch.setattr(words, "nearest", lambda word, _: looked.append(word) or [])
    assert len([*suggestions([error] * 1000)]) == 1000
    assert len(looked) <= 5


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_the_words_of_a_name_in_another_order(axes: int) -> None:
    """Keras says Conv2DTranspose, which is nearer to that of two axes than to the others."""
    assert nearest(f"Conv{axes}DTranspose", LAYERS)[0] == f"conv_transpose{axes}d"
