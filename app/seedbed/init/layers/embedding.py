"""Tables of vectors."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from seedbed.init.layers.base import Arrays, Block, Layer, Parameter, Size, Stored, scheme
from seedbed.init.schemes import Fans


class Embedding(Layer):
    """A row for each symbol."""

    type: Literal["embedding"] = "embedding"
    example = {"num_embeddings": 5, "embedding_dim": 3}

    num_embeddings: Size = Field(description="Rows.")
    embedding_dim: Size = Field(description="Columns.")
    padding_idx: int | None = Field(
        None, description="A row that stays zero, whatever fills the others; −1 is the last."
    )

    @model_validator(mode="after")
    def _padding_is_a_row(self) -> Self:
        rows, row = self.num_embeddings, self.padding_idx
        if row is not None and not -rows <= row < rows:
            raise PydanticCustomError(
                "padding_row",
                "padding_idx {row} is no row of {rows}",
                {"row": row, "rows": rows},
            )
        return self

    def parameters(self) -> Iterator[Parameter]:
        rows, columns = self.num_embeddings, self.embedding_dim
        if self.defaults == "keras":
            init = scheme("uniform", low=-0.05, high=0.05)
        elif self.defaults in ("flax", "nnx"):
            init = scheme("normal", std=1.0 / math.sqrt(columns))
        else:
            init = scheme("normal")
        blocks: tuple[Block, ...] = ()
        if self.padding_idx is not None:
            row = self.padding_idx % rows
            blocks = (Block(row, row + 1, 0),)
        fans = Fans(rows, columns)  # both frameworks read (rows, columns) as (in, out)
        yield Parameter(
            "weight", (rows, columns), init, fans={"keras": fans, "jax": fans}, blocks=blocks
        )

    def canonical(self) -> dict[str, Any]:
        """As of any layer, with the row counted from the first."""
        fields = super().canonical()
        if self.padding_idx is not None:
            fields["padding_idx"] = self.padding_idx % self.num_embeddings
        return fields

    def keras(self, arrays: Arrays) -> Iterator[Stored]:
        yield Stored("embeddings", arrays["weight"])

    def flax(self, arrays: Arrays) -> Iterator[Stored]:
        yield Stored("embedding", arrays["weight"])


LAYERS = (Embedding,)
