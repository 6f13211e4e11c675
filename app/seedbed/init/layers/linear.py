"""Layers that multiply by a matrix."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from seedbed.init.layers.base import (
    Arrays,
    Layer,
    Parameter,
    Size,
    Stored,
    bias,
    kernel,
    over_root,
    scheme,
    zero,
)


class Linear(Layer):
    """y = x·Wᵀ + b."""

    type: Literal["linear"] = "linear"
    example = {"in_features": 3, "out_features": 4}

    in_features: Size = Field(description="Inputs.")
    out_features: Size = Field(description="Outputs.")
    bias: bool = Field(default=True, description="Whether there is a bias.")

    def parameters(self) -> Iterator[Parameter]:
        shape = self.out_features, self.in_features
        yield Parameter("weight", shape, kernel(self.defaults))
        if self.bias:
            init = bias(self.defaults, self.in_features)
            yield Parameter("bias", (self.out_features,), init)

    def keras(self, arrays: Arrays) -> Iterator[Stored]:
        yield Stored("kernel", arrays["weight"].T)
        if self.bias:
            yield Stored("bias", arrays["bias"])

    def flax(self, arrays: Arrays) -> Iterator[Stored]:
        return self.keras(arrays)


class Bilinear(Layer):
    """y = x₁ᵀ·W·x₂ + b."""

    type: Literal["bilinear"] = "bilinear"
    example = {"in1_features": 2, "in2_features": 3, "out_features": 4}
    lacks = dict.fromkeys(("keras", "flax", "nnx"), "no layer takes two inputs to one matrix")

    in1_features: Size = Field(description="First inputs.")
    in2_features: Size = Field(description="Second inputs.")
    out_features: Size = Field(description="Outputs.")
    bias: bool = Field(default=True, description="Whether there is a bias.")

    def parameters(self) -> Iterator[Parameter]:
        init = over_root(self.in1_features)
        yield Parameter("weight", (self.out_features, self.in1_features, self.in2_features), init)
        if self.bias:
            yield Parameter("bias", (self.out_features,), init)


class LoRA(Layer):
    """The low-rank adapter of a linear layer, y += x·Aᵀ·Bᵀ, which starts as nothing.

    Names are those of PEFT, of a Keras `Dense` after `enable_lora`, and of `nnx.LoRA`.
    """

    type: Literal["lora"] = "lora"
    example = {"in_features": 4, "out_features": 3, "r": 2}
    lacks = {"flax": "only nnx has one"}

    in_features: Size = Field(description="Inputs of the layer it belongs to.")
    out_features: Size = Field(description="Outputs of that layer.")
    r: Size = Field(description="Rank.")

    def parameters(self) -> Iterator[Parameter]:
        a = (
            kernel("torch")
            if self.defaults == "torch"
            else scheme("he_uniform", convention="keras" if self.defaults == "keras" else "jax")
        )
        yield Parameter("lora_A.weight", (self.r, self.in_features), a, ("lora_A", "weight"))
        yield Parameter("lora_B.weight", (self.out_features, self.r), zero(), ("lora_B",))

    def keras(self, arrays: Arrays) -> Iterator[Stored]:
        yield Stored("lora_kernel_a", arrays["lora_A.weight"].T)
        yield Stored("lora_kernel_b", arrays["lora_B.weight"].T)

    def nnx(self, arrays: Arrays) -> Iterator[Stored]:
        yield Stored("lora_a", arrays["lora_A.weight"].T)
        yield Stored("lora_b", arrays["lora_B.weight"].T)


LAYERS = (Linear, Bilinear, LoRA)
