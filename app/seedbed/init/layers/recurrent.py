"""Recurrent layers: RNN, LSTM and GRU, in several layers and both directions.

PyTorch's gates are i, f, g, o for an LSTM and r, z, n for a GRU, in rows of one matrix, and there
are two biases. Keras has the same gates of an LSTM, z, r, n of a GRU, and one bias in an LSTM: the
sum of PyTorch's. Flax linen has a kernel a gate.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from seedbed.errors import SpecError
from seedbed.init.arrays import Array, concatenate, stack, zeros
from seedbed.init.layers.base import (
    Arrays,
    Block,
    Framework,
    Layer,
    Parameter,
    Size,
    Stored,
    over_root,
    scheme,
    zero,
)
from seedbed.init.schemes import Fans, Scheme


@dataclass(frozen=True)
class _Cell:
    """One layer in one direction: its place, and its arrays."""

    depth: int
    backward: bool
    w_ih: Array
    w_hh: Array
    b_ih: Array
    b_hh: Array

    def gate(self, index: int) -> _Cell:
        """The same of one gate."""
        size = self.w_hh.shape[1]
        rows = slice(index * size, (index + 1) * size)
        return _Cell(
            self.depth,
            self.backward,
            self.w_ih[rows],
            self.w_hh[rows],
            self.b_ih[rows],
            self.b_hh[rows],
        )


class _Recurrent(Layer):
    """What the three have in common."""

    gates: ClassVar[str]
    keras_name: ClassVar[str]
    apart: ClassVar[tuple[str, ...]] = ("flax", "nnx")  # whose gates are initialised apart

    input_size: Size = Field(description="Inputs of the first layer.")
    hidden_size: Size = Field(description="Units.")
    num_layers: int = Field(1, ge=1, le=256, description="Layers, one on the other.")
    bias: bool = Field(default=True, description="Whether there are biases.")
    bidirectional: bool = Field(
        default=False, description="Whether there is a second, backward direction."
    )

    @property
    def _outputs(self) -> int:
        """Of one direction."""
        return self.hidden_size

    def _bias_blocks(self, _which: str) -> tuple[Block, ...]:
        return ()

    def _cells(self) -> Iterator[tuple[int, str]]:
        for depth in range(self.num_layers):
            for suffix in ("", "_reverse") if self.bidirectional else ("",):
                yield depth, f"_l{depth}{suffix}"

    def parameters(self) -> Iterator[Parameter]:
        own = len(self.gates) if self.defaults in self.apart else 1
        rows = len(self.gates) * self.hidden_size
        init = over_root(self.hidden_size)
        first, again, shift = init, init, init
        if self.defaults != "torch":
            again, shift = scheme("orthogonal"), zero()
            first = (
                scheme("glorot_uniform", convention="keras")
                if self.defaults == "keras"
                else scheme("lecun_normal", convention="jax")
            )
        for depth, suffix in self._cells():
            columns = self.input_size
            if depth:
                columns = self._outputs * (2 if self.bidirectional else 1)
            for which, inputs, fill in (("ih", columns, first), ("hh", self._outputs, again)):
                yield Parameter(
                    f"weight_{which}{suffix}",
                    (rows, inputs),
                    fill,
                    (f"weight_{which}", "weight"),
                    {"jax": Fans(inputs, self.hidden_size)},  # a kernel a gate
                    gates=own,
                )
            if self.bias:
                for which in ("ih", "hh"):
                    roles = f"bias_{which}", "bias"
                    blocks = self._bias_blocks(which)
                    yield Parameter(f"bias_{which}{suffix}", (rows,), shift, roles, blocks=blocks)
            yield from self._more(suffix, init)

    def _more(self, _suffix: str, _init: Scheme) -> Iterator[Parameter]:
        yield from ()

    def _split(self, arrays: Arrays) -> Iterator[_Cell]:
        none = zeros(len(self.gates) * self.hidden_size)
        for depth, suffix in self._cells():
            yield _Cell(
                depth,
                suffix.endswith("_reverse"),
                arrays[f"weight_ih{suffix}"],
                arrays[f"weight_hh{suffix}"],
                arrays.get(f"bias_ih{suffix}", none),
                arrays.get(f"bias_hh{suffix}", none),
            )

    def _suffix(self, cell: _Cell) -> str:
        """Of the layer's name: PyTorch has one layer, the others have several."""
        return f"_l{cell.depth}" if self.num_layers > 1 else ""

    def keras(self, arrays: Arrays) -> Iterator[Stored]:
        for cell in self._split(arrays):
            direction = ""
            if self.bidirectional:
                direction = f"{'backward' if cell.backward else 'forward'}_{self.keras_name}/"
            for name, array in self._keras_cell(cell).items():
                if name != "bias" or self.bias:
                    yield Stored(
                        f"{direction}{self.keras_name}_cell/{name}",
                        array,
                        suffix=self._suffix(cell),
                    )

    def flax(self, arrays: Arrays) -> Iterator[Stored]:
        for cell in self._split(arrays):
            suffix = self._suffix(cell) + ("_reverse" if cell.backward else "")
            for name, array in self._linen_cell(cell).items():
                yield Stored(name, array, suffix=suffix)

    def nnx(self, arrays: Arrays) -> Iterator[Stored]:
        for cell in self._split(arrays):
            direction = ""
            if self.bidirectional:
                direction = f"{'backward' if cell.backward else 'forward'}_rnn/"
            for name, array in self._nnx_cell(cell).items():
                yield Stored(f"{direction}cell/{name}", array, suffix=self._suffix(cell))

    def _keras_cell(self, cell: _Cell) -> dict[str, Array]:
        return {
            "kernel": cell.w_ih.T,
            "recurrent_kernel": cell.w_hh.T,
            "bias": cell.b_ih + cell.b_hh,
        }

    def _linen_cell(self, cell: _Cell) -> dict[str, Array]:
        raise NotImplementedError

    def _nnx_cell(self, cell: _Cell) -> dict[str, Array]:
        raise NotImplementedError


