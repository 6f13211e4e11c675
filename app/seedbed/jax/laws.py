"""What a variable of a jaxpr holds: numbers where they are few, else the law of what is drawn."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from seedbed.recording import Distribution, Expression, X

Number = int | float | complex
Axis = Literal["batch", "row", "column"]
Box = tuple[tuple[int, int], ...]
"""A half-open range of each axis."""

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
    """Elements drawn independently, each put through the same functions.

    Whenever what became of a draw has a distribution with a name, that is a base: X of what comes
    after it. Earlier ones are kept, since a draw may meet itself: x + log(−expm1(−x)).

    Attributes:
        bases: each with what it is of the one before it (of bits, the first), and its distribution.
        expressions: what the elements are of each base.
        coarse: drawn with so few bits that the steps between the numbers are seen.
    """

    origin: Origin
    arrangement: tuple[Any, ...]
    bases: tuple[tuple[Expression | None, Distribution], ...]
    expressions: tuple[Expression, ...] = (X,)
    coarse: bool = False

    @property
    def distribution(self) -> Distribution:
        """Of X."""
        return self.bases[-1][1]

    @property
    def expression(self) -> Expression:
        """What the elements are of X."""
        return self.expressions[-1]


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
    """Several laws side by side, each of a box of the elements; no law of them is itself this."""

    boxes: tuple[tuple[Box, Law], ...]


@dataclass(frozen=True, slots=True)
class Chance:
    """Random or unknown, and no law here says how; the primitive that made it so is named."""

    reason: str
    origin: Origin = frozenset()


Law = Constant | Known | Keys | Bits | Drawn | Matrix | Factor | Pieces | Chance


def origin_of(law: Law) -> Origin:
    """The keys that it depends on."""
    if isinstance(law, Pieces):
        return frozenset().union(*(origin_of(part) for _, part in law.boxes))
    if isinstance(law, Constant | Known | Keys):
        return frozenset()
    return law.origin


def is_random(law: Law) -> bool:
    """Whether other seeds may give other numbers."""
    if isinstance(law, Pieces):
        return any(is_random(part) for _, part in law.boxes)
    return not isinstance(law, Constant | Known) or (isinstance(law, Known) and law.seeded)


Moving = TypeVar("Moving", bound=Bits | Drawn | Matrix)


def moved(law: Moving, step: Any) -> Moving:
    """The same elements in another arrangement."""
    return replace(law, arrangement=(*law.arrangement, step))


def number_of(x: Any) -> Number:
    """A scalar as Python has it, also of a narrow dtype."""
    scalar = np.asarray(x).reshape(())
    value = scalar.item()
    return value if isinstance(value, int | float | complex) else float(value)


def known(x: Any, *, seeded: bool = False) -> Law:
    """Numbers that are there, as a constant if they are all the same."""
    array = np.asarray(x)
    if array.size and array.dtype.names is None:
        first = array.reshape(-1)[:1]
        if not seeded and _is_one(array, first) and not _signed_zeros(array):
            return Constant(number_of(first))
    return Known(x, seeded)


def _is_one(array: NDArray[Any], first: NDArray[Any]) -> bool:
    """Whether all elements are the first, also if that is no number."""
    equal = array == first
    if not equal.all() and array.dtype.kind not in "biu":
        equal |= np.isnan(array) & np.isnan(first)
    return bool(equal.all())


def _signed_zeros(array: NDArray[Any]) -> bool:
    if array.dtype.kind in "biuc":
        return False
    signs = np.signbit(array[array == 0].astype(np.float64))
    return bool(signs.any()) and not bool(signs.all())


def apart(law: Law, other: Law) -> bool:
    """Whether two laws of shared keys are other elements of one draw."""
    if not (isinstance(law, Bits | Drawn | Matrix) and isinstance(other, Bits | Drawn | Matrix)):
        return False
    for mine, its in zip(law.arrangement, other.arrangement, strict=False):
        if mine != its:
            is_cut = isinstance(mine, tuple) and isinstance(its, tuple)
            return is_cut and mine[0] == its[0] == CUT and common(mine[1], its[1]) is None
    return False


CUT = "cut"
"""What a box is cut out by, in an arrangement: with the box."""


def common(box: Box, other: Box) -> Box | None:
    """What two boxes share, if they do."""
    shared = tuple((max(a, c), min(b, d)) for (a, b), (c, d) in zip(box, other, strict=True))
    return shared if all(a < b for a, b in shared) else None


def whole(shape: Sequence[int]) -> Box:
    """All elements."""
    return tuple((0, size) for size in shape)


def cut(law: Law, shape: Sequence[int], box: Box) -> Law | None:
    """The law of a box of what has another one."""
    if box == whole(shape):
        return law
    match law:
        case Constant():
            return law
        case Known(array, seeded):
            return known(np.asarray(array)[tuple(slice(a, b) for a, b in box)], seeded=seeded)
        case Bits() | Drawn():
            return moved(law, (CUT, box))
        case Matrix():
            return _cut_matrix(law, shape, box)
        case Pieces(boxes):
            pieces = []
            for own, part in boxes:
                inner = common(own, box)
                if inner is None:
                    continue
                of_part = cut(part, sizes(own), shifted(inner, own))
                if of_part is None:
                    return None
                pieces.append((shifted(inner, box), of_part))
            return put_together(pieces)
    return law if isinstance(law, Chance) else None


def sizes(box: Box) -> tuple[int, ...]:
    """The shape of a box."""
    return tuple(stop - start for start, stop in box)


def shifted(box: Box, frame: Box) -> Box:
    """A box as another one that it is within counts it."""
    return tuple((a - low, b - low) for (a, b), (low, _) in zip(box, frame, strict=True))


def _cut_matrix(law: Matrix, shape: Sequence[int], box: Box) -> Law | None:
    """Some of the shorter side's vectors: still orthonormal, and as uniform as all of them."""
    touched = {
        axis
        for axis, size, span in zip(law.axes, shape, box, strict=True)
        if span != (0, size) and size > 1
    }
    side = dict.fromkeys(("batch", "row", "column"), 1)
    for axis, size in zip(law.axes, shape, strict=True):
        side[axis] *= size
    for axis in touched - {"batch"}:
        other = "row" if axis == "column" else "column"
        if side[axis] > side[other] or other in touched or law.kind != "orthogonal":
            return None
    return moved(law, (CUT, box))


