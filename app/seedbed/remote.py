"""Tensors of a checkpoint at a URL, whole or a box of each, by ranges: for loaders of one's own.

Needs httpx, which every extra for a framework brings.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from seedbed.errors import SpecError
from seedbed.recording import fetched_from
from seedbed.stream.boxes import Box


class RemoteTensor(NamedTuple):
    """A tensor of the checkpoint: its dtype's code in the format, and its shape."""

    dtype: str
    shape: tuple[int, ...]


class RemoteCheckpoint:
    """A safetensors checkpoint that a server has, in one file or in shards.

    Any server of files will do that answers ranges; where an ETag is given, all parts are of one
    version of the file.

    Args:
        url: of a file, of an index (`model.safetensors.index.json`), or of the directory that has
            one of them.
        seed: added to the address; None if that says which.
        key: an API key, where the service wants one.

    Attributes:
        tensors: all of them by name, in the order of the files.

    Raises:
        SpecError: there is no such checkpoint.
        httpx.HTTPError: the service cannot be reached.
    """

    def __init__(self, url: str, seed: int | None = None, key: str | None = None) -> None:
        self._contents = fetched_from(url, seed, key)
        self.tensors = {
            name: RemoteTensor(self._contents.codes[name], shape)
            for name, shape in self._contents.shapes.items()
        }

    @property
    def fetched(self) -> int:
        """Bytes that were fetched so far, headers included."""
        return self._contents.fetched

    def content(self, name: str) -> bytes:
        """All bytes of a tensor, of whatever dtype and shape, as they stand in the file."""
        self._known(name)
        return self._contents.content(name)

    def read(
        self, name: str, offsets: Sequence[int] | None = None, lengths: Sequence[int] | None = None
    ) -> NDArray[Any]:
        """A box of a tensor: `lengths[i]` elements from `offsets[i]` on, along each axis.

        Whole rows lie together and are one request for each 4 MB. Of columns, what lies between
        them is fetched as well and dropped, where that costs less than a request for each row.

        Args:
            name: of the tensor.
            offsets: of the first element; all 0 if left out.
            lengths: all that is left along each axis if left out.

        Returns:
            The elements in NumPy's own dtype, or where it has none their bits as unsigned integers
            of that size: `torch.from_numpy(a).view(torch.bfloat16)`.

        Raises:
            SpecError: there is no such tensor or box, or its elements fill no whole bytes, as F4:
                `content` has those.
        """
        self._known(name)
        shape = self.tensors[name].shape
        offsets = [0] * len(shape) if offsets is None else list(offsets)
        if lengths is None:
            lengths = [size - first for size, first in zip(shape, offsets, strict=False)]
        if not len(offsets) == len(lengths) == len(shape) or not all(
            first >= 0 and count >= 0 and first + count <= size
            for first, count, size in zip(offsets, lengths, shape, strict=True)
        ):
            raise SpecError(f"{name} has shape {shape}: no box {offsets}, {list(lengths)}")
        dtype = self._contents.dtypes[name]
        if dtype is None or dtype.per_unit > 1:
            code = self.tensors[name].dtype
            raise SpecError(f"{name} is {code}, which is read whole, by content()")
        strides = [1] * len(shape)
        for axis in reversed(range(len(shape) - 1)):
            strides[axis] = strides[axis + 1] * shape[axis + 1]
        start = sum(first * stride for first, stride in zip(offsets, strides, strict=True))
        out = np.empty(tuple(lengths), dtype.storage)
        self._contents.write(name, dtype, Box(start, tuple(lengths), tuple(strides)), out)
        return out

    def close(self) -> None:
        """Close the connections."""
        self._contents.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _known(self, name: str) -> None:
        if name not in self.tensors:
            raise SpecError(f"there is no tensor {name!r}")
