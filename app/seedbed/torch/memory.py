"""Storages without memory: each is a list of writes, read back by geometry."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from seedbed.recording import X
from seedbed.torch.geometry import (
    LISTED,
    Box,
    Geometry,
    box_of,
    composed,
    contains,
    intersection,
    overlaps,
    part_of,
    relative,
    row_major,
    without,
)
from seedbed.torch.laws import (
    Chance,
    Constant,
    Drawn,
    Law,
    Pieces,
    Table,
    Unfilled,
    Whole,
    numbers,
)
from seedbed.torch.lending import Lent
from seedbed.torch.values import Identity, Value, reality, table, unfilled

MANY = 4096
"""Ranges into which a tensor may fall before it is looked at element by element."""

SETTLED = 64
"""Writes of known values after which they become one table (dirac_ writes element by element)."""

Write = tuple[Geometry, Value]


def geometry_of(tensor: torch.Tensor) -> Geometry:
    """Where a tensor lies in its storage, in elements."""
    return Geometry(tensor.storage_offset(), tuple(tensor.shape), tuple(tensor.stride()))


@dataclass
class Store:
    """A storage that does not exist, and what was written to it.

    Attributes:
        storage: torch's own, kept so that its address is not used again.
        device: where it says it is.
        lent: what others may have changed meanwhile.
    """

    storage: Any
    elements: int
    dtype: torch.dtype
    device: torch.device
    writes: list[Write] = field(default_factory=list)
    lent: list[Lent] = field(default_factory=list)
    _read: dict[Geometry, Value] = field(default_factory=dict)

    def look(self) -> None:
        """Take in what others have changed."""
        for lent in self.lent:
            if (real := lent.changed()) is not None:
                self.write(lent.place, table(real))
                self.pass_on(lent)

    def pass_on(self, but: Lent | None = None) -> None:
        """Let others see what was changed here."""
        for lent in self.lent:
            if lent is not but:
                lent.follow(self.read(lent.place))

    def write(self, geometry: Geometry, value: Value) -> None:
        """Let these elements hold this from now on."""
        self._read.clear()
        self.elements = max(self.elements, geometry.span[1])
        if len(self.writes) <= MANY:
            frame = self._frame
            self.writes = [w for w in self.writes if not contains(geometry, w[0], frame)]
        self.writes.append((geometry, value))
        if len(self.writes) % SETTLED == 0 and self.elements <= LISTED:
            known = all(value.is_known for _, value in self.writes)
            if known and self.read(row_major((self.elements,))).is_known:
                self.writes = [(row_major((self.elements,)), table(self._real(self.writes)))]

    def read(self, geometry: Geometry) -> Value:
        """What these elements hold."""
        if geometry not in self._read:
            self._read[geometry] = self._found(geometry)
        return self._read[geometry]

    @property
    def _frame(self) -> Geometry | None:
        """The geometry of what was written first, whose axes parts mostly go along."""
        return self.writes[0][0] if self.writes else None

    def _found(self, geometry: Geometry) -> Value:
        parts: list[Write] = []
        for place, value in reversed(self.writes):
            if not parts and place == geometry:
                return value
            if contains(place, geometry, self._frame):
                if not parts:
                    return view(place, value, geometry)
                parts.append((place, value))
                break
            if overlaps(place, geometry, self._frame):
                parts.append((place, value))
        else:
            nothing = unfilled(geometry.shape, self.dtype)
            if not parts:
                return nothing
            parts.append((geometry, nothing))
        parts.reverse()
        pieces = self._pieces(geometry, parts)
        if pieces is None:
            return self._scattered(geometry, parts)
        if len(pieces) == 1:
            return pieces[0][1]
        return joined(geometry.shape, self.dtype, pieces, lambda: self._real(parts, geometry))

    def _pieces(self, geometry: Geometry, parts: list[Write]) -> list[tuple[Box, Value]] | None:
        """What is to be seen of each write, as disjoint ranges along the geometry's axes."""
        seen: list[tuple[Box, Write]] = []
        for write in parts:
            box = self._box(geometry, write[0])
            if box is None:
                return None
            seen = [(left, w) for old, w in seen for left in without(old, box)]
            seen.append((box, write))
            if len(seen) > MANY:
                return None
        return [(box, view(place, value, part_of(geometry, box))) for box, (place, value) in seen]

    def _box(self, geometry: Geometry, place: Geometry) -> Box | None:
        """The ranges of a geometry that another one covers."""
        inside = box_of(geometry, place)
        if inside is not None or self._frame is None:
            return inside
        a, b = box_of(self._frame, geometry), box_of(self._frame, place)
        common = intersection(a, b) if a is not None and b is not None else None
        return None if common is None else box_of(geometry, part_of(self._frame, common))

    def _scattered(self, geometry: Geometry, parts: list[Write]) -> Value:
        """Where writes do not fall into ranges."""
        if self.elements <= LISTED:
            owner = np.full(self.elements, -1, np.int64)
            for n, (place, _) in enumerate(parts):
                owner[place.addresses()] = n
            taken = np.unique(owner[geometry.addresses()])
            parts = [parts[n] for n in taken]
        values = [value for _, value in parts]
        draws = frozenset[int]().union(*(value.draws for value in values))
        law: Law = _common(values) or Chance("random in parts that are not ranges along its axes")
        if any(value.is_unfilled for value in values):
            law = Unfilled("filled in part only")
        elif not any(value.is_random for value in values) and not isinstance(law, Constant):
            law = Table()
        return Value(
            geometry.shape,
            self.dtype,
            law,
            lambda: self._real(parts, geometry),
            draws=draws,
            notes=frozenset[str]().union(*(value.notes for value in values)),
        )

    def _real(self, parts: list[Write], geometry: Geometry | None = None) -> torch.Tensor:
        """The numbers of some elements after some writes."""
        with reality():
            buffer = torch.zeros(self.elements, dtype=self.dtype)
            for (offset, shape, strides), value in parts:
                buffer.as_strided(shape, strides, offset).copy_(value.real().reshape(shape))
            if geometry is None:
                return buffer
            return buffer.as_strided(geometry.shape, geometry.strides, geometry.offset).clone()

    def read_as(self, tensor: torch.Tensor) -> Value:
        """What is here, read as another dtype, as by `view_as_real`."""
        parts = list(self.writes)
        values = [value for _, value in parts]
        place, dtype = geometry_of(tensor), tensor.dtype

        def make() -> torch.Tensor:
            with reality():
                other = torch.empty(0, dtype=dtype)
                bits = self._real(parts).untyped_storage()
                return other.set_(bits, place.offset, place.shape, place.strides).clone()

        law: Law = Table()
        if not parts or any(value.is_unfilled for value in values):
            law = Unfilled()
        elif any(value.is_random for value in values):
            law = Chance(f"drawn as {self.dtype} and read as {dtype}")
        draws = frozenset[int]().union(*(value.draws for value in values))
        return Value(place.shape, dtype, law, make, draws=draws)


