"""Segments and metadata → the head of a safetensors file.

Format (safetensors README, "Format"): 8 bytes of little-endian header length, then JSON that maps
each name to dtype, shape and offsets into the data that follows; padded with spaces so that the
data starts at a multiple of 8. Every byte is what safetensors' own writer makes of the same
tensors and metadata, but for the order of several metadata keys, which is arbitrary there and
sorted here.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from json.encoder import encode_basestring

from seedbed.files.layout import Layout
from seedbed.init import Limits

ALIGNMENT_BYTES = 8


def make_header(layout: Layout, metadata: Mapping[str, str], limits: Limits) -> bytes:
    """Length, JSON and padding.

    Raises:
        LimitError: longer than readers accept.
    """
    entries = []
    if metadata:
        entries.append(f'"__metadata__":{_dumps(dict(sorted(metadata.items())))}')
    start = 0
    for tensor, stop in zip(layout.tensors, layout.offsets[1:], strict=True):
        shape = ",".join(map(str, tensor.shape))
        entries.append(
            f'{encode_basestring(tensor.name)}:{{"dtype":"{tensor.dtype.code}","shape":[{shape}],'
            f'"data_offsets":[{start},{stop}]}}'
        )
        start = stop
    text = f"{{{','.join(entries)}}}".encode()
    text += b" " * (-len(text) % ALIGNMENT_BYTES)
    limits.require("max_header_bytes", len(text), "bytes of header")
    return struct.pack("<Q", len(text)) + text


_encoder = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)
_dumps = _encoder.encode