def put_together(boxes: Sequence[tuple[Box, Law]]) -> Law:
    """Laws of boxes that are apart and cover a tensor, as one where they are alike."""
    flat: list[tuple[Box, Law]] = []
    for box, law in boxes:
        if not math.prod(sizes(box)):
            continue
        if isinstance(law, Pieces):
            offset = [(low, low) for low, _ in box]
            flat += [
                (tuple((a + o, b + o) for (a, b), (o, _) in zip(own, offset, strict=True)), part)
                for own, part in law.boxes
            ]
        else:
            flat.append((box, law))
    if not flat:
        return Constant(0)
    laws = [law for _, law in flat]
    if any(isinstance(law, Chance | Keys | Factor) for law in laws):
        return next((x for x in laws if isinstance(x, Chance)), Chance("what is joined of bits"))
    if _shares(laws):
        together = frozenset().union(*map(origin_of, laws))
        return Chance("the same numbers in several of its parts", together)
    return _alike(flat) or Pieces(tuple(_merged(flat)))


def _shares(laws: Sequence[Law]) -> bool:
    """Whether some number is in several of them."""
    by_key: dict[bytes, list[Law]] = {}
    for law in laws:
        for key in origin_of(law):
            others = by_key.setdefault(key, [])
            if not all(apart(law, other) for other in others):
                return True
            others.append(law)
    return False


def _alike(boxes: Sequence[tuple[Box, Law]]) -> Law | None:
    """One law for all, if there is one."""
    (box, first), *others = boxes
    if not others:
        return first
    if isinstance(first, Constant):
        return first if all(same(law, first) for _, law in others) else None
    if isinstance(first, Drawn) and all(_as(law, first) for _, law in others):
        arrangement = tuple((own, x.arrangement) for own, x in boxes if isinstance(x, Drawn))
        coarse = any(isinstance(law, Drawn) and law.coarse for _, law in boxes)
        origin = frozenset().union(*(origin_of(law) for _, law in boxes))
        return replace(first, origin=origin, arrangement=("joined", arrangement), coarse=coarse)
    if isinstance(first, Matrix) and first.axes[:1] == ("batch",):
        alike = (first.kind, first.gain, first.axes)
        is_stack = all(own[1:] == box[1:] for own, _ in others)
        if is_stack and all(
            isinstance(x, Matrix) and (x.kind, x.gain, x.axes) == alike for _, x in others
        ):
            joined = tuple((own, x.arrangement) for own, x in boxes if isinstance(x, Matrix))
            origin = frozenset().union(*(origin_of(law) for _, law in boxes))
            return replace(first, origin=origin, arrangement=("joined", joined))
    return None


def same(law: Law, other: Law) -> bool:
    """Whether two constants are one, the sign of a zero too."""
    if not (isinstance(law, Constant) and isinstance(other, Constant)):
        return False
    return repr(law.value) == repr(other.value)


def _as(law: Law, other: Drawn) -> bool:
    """Whether a law draws as another."""
    return isinstance(law, Drawn) and (law.distribution, law.expression) == (
        other.distribution,
        other.expression,
    )


def _merged(boxes: Sequence[tuple[Box, Law]]) -> list[tuple[Box, Law]]:
    """Boxes of one constant that touch, as one."""
    pieces = list(boxes)
    again = True
    while again:
        again = False
        for axis in range(len(pieces[0][0])):
            for i, (box, law) in enumerate(pieces):
                if not isinstance(law, Constant):
                    continue
                follow = next(
                    (
                        k
                        for k, (other, its) in enumerate(pieces)
                        if other[axis][0] == box[axis][1]
                        and same(its, law)
                        and (*other[:axis], *other[axis + 1 :]) == (*box[:axis], *box[axis + 1 :])
                    ),
                    None,
                )
                if follow is not None:
                    span = (box[axis][0], pieces[follow][0][axis][1])
                    pieces[i] = ((*box[:axis], span, *box[axis + 1 :]), law)
                    del pieces[follow]
                    again = True
                    break
    return pieces


def side_by_side(axis: int, parts: Sequence[tuple[int, Law]], shape: Sequence[int]) -> Law:
    """Several laws along an axis, each with its size; `shape` is that of all of them."""
    boxes, start = [], 0
    for size, law in parts:
        span = (start, start + size)
        boxes.append(((*whole(shape[:axis]), span, *whole(shape[axis + 1 :])), law))
        start += size
    return put_together(boxes)