def joined(
    shape: tuple[int, ...],
    dtype: torch.dtype,
    pieces: list[tuple[Box, Value]],
    make: Any,
) -> Value:
    """Values side by side, given as disjoint ranges that cover the whole."""
    flat = [inner for box, value in pieces for inner in _flattened(box, value)]
    values = [value for _, value in flat]
    draws = frozenset[int]().union(*(value.draws for value in values))
    law = _common(values) or Pieces(tuple(flat))
    notes = frozenset[str]().union(*(value.notes for value in values))
    return Value(shape, dtype, law, make, draws=draws, notes=notes, sources=tuple(pieces))


def _flattened(box: Box, value: Value) -> list[tuple[Box, Value]]:
    """A piece that itself is in pieces, as those."""
    if not isinstance(value.law, Pieces):
        return [(box, value)]
    starts = [start for start, _ in box]
    return [
        (tuple((a + s, b + s) for (a, b), s in zip(inner, starts, strict=True)), piece)
        for inner, piece in value.law.pieces
    ]


def _common(values: list[Value]) -> Constant | Drawn | None:
    """The one law that values side by side have together, if they have one."""
    first = values[0].law
    if isinstance(first, Constant):
        return first if all(value.law == first for value in values) else None
    if not isinstance(first, Drawn) or first.closed is None:
        return None
    seen: dict[int, list[Identity]] = {}
    for value in values:
        if not isinstance(value.law, Drawn) or value.law.closed != first.closed:
            return None
        own = value.identity
        for draw in value.draws:  # several, if it was joined itself
            others = seen.setdefault(draw, [])
            if any(
                own.root != other.root or overlaps(own.region, other.region) for other in others
            ):
                return None  # the same numbers twice
            others.append(own)
    return Drawn(next(numbers), first.closed, X, first.closed)


def view(place: Geometry, value: Value, geometry: Geometry) -> Value:
    """What a part of a write holds: the value was written at `place` and is read at `geometry`."""
    part = relative(place, geometry)
    if part == row_major(value.shape) and geometry.shape == value.shape:
        return value
    law = value.law
    region = None if part is None else composed(value.identity.region, part)
    identity = None if region is None else Identity(value.identity.root, region)

    def make() -> torch.Tensor:
        with reality():
            size = max(place.span[1], geometry.span[1])
            buffer = torch.zeros(size, dtype=value.dtype)
            buffer.as_strided(place.shape, place.strides, place.offset).copy_(
                value.real().reshape(place.shape)
            )
            return buffer.as_strided(geometry.shape, geometry.strides, geometry.offset).clone()

    if isinstance(law, Pieces):
        return _part_of_pieces(value, law, part, geometry.shape, make)
    if isinstance(law, Drawn) and not geometry.is_injective:
        law = Chance("one drawn number in several places")
    elif isinstance(law, Whole) and not _is_same_matrix(law, value.shape, part):
        law = Chance(f"part of a matrix that is drawn as a whole ({law.kind})")
    return Value(geometry.shape, value.dtype, law, make, identity, value.draws, value.notes)


