"""A safetensors file that exists only as arithmetic.

Size, header and ETag are known before any weight is drawn, and any byte range is made on its own,
in memory and time that depend on the range only.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left, bisect_right
from collections.abc import Hashable, Iterator, Sequence
from functools import cached_property

from seedbed.errors import BusyError
from seedbed.files.header import make_header
from seedbed.files.identity import SpecIdentity
from seedbed.files.layout import Layout, lay_out
from seedbed.files.price import price
from seedbed.files.spec import CheckpointSpec
from seedbed.init import Lease, Limits, MatrixCache, Source, TensorPlan, plan
from seedbed.quantization import quantise
from seedbed.stream import STREAM_VERSION, Engine, get_engine

CHUNK_BYTES = 1 << 20

FILE_NAME = "model.safetensors"

MATRIX_CACHE_BYTES = 1 << 28

SPEC_IN_METADATA_BYTES = 8192
"""A canonical spec up to this size goes into the file's metadata whole, a longer one as digest."""

_FORMATS = {"torch": "pt", "keras": "keras", "flax": "flax", "nnx": "flax"}


def plan_of(spec: CheckpointSpec, limits: Limits) -> tuple[TensorPlan, ...]:
    """Every tensor of a spec, decided.

    Raises:
        SpecError: the spec cannot mean a file, and where.
        LimitError: too many tensors or dimensions, too long a name, too much work for the rules.
    """
    price(spec, limits)
    model = spec.built
    method = spec.method
    plans = plan(
        spec.tensors,
        spec.rules,
        spec.dtype,
        limits,
        spec.layers,
        spec.framework,
        model.parameters if model else (),
        model.guessed if model else frozenset(),
        model.unsaid if model else frozenset(),
        lambda: spec.decisions,
    )
    return plans if method is None else quantise(plans, method, limits, spec.model_type)


