"""A second recording beside the first: what differs is random by means that torch does not see.

Python's, NumPy's and the system's generators hand out numbers that look like any other, and no hook
sees them all; seeded ones give the same in every build, others do not. A single number is enough to
be wrong about a tensor: its standard deviation, or where a part ends.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from seedbed.errors import SpecError
from seedbed.torch.laws import Chance, Constant, Drawn, Law, Pieces, Table
from seedbed.torch.names import Saved
from seedbed.torch.sharing import shared
from seedbed.torch.values import REAL, Value, reality


def agreed(first: Saved, second: Saved) -> Saved:
    """The first recording, with what the second has otherwise as random.

    Raises:
        SpecError: they have other names, or others of them are tied.
    """
    names, others = list(first.values), list(second.values)
    if names != others or first.tied != second.tied:
        differing = sorted({*names} ^ {*others}) or sorted(
            n for n in {*names, *first.tied, *second.tied}
            if first.tied.get(n) != second.tied.get(n)
        )  # fmt: skip
        raise SpecError(
            "build() makes other tensors each time that it runs: "
            + (", ".join(differing[:5]) or "the same ones in another order")
        )
    copies, other_copies = shared(first), shared(second)
    chance = Chance("other in every build, by numbers from outside of torch")
    values = {
        name: value
        if _alike(value, second.values[name]) and copies.get(name) == other_copies.get(name)
        else value.like(law=chance)
        for name, value in first.values.items()
    }
    return replace(first, values=values)


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