def _is_same_matrix(law: Whole, shape: tuple[int, ...], part: Geometry | None) -> bool:
    """Whether a view has all of a matrix, as it is or, of an orthogonal one, transposed."""
    if part is None or not shape or part.elements != math.prod(shape):
        return False
    if law.kind != "orthogonal":
        return part == row_major(shape)
    if part.is_row_major:
        return part.shape[:1] == shape[:1]
    return len(shape) == 2 and part == Geometry(0, shape[::-1], (1, shape[1]))


def _part_of_pieces(
    value: Value, pieces: Pieces, part: Geometry | None, shape: tuple[int, ...], make: Any
) -> Value:
    """A view of a value that has several laws side by side."""
    if part is None:
        law: Law = Chance("random in parts, of which a view takes some")
        if not value.is_random:
            law = Unfilled("filled in part only") if value.is_unfilled else Table()
        return Value(shape, value.dtype, law, make, draws=value.draws, notes=value.notes)
    frame = row_major(value.shape)
    inner = Store(None, value.elements, value.dtype, torch.device("cpu"))
    inner.writes = [(part_of(frame, box), piece) for box, piece in pieces.pieces]
    view = inner.read(part)
    region = composed(value.identity.region, part)
    changes = {} if region is None else {"identity": Identity(value.identity.root, region)}
    return view.like(shape=shape, make=make, **changes)


def unwrapped(tensor: torch.Tensor) -> torch.Tensor:
    """The tensor that `torch.func` has wrapped, for vmap as an example."""
    while torch._C._functorch.is_functorch_wrapped_tensor(tensor):
        tensor = torch._C._functorch.get_unwrapped(tensor)
    return tensor


class Memory:
    """All storages of a recording."""

    def __init__(self) -> None:
        self.stores: dict[int, Store] = {}

    def find(self, tensor: torch.Tensor) -> Store | None:
        """The store of a tensor of this recording."""
        return self.stores.get(unwrapped(tensor).untyped_storage()._cdata)

    def has(self, tensor: torch.Tensor) -> bool:
        """Whether a tensor has no memory: of this recording, or torch's own on `meta`."""
        storage = unwrapped(tensor).untyped_storage()
        return storage._cdata in self.stores or storage.device.type == "meta"

    def read(self, tensor: torch.Tensor) -> Value:
        """What a tensor holds; a real one is copied."""
        store = self.find(tensor)
        if store is None:
            if self.has(tensor):
                return unfilled(tensor.shape, tensor.dtype, "on the meta device")
            return table(tensor)
        store.look()
        if store.dtype != tensor.dtype:
            return store.read_as(tensor)
        return store.read(geometry_of(tensor))

    def write(self, tensor: torch.Tensor, value: Value, device: torch.device | None = None) -> None:
        """Let a tensor of this recording hold a value."""
        storage = tensor.untyped_storage()
        store = self.stores.get(storage._cdata)
        if store is None:
            elements = storage.nbytes() // tensor.element_size()
            device = device or torch.device("cpu")
            store = Store(storage, elements, tensor.dtype, device)
            self.stores[storage._cdata] = store
        store.look()
        if store.dtype != tensor.dtype:
            self._overwrite(store, tensor, value)
        else:
            store.write(geometry_of(tensor), value)
        store.pass_on()

    def lend(self, tensor: torch.Tensor, numbers: torch.Tensor) -> None:
        """Others have the numbers of a tensor of this recording, in this memory."""
        store = self.find(tensor)
        if store is not None and store.dtype == tensor.dtype:
            store.lent.append(Lent.of(geometry_of(tensor), numbers))

    @staticmethod
    def _overwrite(store: Store, tensor: torch.Tensor, value: Value) -> None:
        """A write as another dtype, as through `view_as_real`: all of the storage becomes new."""
        before = list(store.writes)
        place = geometry_of(tensor)
        whole = row_major((store.elements,))

        def make() -> torch.Tensor:
            with reality():
                buffer = store._real(before)
                other = torch.empty(0, dtype=tensor.dtype)
                other.set_(buffer.untyped_storage(), *place).copy_(value.real())
                return buffer

        values = [value, *(v for _, v in before)]
        law: Law = Table()
        if any(v.is_random for v in values):
            law = Chance(f"drawn as {tensor.dtype} into {store.dtype}")
        elif any(v.is_unfilled for v in values):
            law = Unfilled("filled as another dtype")
        draws = frozenset[int]().union(*(v.draws for v in values))
        store.write(whole, Value(whole.shape, store.dtype, law, make, draws=draws))
