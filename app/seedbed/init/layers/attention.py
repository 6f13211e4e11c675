"""Attention, and the transformer layers made of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from seedbed.errors import SpecError
from seedbed.init.layers.base import (
    Arrays,
    Framework,
    Layer,
    Parameter,
    Size,
    Stored,
    kernel,
    scheme,
    zero,
)
from seedbed.init.layers.linear import Linear
from seedbed.init.layers.normalization import LayerNorm
from seedbed.init.schemes import Fans


class MultiheadAttention(Layer):
    """Attention of several heads.

    PyTorch has query, key and value in one matrix, unless they differ in size, and its default
    initialisation sees that matrix. Keras and Flax have a kernel each, (in, heads, head size), and
    schemes under their conventions see that.
    """

    type: Literal["multihead_attention"] = "multihead_attention"
    example = {"embed_dim": 4, "num_heads": 2}

    embed_dim: Size = Field(description="Features of queries and outputs.")
    num_heads: Size = Field(description="Heads; they share embed_dim.")
    bias: bool = Field(default=True, description="Whether there are biases.")
    add_bias_kv: bool = Field(default=False, description="A key and a value that are learnt.")
    kdim: Size | None = Field(None, description="Features of keys; embed_dim if null.")
    vdim: Size | None = Field(None, description="Features of values; embed_dim if null.")

    @model_validator(mode="after")
    def _heads_divide(self) -> Self:
        if self.embed_dim % self.num_heads:
            raise PydanticCustomError(
                "heads",
                "num_heads {heads} must divide embed_dim {features}",
                {"heads": self.num_heads, "features": self.embed_dim},
            )
        return self

    @property
    def _inputs(self) -> dict[str, int]:
        size = self.embed_dim
        return {"q": size, "k": self.kdim or size, "v": self.vdim or size}

    @property
    def _fused(self) -> bool:
        return set(self._inputs.values()) == {self.embed_dim}

    def parameters(self) -> Iterator[Parameter]:
        size = self.embed_dim
        init = scheme("glorot_uniform") if self.defaults == "torch" else kernel(self.defaults)
        if self._fused:
            fans = Fans(size, size)
            yield Parameter(
                "in_proj_weight", (3 * size, size), init, ("weight",), {"keras": fans, "jax": fans}
            )
        else:
            for letter, inputs in self._inputs.items():
                yield Parameter(f"{letter}_proj_weight", (size, inputs), init, ("weight",))
        if self.bias:
            yield Parameter("in_proj_bias", (3 * size,), zero(), ("bias",))
        if self.add_bias_kv:
            for letter in "kv":
                yield Parameter(f"bias_{letter}", (1, 1, size), scheme("glorot_normal"))
        yield Parameter("out_proj.weight", (size, size), kernel(self.defaults), ("weight",))
        if self.bias:
            yield Parameter("out_proj.bias", (size,), zero(), ("bias",))

    def keras(self, arrays: Arrays) -> Iterator[Stored]:
        return self._separate(arrays, "keras", "attention_output")

    def flax(self, arrays: Arrays) -> Iterator[Stored]:
        return self._separate(arrays, "flax", "out")

    def _separate(self, arrays: Arrays, framework: str, out: str) -> Iterator[Stored]:
        if self.add_bias_kv:
            raise SpecError(f"{framework} has no learnt key and value", ("add_bias_kv",))
        size, heads = self.embed_dim, self.num_heads
        split = heads, size // heads
        for i, (name, inputs) in enumerate(
            zip(("query", "key", "value"), self._inputs.values(), strict=True)
        ):
            rows = slice(i * size, (i + 1) * size)
            weight = (
                arrays["in_proj_weight"][rows] if self._fused else arrays[f"{'qkv'[i]}_proj_weight"]
            )
            yield Stored(f"{name}/kernel", weight.T.reshape(inputs, *split))
            if self.bias:
                yield Stored(f"{name}/bias", arrays["in_proj_bias"][rows].reshape(*split))
        yield Stored(f"{out}/kernel", arrays["out_proj.weight"].T.reshape(*split, size))
        if self.bias:
            yield Stored(f"{out}/bias", arrays["out_proj.bias"])


class _Composite(Layer):
    """A layer made of others; their names are parts of its tensors' names in every framework."""

    def children(self) -> Iterator[Layer]:
        """The layers."""
        raise NotImplementedError

    def parameters(self) -> Iterator[Parameter]:
        for child in self.children():
            for parameter in child.parameters():
                name = f"{child.name}.{parameter.name}"
                role = "weight" if len(parameter.shape) > 1 else "bias"
                roles = (role,) if role in parameter.name else ()
                yield replace(parameter, name=name, roles=roles)

    def stored(self, framework: Framework, arrays: Arrays) -> Iterator[Stored]:
        """Each child's own."""
        if framework == "torch":
            yield from super().stored(framework, arrays)
            return
        for child in self.children():
            start = f"{child.name}."
            own = {
                name.removeprefix(start): array
                for name, array in arrays.items()
                if name.startswith(start)
            }
            for stored in child.stored(framework, own):
                yield replace(stored, name=f"{child.name}/{stored.name}")


class TransformerEncoderLayer(_Composite):
    """Self-attention and two linear layers, each with a residual and a normalisation."""

    type: Literal["transformer_encoder_layer"] = "transformer_encoder_layer"
    example = {"d_model": 4, "nhead": 2, "dim_feedforward": 8}

    d_model: Size = Field(description="Features.")
    nhead: Size = Field(description="Heads.")
    dim_feedforward: Size = Field(2048, description="Units between the linear layers.")
    bias: bool = Field(
        default=True, description="Whether linear layers and normalisations have biases."
    )

    @model_validator(mode="after")
    def _heads_divide(self) -> Self:
        if self.d_model % self.nhead:
            raise PydanticCustomError(
                "heads",
                "nhead {heads} must divide d_model {features}",
                {"heads": self.nhead, "features": self.d_model},
            )
        return self

    def _attention(self, name: str) -> Layer:
        return MultiheadAttention(
            name=name,
            embed_dim=self.d_model,
            num_heads=self.nhead,
            bias=self.bias,
            defaults=self.defaults,
        )

    def _rest(self, norms: int) -> Iterator[Layer]:
        for i, (inputs, outputs) in enumerate(
            ((self.d_model, self.dim_feedforward), (self.dim_feedforward, self.d_model)), 1
        ):
            yield Linear(
                name=f"linear{i}",
                in_features=inputs,
                out_features=outputs,
                bias=self.bias,
                defaults=self.defaults,
            )
        for i in range(1, norms + 1):
            yield LayerNorm(name=f"norm{i}", normalized_shape=(self.d_model,), bias=self.bias)

    def children(self) -> Iterator[Layer]:
        yield self._attention("self_attn")
        yield from self._rest(2)


class TransformerDecoderLayer(TransformerEncoderLayer):
    """An encoder layer that also attends to another sequence."""

    type: Literal["transformer_decoder_layer"] = "transformer_decoder_layer"  # type: ignore[assignment]

    def children(self) -> Iterator[Layer]:
        yield self._attention("self_attn")
        yield self._attention("multihead_attn")
        yield from self._rest(3)


LAYERS = (MultiheadAttention, TransformerEncoderLayer, TransformerDecoderLayer)
