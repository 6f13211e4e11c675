"""A second recording beside the first: what differs is random by means that torch does not see.

Python's and NumPy's generators hand out numbers that look like any other; seeded ones give the same
in every build, others do not.
"""

from __future__ import annotations

import random

import numpy as np
import torch

from seedbed.torch.laws import Chance, Constant, Drawn, Law, Pieces, Table
from seedbed.torch.values import REAL, Value, reality


def outer_generators() -> str:
    """The states of Python's and NumPy's generators, to see whether somebody drew."""
    return repr((random.getstate(), np.random.get_state()))  # noqa: NPY002


def has_tables(value: Value) -> bool:
    """Whether some of its numbers are known, and not by a constant."""
    if isinstance(value.law, Pieces):
        return any(has_tables(piece) for _, piece in value.law.pieces)
    return isinstance(value.law, Table) and value.elements <= REAL


def agreed(first: dict[str, Value], second: dict[str, Value]) -> dict[str, Value]:
    """The first recording, with what the second has otherwise as random."""
    return {
        name: value
        if name in second and _alike(value, second[name])
        else value.like(law=Chance("other in every build, by numbers from outside of torch"))
        for name, value in first.items()
    }


def _alike(a: Value, b: Value) -> bool:
    if a.shape != b.shape or a.dtype != b.dtype or type(a.law) is not type(b.law):
        return False
    match a.law, b.law:
        case Table(), Table():
            if a.elements > REAL:
                return True
            x, y = a.real(), b.real()
            with reality():
                return bool(torch.equal(x.nan_to_num(), y.nan_to_num()))
        case Pieces(pieces), Pieces(others):
            return len(pieces) == len(others) and all(
                box == other_box and _alike(piece, other)
                for (box, piece), (other_box, other) in zip(pieces, others, strict=True)
            )
    return _plain(a.law) == _plain(b.law)


def _plain(law: Law) -> object:
    """A law without the number of its draw."""
    if isinstance(law, Drawn):
        return law.base, law.expression
    if isinstance(law, Constant) and law.value != law.value:
        return Constant
    return law
