"""Tensors of a checkpoint that a service has, by ranges of its files."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

import httpx
import numpy as np
from numpy.typing import NDArray

from seedbed.errors import SpecError
from seedbed.stream import DTYPES, Box, Dtype

SPAN_BYTES = 1 << 22
"""Most bytes of one request."""

GAP_BYTES = 1 << 20
"""Fewest bytes between two runs of elements that are worth a request more: what a connection of
100 MB/s sends in half the round trip of another request to a distant service."""

_HEAD_BYTES = 1 << 16
_HEADER_MAX = 100_000_000
_TRIES = 8
_PAUSE_SECONDS = 10.0
_TIMEOUT_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class _Entry:
    """A tensor in a file."""

    file: _File
    code: str
    dtype: Dtype | None
    shape: tuple[int, ...]
    offset: int
    size: int


class _Web:
    """Ranges over HTTP, asked for again where the service is busy or the connection fails."""

    def __init__(self, seed: int | None, key: str | None) -> None:
        headers = {"accept-encoding": "identity"}
        if key:
            headers["authorization"] = f"Bearer {key}"
        self.fetched = 0
        self._seed = seed
        self._client = httpx.Client(
            headers=headers, timeout=_TIMEOUT_SECONDS, follow_redirects=True
        )

    def get(self, url: str, headers: Mapping[str, str] | None = None) -> httpx.Response:
        """An answer, of any status but those that ask for patience."""
        asked = httpx.URL(url)
        if self._seed is not None:
            if asked.params.get("seed", str(self._seed)) != str(self._seed):
                raise SpecError(f"the address has another seed than {self._seed}", ("seed",))
            asked = asked.copy_set_param("seed", str(self._seed))
        for left in reversed(range(_TRIES)):
            pause = 0.5
            try:
                answer = self._client.get(asked, headers=headers)
                if answer.status_code not in {429, 502, 503, 504} or not left:
                    return answer
                after = answer.headers.get("retry-after", "")
                pause = float(after) if after.isdecimal() else pause
            except httpx.TransportError:
                if not left:
                    raise
            time.sleep(min(pause, _PAUSE_SECONDS))
        raise AssertionError("the last try returns or raises")

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


class _File:
    """One safetensors file."""

    def __init__(self, web: _Web, url: str) -> None:
        self._web, self._url = web, url
        self._conditions: dict[str, str] = {}

    def read(self, start: int, stop: int) -> bytes:
        """Bytes `[start, stop)` of the file that was first seen, or up to its end.

        Raises:
            SpecError: the service has no such file, or has another one now.
        """
        asked = {"range": f"bytes={start}-{stop - 1}", **self._conditions}
        answer = self._web.get(self._url, asked)
        if answer.status_code == httpx.codes.PRECONDITION_FAILED:
            raise SpecError(f"{self._url} is another file by now")
        if answer.status_code != httpx.codes.PARTIAL_CONTENT:
            raise SpecError(f"{self._url}: {said(answer)}")
        if "etag" in answer.headers:
            self._conditions = {"if-match": answer.headers["etag"]}
        self._web.fetched += len(answer.content)
        return answer.content

    @cached_property
    def entries(self) -> dict[str, _Entry]:
        """Its tensors, read from its header.

        Raises:
            SpecError: it is no safetensors file.
        """
        head = self.read(0, _HEAD_BYTES)
        size = int.from_bytes(head[:8], "little")
        if not 2 <= size <= _HEADER_MAX:
            raise SpecError(f"{self._url} is no safetensors file")
        if len(head) < 8 + size:
            head += self.read(len(head), 8 + size)
        try:
            header = json.loads(head[8 : 8 + size])
            return {
                name: _Entry(
                    self, entry["dtype"], DTYPES.get(entry["dtype"]), tuple(entry["shape"]),
                    8 + size + entry["data_offsets"][0],
                    entry["data_offsets"][1] - entry["data_offsets"][0],
                )
                for name, entry in header.items()
                if name != "__metadata__"
            }  # fmt: skip
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise SpecError(f"{self._url} is no safetensors file") from error


class Fetching:
    """A checkpoint at a service, whole or in shards.

    Args:
        url: of a file, of an index, or of the directory that has one of them.
        seed: added to the address; None if that says which.
        key: an API key, where the service wants one.

    Raises:
        SpecError: there is no such checkpoint.
        httpx.HTTPError: the service cannot be reached.
    """

    def __init__(self, url: str, seed: int | None = None, key: str | None = None) -> None:
        self._web = _Web(seed, key)
        try:
            self._entries = self._found(url)
        except BaseException:
            self._web.close()
            raise
        self.shapes = {name: entry.shape for name, entry in self._entries.items()}
        self.codes = {name: entry.code for name, entry in self._entries.items()}
        self.dtypes = {name: entry.dtype for name, entry in self._entries.items()}

    def check(self, name: str, dtype: Dtype) -> None:
        """A file that has rounded already does not have what a wider or another dtype would."""
        own = self._entries[name].dtype
        if own is dtype or (own is not None and own.code in {"F32", "F64"} and dtype.is_float):
            return
        code = own.code if own is not None else "a dtype of its own"
        raise SpecError(
            f"the file has {code}, of which {dtype.code} cannot be made: ask for a file of that "
            "dtype, or initialise by the spec itself",
            ("dtype",),
        )

    def write(self, name: str, dtype: Dtype, box: Box, out: NDArray[Any]) -> None:
        """Fetch what lies between the first and the last element, where that is not too much."""
        entry = self._entries[name]
        own = entry.dtype
        if own is None:
            raise AssertionError("check refuses it")
        size = own.size_bytes
        todo = [(box, out)] if out.size else []
        while todo:
            box, out = todo.pop()
            span = box.last - box.start + 1
            # Scalars have no axes, and are never too large.
            axis = max(
                range(len(box.extents)),
                key=lambda a: (box.extents[a] > 1, box.strides[a]),
                default=0,
            )
            extent, stride = (box.extents[axis], box.strides[axis]) if box.extents else (1, 1)
            gap = stride - (span - (extent - 1) * stride)  # from the end of a row to the next
            apart = extent > 1 and gap * size >= GAP_BYTES
            if span * size > SPAN_BYTES or apart:
                rows = min(max(SPAN_BYTES // (stride * size), 1), extent - 1)
                rows = 1 if apart else rows
                for low, high in ((0, rows), (rows, extent)):
                    todo += boxes_of(box, out, axis, low, high)
                continue
            start = entry.offset + box.start * size
            got = entry.file.read(start, start + span * size)
            if len(got) != span * size:
                raise SpecError(f"{name}: the service gave {len(got)} of {span * size} bytes")
            flat = np.frombuffer(got, own.storage)
            steps = tuple(stride * size for stride in box.strides)
            values = np.lib.stride_tricks.as_strided(flat, box.extents, steps, writeable=False)
            out[...] = values if own is dtype else _rounded(name, values, dtype)

    def content(self, name: str) -> bytes:
        """All bytes of a tensor, of whatever dtype.

        Raises:
            SpecError: the service gave fewer.
        """
        entry = self._entries[name]
        edges = [*range(entry.offset, entry.offset + entry.size, SPAN_BYTES)]
        stops = [*edges[1:], entry.offset + entry.size]
        content = b"".join(map(entry.file.read, edges, stops))
        if len(content) != entry.size:
            raise SpecError(f"{name}: the service gave {len(content)} of {entry.size} bytes")
        return content

    @property
    def fetched(self) -> int:
        """Bytes of files that were fetched so far, headers included."""
        return self._web.fetched

    def close(self) -> None:
        """Close the connections."""
        self._web.close()

    def _found(self, url: str) -> dict[str, _Entry]:
        path = urlsplit(url).path
        if path.endswith(".index.json"):
            return self._of_index(url)
        if path.endswith(".safetensors"):
            return _File(self._web, url).entries
        try:
            return _File(self._web, _beside(url, "model.safetensors", inside=True)).entries
        except SpecError as error:
            try:
                index = _beside(url, "model.safetensors.index.json", inside=True)
                return self._of_index(index)
            except SpecError:
                raise error from None

    def _of_index(self, url: str) -> dict[str, _Entry]:
        answer = self._web.get(url)
        if answer.status_code != httpx.codes.OK:
            raise SpecError(f"{url}: {said(answer)}")
        try:
            files = dict.fromkeys(answer.json()["weight_map"].values())
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise SpecError(f"{url} is no index of safetensors files") from error
        entries: dict[str, _Entry] = {}
        for file in files:
            entries |= _File(self._web, _beside(url, file)).entries
        return entries


def boxes_of(
    box: Box, out: NDArray[Any], axis: int, low: int, high: int
) -> list[tuple[Box, NDArray[Any]]]:
    """`[low, high)` along an axis of a box."""
    if low >= high:
        return []
    extents = (*box.extents[:axis], high - low, *box.extents[axis + 1 :])
    places = (*[slice(None)] * axis, slice(low, high))
    return [(Box(box.start + low * box.strides[axis], extents, box.strides), out[places])]


def said(answer: httpx.Response) -> str:
    """What a service says of a request that it refuses."""
    problem: Any = {}
    if answer.headers.get("content-type", "").startswith("application/problem+json"):
        problem = answer.json()
    return str(problem.get("detail") or f"status {answer.status_code}, where a range was asked for")


def _beside(url: str, file: str, *, inside: bool = False) -> str:
    """The address of a file in a directory, or beside another file."""
    asked = httpx.URL(url)
    folder = asked.path.rstrip("/") if inside else asked.path.rpartition("/")[0]
    return str(asked.copy_with(path=f"{folder}/{file}"))


def _rounded(name: str, values: NDArray[Any], dtype: Dtype) -> NDArray[Any]:
    """Numbers of float32, or widened to float64, as another float."""
    draws = np.ascontiguousarray(values, np.float32)
    if dtype.code != "F64":
        finite = draws[np.isfinite(draws)]
        fits = np.all((finite >= dtype.lowest) & (finite <= dtype.highest))
        if not fits or (np.isinf(draws).any() and not dtype.has_infinity):
            raise SpecError(f"{name} has values that {dtype.code} cannot hold", ("dtype",))
    return dtype.encode_any(draws)
