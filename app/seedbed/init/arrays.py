"""A lazy array of weights, rearranged in NumPy's words.

`Array` lets a layer say `weight.transpose(2, 3, 1, 0)` and mean the fill (`views`) that reads so.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from seedbed.init.fill import Fill
from seedbed.init.fills import Constant
from seedbed.init.views import Joined, Named, Shape, Sliced, Summed, Transposed


@dataclass(frozen=True, eq=False)
class Array:
    """A fill with a shape, to be rearranged as one rearranges a NumPy array.

    Attributes:
        fill: over the shape, in row-major order.
        shape: now.
        sources: names of the parameters that it is made of, the first decides scheme and dtype.
        text: how it is made of them, for people.
    """

    fill: Fill
    shape: Shape
    sources: tuple[str, ...]
    text: str

    @property
    def size(self) -> int:
        """Product of the shape."""
        return math.prod(self.shape)

    @property
    def is_zero(self) -> bool:
        """Whether it is known to be 0 everywhere."""
        fill = self.fill
        while isinstance(fill, Named | Sliced | Transposed):
            fill = fill.fill
        if isinstance(fill, Joined):
            return all(isinstance(part, Constant) and part.value == 0 for part, _ in fill.parts)
        return isinstance(fill, Constant) and fill.value == 0

    def transpose(self, *axes: int, flipped: Sequence[int] = ()) -> Array:
        """As `numpy.transpose`; axes (before) named in `flipped` run backwards."""
        shape = tuple(self.shape[axis] for axis in axes)
        text = f"{self.text}.transpose{axes}"
        if flipped:
            text = f"flip({self.text}, {tuple(flipped)}).transpose{axes}"
        return Array(_transposed(self.fill, self.shape, axes, flipped), shape, self.sources, text)

    @property
    def T(self) -> Array:  # noqa: N802  NumPy's name
        """The axes in reverse."""
        return replace(self.transpose(*reversed(range(len(self.shape)))), text=f"{self.text}.T")

    def reshape(self, *shape: int) -> Array:
        """As `numpy.reshape`, without −1."""
        if math.prod(shape) != self.size:
            raise ValueError(f"{self.shape} cannot be read as {shape}")
        return replace(self, shape=shape, text=f"{self.text}.reshape{shape}")

    def __getitem__(self, rows: slice) -> Array:
        """Some of the first axis, one after the other."""
        start, stop, step = rows.indices(self.shape[0])
        if step != 1:
            raise ValueError("rows are taken one after the other")
        inner = math.prod(self.shape[1:])
        fill = _sliced(self.fill, start * inner, stop * inner)
        shape = (max(stop - start, 0), *self.shape[1:])
        return Array(fill, shape, self.sources, f"{self.text}[{start}:{stop}]")

    def __add__(self, other: Array) -> Array:
        if self.shape != other.shape:
            raise ValueError(f"{self.shape} and {other.shape} are not added")
        sources = tuple(dict.fromkeys(self.sources + other.sources))
        if self.is_zero and not other.is_zero:
            fill = other.fill
        else:
            fill = self.fill if other.is_zero else Summed(self.fill, other.fill)
        return Array(fill, self.shape, sources, f"({self.text} + {other.text})")


def zeros(*shape: int) -> Array:
    """An array of no parameter."""
    return Array(Constant(0), shape, (), f"zeros{shape}")


def concatenate(arrays: Sequence[Array]) -> Array:
    """Along the first axis."""
    inner = {array.shape[1:] for array in arrays}
    if len(inner) != 1:
        raise ValueError(f"shapes {[array.shape for array in arrays]} are not joined")
    shape = (sum(array.shape[0] for array in arrays), *inner.pop())
    sources = tuple(dict.fromkeys(name for array in arrays for name in array.sources))
    text = f"concatenate({', '.join(array.text for array in arrays)})"
    return Array(joined([(array.fill, array.size) for array in arrays]), shape, sources, text)


def stack(arrays: Sequence[Array]) -> Array:
    """Along a new first axis."""
    rows = concatenate([replace(array, shape=(1, *array.shape)) for array in arrays])
    return replace(rows, text=f"stack({', '.join(array.text for array in arrays)})")


def joined(parts: Sequence[tuple[Fill, int]]) -> Fill:
    """Fills one after the other, in the simplest form."""
    kept = tuple((fill, count) for fill, count in parts if count)
    if not kept:
        return Constant(0)
    return kept[0][0] if len(kept) == 1 else Joined(kept)


def _sliced(fill: Fill, start: int, stop: int) -> Fill:
    """Elements `[start, stop)` of a fill, in the simplest form."""
    if isinstance(fill, Constant):
        return fill
    if isinstance(fill, Sliced):
        return _sliced(fill.fill, start + fill.offset, stop + fill.offset)
    if isinstance(fill, Named) and isinstance(fill.fill, Constant):
        return fill.fill
    if isinstance(fill, Joined):
        parts = []
        for (part, _), first, last in zip(fill.parts, fill.starts, fill.starts[1:], strict=False):
            low, high = max(start, first), min(stop, last)
            if low < high:
                parts.append((_sliced(part, low - first, high - first), high - low))
        return joined(parts)
    return Sliced(fill, start) if start else fill


def _transposed(fill: Fill, shape: Shape, axes: Sequence[int], flipped: Sequence[int]) -> Fill:
    """A transposition in the simplest form: axes of 1 dropped, axes that stay together merged."""
    flips = {axis for axis in flipped if shape[axis] > 1}
    groups: list[list[int]] = []  # of axes before, in the order after
    for axis in axes:
        if shape[axis] == 1:
            continue
        # Axes of 1 between two others do not part them.
        before = axis - 1
        while before >= 0 and shape[before] == 1:
            before -= 1
        if groups and groups[-1][-1] == before and not flips & {axis, before}:
            groups[-1].append(axis)
        else:
            groups.append([axis])
    ordered = sorted(groups)
    places = tuple(ordered.index(group) for group in groups)
    if not flips and places == tuple(range(len(places))):
        return fill
    if isinstance(fill, Constant) or not all(shape):
        return fill
    return Transposed(
        fill,
        tuple(math.prod(shape[axis] for axis in group) for group in ordered),
        places,
        tuple(ordered.index([axis]) for axis in sorted(flips)),
    )
