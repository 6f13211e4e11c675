"""Where the numbers of a tensor come from."""

from __future__ import annotations

from dataclasses import dataclass

from seedbed.init.matrices import MatrixCache
from seedbed.stream import Engine, Form


@dataclass(frozen=True, slots=True)
class Source:
    """Where the numbers of one tensor come from, and the form they take.

    Attributes:
        engine: who draws.
        seed: of the checkpoint.
        name: the tensor's.
        dtype: of its elements, or what else draws are written as.
        matrices: where whole matrices are kept.
    """

    engine: Engine
    seed: int
    name: str
    dtype: Form
    matrices: MatrixCache