class VirtualFile:
    """The file that a spec means.

    Immutable; any number of threads may read it at once.

    Args:
        spec: tensors, schemes, seed.
        limits: what it may ask for.
        engine: who draws; every engine draws the same.
        name: the file's name, which is part of its ETag.
        matrices: where matrices that are made as a whole are kept.
        tensors: that the file holds, if they are planned already and not all of the spec's.
        part: tells files of one name and spec apart that hold other tensors; in the ETag.
        layout: of those tensors, if it is known already.
        header: the same.
        held: what lives as long as the file does.

    Raises:
        SpecError: the spec cannot mean a file, and where.
        LimitError: the file would be larger than a limit.
    """

    def __init__(
        self,
        spec: CheckpointSpec | SpecIdentity,
        limits: Limits | None = None,
        engine: Engine | None = None,
        name: str = FILE_NAME,
        matrices: MatrixCache | None = None,
        tensors: Sequence[TensorPlan] | None = None,
        part: str = "",
        layout: Layout | None = None,
        header: bytes | None = None,
        held: object = None,
    ) -> None:
        limits = limits or Limits()
        self.spec = spec
        self.held = held
        self.name = name
        self._part = part
        self._engine = engine or get_engine()
        self._matrices = matrices or MatrixCache(MATRIX_CACHE_BYTES, threads=1)
        self._limits = limits
        if layout is None:
            user_bytes = sum(len(k.encode()) + len(v.encode()) for k, v in spec.metadata.items())
            limits.require("max_metadata_bytes", user_bytes, "bytes of metadata")
            if tensors is None:
                if isinstance(spec, SpecIdentity):
                    raise ValueError("a spec that is planned already comes with its tensors")
                tensors = plan_of(spec, limits)
            layout = lay_out(tensors, limits)
        self._layout = layout
        self._header = header or make_header(layout, self.metadata, limits)
        self.size = len(self._header) + self._layout.size_bytes

    @property
    def tensors(self) -> tuple[TensorPlan, ...]:
        """The tensors in the order of the file."""
        return self._layout.tensors

    @cached_property
    def _identity(self) -> SpecIdentity:
        return SpecIdentity.of(self.spec)

    def with_seed(self, seed: int) -> VirtualFile:
        """The same file from another seed: nothing is planned again, since no plan has a seed."""
        return VirtualFile(
            self._identity.with_seed(seed),
            self._limits,
            self._engine,
            self.name,
            self._matrices,
            part=self._part,
            layout=self._layout,
            held=self.held,
        )

    @cached_property
    def _dense(self) -> tuple[int, ...]:
        """Which tensors are made as a whole."""
        return tuple(i for i, tensor in enumerate(self.tensors) if tensor.fill.dense_elements)

    def is_direct(self, start: int, stop: int) -> bool:
        """Whether making the bytes `[start, stop)` costs what they hold: no matrix is made."""
        return not self._made_whole(start, stop)

    def _made_whole(self, start: int, stop: int) -> tuple[int, ...]:
        """The tensors with bytes there that are made as a whole."""
        if not self._dense or stop <= len(self._header):
            return ()
        offsets, head = self._layout.offsets, len(self._header)
        first = bisect_right(offsets, max(start - head, 0)) - 1
        last = bisect_left(offsets, stop - head)
        return self._dense[bisect_left(self._dense, first) : bisect_left(self._dense, last)]

    @property
    def header(self) -> bytes:
        """Everything before the first tensor: length, JSON, padding."""
        return self._header

    @cached_property
    def metadata(self) -> dict[str, str]:
        """The file's `__metadata__`: what made it, and the caller's own strings.

        `format` is there because transformers 4 refuses files without it: `pt` means PyTorch's
        names and layouts, `flax` Flax's.
        """
        spec = self.spec
        made_by = {
            "format": _FORMATS[spec.framework],
            "seedbed.seed": str(spec.seed),
            "seedbed.spec_sha256": spec.digest,
            "seedbed.stream": str(STREAM_VERSION),
        }
        if guessed := sum(tensor.guessed for tensor in self.tensors):
            made_by["seedbed.guessed"] = str(guessed)
        if len(spec.canonical_json.encode()) <= SPEC_IN_METADATA_BYTES:
            made_by["seedbed.spec"] = spec.canonical_json
        return {**spec.metadata, **made_by}

    @cached_property
    def etag(self) -> str:
        """Strong validator, 32 hexadecimal digits: digest of stream version, spec, seed and name.

        Hexadecimal only, and not 40 or 64 digits, since Hub clients make it a file name and take
        those lengths for true hashes of the content.
        """
        message = (
            f"seedbed/file/{STREAM_VERSION}\n{self.spec.digest}\n{self.spec.seed}\n{self.name}"
        )
        if self._part:
            message += f"\n{self._part}"
        return hashlib.sha256(message.encode()).hexdigest()[:32]

    def offset(self, index: int) -> int:
        """Where the tensor at `index` of `tensors` starts, in bytes from the start of the file."""
        return len(self._header) + self._layout.offsets[index]

    def read(self, start: int, stop: int) -> bytearray:
        """Bytes `[start, stop)`, clipped to the file as a slice would be.

        Takes memory for these bytes only; see `chunks` for long ranges.
        """
        start, stop, _ = slice(start, stop).indices(self.size)
        out = bytearray(max(stop - start, 0))
        self.read_into(start, memoryview(out))
        return out

    def read_into(self, start: int, out: memoryview) -> None:
        """Fill `out` with the bytes from `start` on, all within the file."""
        stop = start + len(out)
        position = start
        head = len(self._header)
        if position < min(head, stop):
            part = self._header[position:stop]
            out[: len(part)] = part
            position += len(part)
        offsets = self._layout.offsets
        # The last segment that starts at or before the position; of several at one place (empty
        # tensors) the last, which is the one with bytes.
        index = bisect_right(offsets, position - head) - 1
        while position < stop:
            first = head + offsets[index]
            end = min(head + offsets[index + 1], stop)
            if position < end:
                self._read_tensor(index, position - first, out[position - start : end - start])
                position = end
            index += 1

    def lease(self, start: int, stop: int) -> list[Lease]:
        """Leases of the matrices that the bytes `[start, stop)` are taken from, which are begun.

        Raises:
            BusyError: too many wait to be made already.
        """
        leases: dict[Hashable, Lease] = {}
        try:
            for index in self._made_whole(start, stop):
                tensor, begin = self.tensors[index], self.offset(index)
                size = tensor.dtype.size_bytes
                first = max(start - begin, 0) // size * tensor.dtype.per_unit
                last = -(-(stop - begin) // size) * tensor.dtype.per_unit
                last = min(last, tensor.elements)
                for job in tensor.fill.matrices(self._source(tensor), first, last):
                    if job.key not in leases and not job.is_small:
                        leases[job.key] = self._matrices.lease(job)
        except BusyError:
            for lease in leases.values():
                lease.end()
            raise
        return list(leases.values())

    def chunks(
        self, start: int = 0, stop: int | None = None, size: int = CHUNK_BYTES
    ) -> Iterator[bytearray]:
        """Bytes `[start, stop)`, clipped as by `read`, in pieces each made when it is asked for.

        Pieces end at multiples of `size` bytes.
        """
        begin, end, _ = slice(start, stop).indices(self.size)
        for first, last in split(begin, end, size):
            yield self.read(first, last)

    def _read_tensor(self, index: int, start: int, out: memoryview) -> None:
        """Bytes from `start` on of one tensor; whole units are written in place."""
        tensor = self._layout.tensors[index]
        source = self._source(tensor)
        size = tensor.dtype.size_bytes
        cut = min(-start % size, len(out))  # what is left of a first unit that is cut
        whole = cut + (len(out) - cut) // size * size
        if cut:
            self._read_cut(tensor, source, start, out[:cut])
        if cut < whole:
            first = (start + cut) // size * tensor.dtype.per_unit
            tensor.fill.write(source, first, out[cut:whole])
        if whole < len(out):
            self._read_cut(tensor, source, start + whole, out[whole:])

    def _source(self, tensor: TensorPlan) -> Source:
        return Source(self._engine, self.spec.seed, tensor.name, tensor.dtype, self._matrices)

    def _read_cut(self, tensor: TensorPlan, source: Source, start: int, out: memoryview) -> None:
        """Some of the bytes of one unit."""
        unit = bytearray(tensor.dtype.size_bytes)
        index, skip = divmod(start, len(unit))
        tensor.fill.write(source, index * tensor.dtype.per_unit, memoryview(unit))
        out[:] = unit[skip : skip + len(out)]


def split(start: int, stop: int, size: int) -> Iterator[tuple[int, int]]:
    """`[start, stop)` as consecutive ranges that end at multiples of `size`."""
    while start < stop:
        end = min((start // size + 1) * size, stop)
        yield start, end
        start = end