class RNN(_Recurrent):
    """A plain recurrent layer; `SimpleRNN` in Keras, `SimpleCell` in Flax."""

    type: Literal["rnn"] = "rnn"
    example = {"input_size": 3, "hidden_size": 2}
    gates = "h"
    keras_name = "simple_rnn"

    def _linen_cell(self, cell: _Cell) -> dict[str, Array]:
        return {
            "i/kernel": cell.w_ih.T,
            "i/bias": cell.b_ih + cell.b_hh,
            "h/kernel": cell.w_hh.T,
        }

    def _nnx_cell(self, cell: _Cell) -> dict[str, Array]:
        return {f"dense_{name}": array for name, array in self._linen_cell(cell).items()}


class LSTM(_Recurrent):
    """Long short-term memory; `LSTMCell` in Flax.

    `forget_bias` sets the forget gate's rows of the first bias, and those of the second to 0, so
    that they add up to it; under Keras' defaults it is 1.
    """

    type: Literal["lstm"] = "lstm"
    example = {"input_size": 3, "hidden_size": 2}
    gates = "ifgo"
    keras_name = "lstm"

    proj_size: int = Field(0, ge=0, description="Outputs, if projected; 0 for no projection.")
    forget_bias: float | None = Field(None, description="Bias of the forget gate.")

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        if self.proj_size >= self.hidden_size:
            raise PydanticCustomError("proj_size", "proj_size must be below hidden_size")
        if self.forget_bias is not None and not self.bias:
            raise PydanticCustomError("forget_bias", "forget_bias needs a bias")
        return self

    @property
    def _outputs(self) -> int:
        return self.proj_size or self.hidden_size

    def _bias_blocks(self, which: str) -> tuple[Block, ...]:
        value = self.forget_bias
        if value is None and self.defaults == "keras":
            value = 1.0
        if value is None:
            return ()
        size = self.hidden_size
        return (Block(size, 2 * size, value if which == "ih" else 0.0),)

    def _more(self, suffix: str, init: Scheme) -> Iterator[Parameter]:
        if self.proj_size:
            shape = self.proj_size, self.hidden_size
            yield Parameter(f"weight_hr{suffix}", shape, init, ("weight_hr", "weight"))

    def stored(self, framework: Framework, arrays: Arrays) -> Iterator[Stored]:
        """Only PyTorch has projections."""
        if framework != "torch" and self.proj_size:
            raise SpecError(f"{framework} has no LSTM with projections", ("proj_size",))
        return super().stored(framework, arrays)

    def _linen_cell(self, cell: _Cell) -> dict[str, Array]:
        return self._gated(cell, {})

    def _nnx_cell(self, cell: _Cell) -> dict[str, Array]:
        return self._gated(cell, {"if": "if_"})  # a keyword of Python

    def _gated(self, cell: _Cell, renamed: Mapping[str, str]) -> dict[str, Array]:
        weights = {}
        for index, letter in enumerate(self.gates):
            gate = cell.gate(index)
            name = f"i{letter}"
            weights[f"{renamed.get(name, name)}/kernel"] = gate.w_ih.T
            weights[f"h{letter}/kernel"] = gate.w_hh.T
            weights[f"h{letter}/bias"] = gate.b_ih + gate.b_hh
        return weights


class GRU(_Recurrent):
    """Gated recurrent unit, the reset gate applied after the product; `GRUCell` in Flax.

    The cell of nnx has no recurrent bias for n, which therefore must be 0 there.
    """

    type: Literal["gru"] = "gru"
    example = {"input_size": 3, "hidden_size": 2}
    gates = "rzn"
    keras_name = "gru"
    apart = ("flax",)  # nnx has all gates in one kernel

    def _keras_cell(self, cell: _Cell) -> dict[str, Array]:
        r, z, n = map(cell.gate, range(3))
        order = z, r, n
        return {
            "kernel": concatenate([gate.w_ih for gate in order]).T,
            "recurrent_kernel": concatenate([gate.w_hh for gate in order]).T,
            "bias": stack(
                [
                    concatenate([gate.b_ih for gate in order]),
                    concatenate([gate.b_hh for gate in order]),
                ]
            ),
        }

    def _linen_cell(self, cell: _Cell) -> dict[str, Array]:
        r, z, n = map(cell.gate, range(3))
        return {
            "ir/kernel": r.w_ih.T,
            "ir/bias": r.b_ih + r.b_hh,
            "iz/kernel": z.w_ih.T,
            "iz/bias": z.b_ih + z.b_hh,
            "in/kernel": n.w_ih.T,
            "in/bias": n.b_ih,
            "hr/kernel": r.w_hh.T,
            "hz/kernel": z.w_hh.T,
            "hn/kernel": n.w_hh.T,
            "hn/bias": n.b_hh,
        }

    def _nnx_cell(self, cell: _Cell) -> dict[str, Array]:
        r, z, n = map(cell.gate, range(3))
        if not n.b_hh.is_zero:
            raise SpecError(
                "nnx's GRUCell has no recurrent bias for its gate n: give bias_hh zeros",
                ("init", "bias_hh"),
            )
        return {
            "dense_i/kernel": cell.w_ih.T,
            "dense_i/bias": concatenate([r.b_ih + r.b_hh, z.b_ih + z.b_hh, n.b_ih]),
            "dense_h/kernel": cell.w_hh.T,
        }


LAYERS = (RNN, LSTM, GRU)
