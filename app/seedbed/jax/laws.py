"""What a variable of a jaxpr holds: numbers where they are few, else the law of what is drawn."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from seedbed.recording import Distribution

Number = int | float | complex
Axis = Literal["batch", "row", "column"]
Origin = frozenset[bytes]
"""The keys that numbers are drawn from: what shares one is not independent."""


@dataclass(frozen=True, slots=True)
class Constant:
    """One value everywhere."""

    value: Number


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """Numbers that are there.

    Attributes:
        array: in JAX or NumPy.
        seeded: whether they are bits of a key, so that another seed has others.
    """

    array: Any
    seeded: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Keys:
    """Keys of random numbers, known ones: a typed array."""

    array: Any


@dataclass(frozen=True, slots=True)
class Bits:
    """Uniform whole numbers.

    Attributes:
        origin: keys they are drawn from.
        arrangement: what a draw of these keys was, and where its elements went, in order.
        width: in bits.
        stage: what became of them on their way to a float in [1, 2).
    """

    origin: Origin
    arrangement: tuple[Any, ...]
    width: int
    stage: Literal["bits", "shifted", "mantissa"] = "bits"


@dataclass(frozen=True, slots=True)
class Drawn:
    """Elements drawn independently."""

    origin: Origin
    arrangement: tuple[Any, ...]
    distribution: Distribution
    coarse: bool = False  # drawn with so few bits that the steps between the numbers are seen


@dataclass(frozen=True, slots=True)
class Matrix:
    """Matrices that are drawn as wholes, each with orthonormal rows or columns.

    Attributes:
        kind: `qr` is Q of a Gaussian matrix before its columns' signs are made uniform.
        axes: which axes are those of a matrix's rows and columns; one of 1 may be any.
    """

    origin: Origin
    arrangement: tuple[Any, ...]
    kind: Literal["qr", "orthogonal"]
    gain: float
    axes: tuple[Axis, ...]


@dataclass(frozen=True, slots=True)
class Factor:
    """R of a Gaussian matrix's QR, its diagonal, or the signs of that.

    Attributes:
        axes: of the result, as `Matrix` has them; signs belong to columns.
    """

    origin: Origin
    kind: Literal["r", "signs"]


@dataclass(frozen=True, slots=True)
class Pieces:
    """Several laws side by side along an axis, each with its size."""

    axis: int
    parts: tuple[tuple[int, Law], ...]


@dataclass(frozen=True, slots=True)
class Chance:
    """Random or unknown, and no law here says how; the primitive that made it so is named."""

    reason: str
    origin: Origin = frozenset()


Law = Constant | Known | Keys | Bits | Drawn | Matrix | Factor | Pieces | Chance


def origin_of(law: Law) -> Origin:
    """The keys that it depends on."""
    if isinstance(law, Pieces):
        return frozenset().union(*(origin_of(part) for _, part in law.parts))
    if isinstance(law, Constant | Known | Keys):
        return frozenset()
    return law.origin


def is_random(law: Law) -> bool:
    """Whether other seeds may give other numbers."""
    if isinstance(law, Pieces):
        return any(is_random(part) for _, part in law.parts)
    return not isinstance(law, Constant | Known) or (isinstance(law, Known) and law.seeded)


Moving = TypeVar("Moving", bound=Bits | Drawn | Matrix)


def moved(law: Moving, step: Any) -> Moving:
    """The same elements in another arrangement."""
    return replace(law, arrangement=(*law.arrangement, step))


def number_of(x: Any) -> Number:
    """A scalar as Python has it, also of a narrow dtype."""
    scalar = np.asarray(x).reshape(())
    found = scalar.item()
    return found if isinstance(found, int | float | complex) else float(found)


def known(x: Any, *, seeded: bool = False) -> Law:
    """Numbers that are there, as a constant if they are all the same."""
    array = np.asarray(x)
    if array.size and array.dtype.names is None:
        first = array.reshape(-1)[:1]
        if bool((array == first).all()) and not seeded and not _signed_zeros(array):
            return Constant(number_of(first))
    return Known(x, seeded)


def _signed_zeros(array: NDArray[Any]) -> bool:
    if array.dtype.kind in "biuc":
        return False
    signs = np.signbit(array[array == 0].astype(np.float64))
    return bool(signs.any()) and not bool(signs.all())


def side_by_side(axis: int, parts: list[tuple[int, Law]]) -> Law:
    """Several laws along an axis, as one where they are alike and of different keys."""
    parts = [(size, part) for size, part in parts if size]
    laws = [part for _, part in parts]
    if any(isinstance(part, Chance | Keys | Bits | Factor) for part in laws):
        return next(
            (part for part in laws if isinstance(part, Chance)), Chance("concatenate of bits")
        )
    origins = [origin_of(part) for part in laws]
    together = frozenset().union(*origins)
    if len(together) < sum(map(len, origins)):
        return Chance("the same numbers in several of its parts", together)
    first = laws[0]
    if len(laws) == 1:
        return first
    if isinstance(first, Constant) and all(part == first for part in laws):
        return first
    if isinstance(first, Drawn) and all(
        isinstance(part, Drawn) and part.distribution == first.distribution for part in laws
    ):
        arrangement = (
            "joined",
            axis,
            tuple((n, part.arrangement) for n, part in parts if isinstance(part, Drawn)),
        )
        coarse = any(isinstance(part, Drawn) and part.coarse for part in laws)
        return Drawn(together, arrangement, first.distribution, coarse)
    if isinstance(first, Matrix) and axis == 0 and first.axes[0] == "batch":
        alike = (first.kind, first.gain, first.axes)
        if all(isinstance(x, Matrix) and (x.kind, x.gain, x.axes) == alike for x in laws):
            joined = tuple((n, x.arrangement) for n, x in parts if isinstance(x, Matrix))
            return replace(first, origin=together, arrangement=("joined", joined))
    return Pieces(axis, tuple(parts))
