"""Which tensors hold the same random numbers: copies, and what a spec cannot say of the others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise

from seedbed.torch.geometry import Box, Geometry, box_of, composed, overlaps, row_major
from seedbed.torch.laws import Chance, Pieces
from seedbed.torch.names import Root, Saved
from seedbed.torch.values import Identity, Value

PAIRS = 1 << 16
"""Comparisons of two tensors of one draw, beyond which they are taken to overlap."""


@dataclass(frozen=True, slots=True)
class Shared:
    """A tensor with random numbers that an earlier one has too.

    Attributes:
        other: its name.
        is_copy: whether it is equal to it: of its shape and dtype, element by element.
    """

    other: str
    is_copy: bool


@dataclass(frozen=True, slots=True)
class _Use:
    """A random part of a tensor, as a region of what was drawn, and the tensor as a whole."""

    name: str
    value: Value
    identity: Identity
    whole: Value
    whole_identity: Identity

    def is_copy_of(self, other: _Use) -> bool:
        """Whether the two tensors are equal, element by element, in that order."""
        return (
            self.whole_identity == other.whole_identity
            and self.whole.law == other.whole.law
            and self.whole.shape == other.whole.shape
            and self.whole.dtype == other.whole.dtype
        )


def shared(saved: Saved) -> dict[str, Shared]:
    """Tensors that are not independent of one before them, by name."""
    by_draw: dict[int, list[_Use]] = {}
    for name, value in saved.values.items():
        for use in _uses(name, value, saved.roots):
            for draw in use.value.draws:
                by_draw.setdefault(draw, []).append(use)
    shared: dict[str, Shared] = {}
    for uses in by_draw.values():
        if len(uses) > 1:
            uses.sort(key=lambda use: isinstance(use.value.law, Chance))  # what is computed, last
            for name, other in _conflicts(uses):
                known = shared.get(name)
                if known is None or (known.is_copy and not other.is_copy):
                    shared[name] = other
    return shared


def _uses(name: str, value: Value, roots: Mapping[int, Root]) -> Iterable[_Use]:
    if not value.is_random:
        return
    identity = _origin(value.identity, roots)
    if not isinstance(value.law, Pieces):
        yield _Use(name, value, identity, value, identity)
        return
    for _, piece in value.law.pieces:
        if piece.is_random:
            yield _Use(name, piece, _origin(piece.identity, roots), value, identity)


def _origin(identity: Identity, roots: Mapping[int, Root]) -> Identity:
    """An identity in terms of what the module's tensor was made of."""
    while identity.root in roots:
        before = roots[identity.root].identity
        region = composed(before.region, identity.region)
        if region is None:
            return identity
        identity = Identity(before.root, region)
    return identity


def _conflicts(uses: list[_Use]) -> Iterable[tuple[str, Shared]]:
    """Later uses of the same numbers, each with an earlier one."""
    if len({use.identity.root for use in uses}) == 1 and _all_apart(uses):
        return
    budget = PAIRS
    for n, use in enumerate(uses):
        for earlier in uses[:n]:
            budget -= 1
            same_root = use.identity.root == earlier.identity.root
            if (
                same_root
                and budget >= 0
                and not overlaps(use.identity.region, earlier.identity.region)
            ):
                continue
            is_copy = use.name != earlier.name and use.is_copy_of(earlier)
            yield use.name, Shared(earlier.name, is_copy=is_copy)
            break


def _all_apart(uses: list[_Use]) -> bool:
    """Whether regions of one root are ranges along its axes that nowhere meet."""
    regions = [use.identity.region for use in uses]
    frame = _frame(regions)
    boxes = []
    for region in regions:
        box = box_of(frame, region) if frame is not None else None
        if box is None:
            return False
        boxes.append(box)
    return _apart(boxes, 0)


def _frame(regions: list[Geometry]) -> Geometry | None:
    """A row-major numbering whose axes all the regions go along: from their common strides."""
    strides = sorted({s for r in regions for s, n in r.axes} | {1}, reverse=True)
    if any(a % b for a, b in pairwise(strides)):
        return None
    stop = max(region.span[1] for region in regions)
    sizes = [-(-stop // strides[0])]
    sizes += [a // b for a, b in pairwise(strides)]
    return row_major(tuple(sizes))


def _apart(boxes: list[Box], axis: int) -> bool:
    """Whether no two boxes meet: sorted along one axis after the other."""
    if len(boxes) < 2:
        return True
    if axis == len(boxes[0]):
        return False
    groups: dict[tuple[int, int], list[Box]] = {}
    for box in boxes:
        groups.setdefault(box[axis], []).append(box)
    ordered = sorted(groups)
    if any(b[0] < a[1] for a, b in pairwise(ordered)):
        return False
    return all(_apart(group, axis + 1) for group in groups.values())
