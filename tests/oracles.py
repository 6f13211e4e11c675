"""The format by other hands: safetensors' own reader and writer, NumPy's and ml_dtypes' dtypes."""

from __future__ import annotations

import json
from typing import Any, get_args

import ml_dtypes
import numpy as np
from numpy.typing import NDArray
from safetensors import deserialize
from safetensors.numpy import save

from seedbed.stream import FloatCode

FLOAT_DTYPES: dict[str, np.dtype[Any]] = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "F8_E4M3": np.dtype(ml_dtypes.float8_e4m3fn),
    "F8_E5M2": np.dtype(ml_dtypes.float8_e5m2),
    "F8_E4M3FNUZ": np.dtype(ml_dtypes.float8_e4m3fnuz),
    "F8_E5M2FNUZ": np.dtype(ml_dtypes.float8_e5m2fnuz),
    "F8_E8M0": np.dtype(ml_dtypes.float8_e8m0fnu),
    "F6_E2M3": np.dtype(ml_dtypes.float6_e2m3fn),
    "F6_E3M2": np.dtype(ml_dtypes.float6_e3m2fn),
    "F4": np.dtype(ml_dtypes.float4_e2m1fn),
    "C64": np.dtype("<c8"),
}
"""What holds a float of each dtype of the format, one to an element."""

APART = {
    code: dtype
    for code, dtype in FLOAT_DTYPES.items()
    if code not in get_args(FloatCode) and code != "C64"
}
"""Floats that single tensors alone may have."""

NUMPY_DTYPES: dict[str, np.dtype[Any]] = {
    **FLOAT_DTYPES,
    **{f"{kind}{bits}": np.dtype(f"<{kind.lower()}{bits // 8}")
       for kind in "IU" for bits in (64, 32, 16, 8)},
    "BOOL": np.dtype("?"),
}  # fmt: skip
"""The same of whole numbers too."""


def positive(code: str) -> bool:
    """Whether a float has neither zero nor sign."""
    return float(ml_dtypes.finfo(FLOAT_DTYPES[code]).min) > 0


Arrays = dict[str, NDArray[Any]]


def load(file: bytes | bytearray) -> Arrays:
    """The tensors of a file, in its order, as safetensors' reader finds them.

    Its own NumPy interface knows neither bfloat16 nor the 8-bit floats.
    """
    return {
        name: np.frombuffer(view["data"], NUMPY_DTYPES[view["dtype"]]).reshape(view["shape"])
        for name, view in deserialize(bytes(file))
    }


def written(arrays: Arrays, metadata: dict[str, str] | None = None) -> bytes:
    """The file that safetensors' writer makes; of one metadata key at most, for it sorts none."""
    assert len(metadata or {}) < 2
    return save(arrays, metadata or None)


def split_file(file: bytes | bytearray) -> tuple[dict[str, Any], bytes]:
    """Header and data of a file."""
    length = int.from_bytes(file[:8], "little")
    return json.loads(file[8 : 8 + length]), bytes(file[8 + length :])


def without_metadata(file: bytes | bytearray) -> bytes:
    """The file as its writer would have made it without metadata: that entry gone, padded anew."""
    length = int.from_bytes(file[:8], "little")
    text = bytes(file[8 : 8 + length]).decode().rstrip(" ")
    start = '{"__metadata__":'
    assert text.startswith(start)
    _, end = json.JSONDecoder().raw_decode(text, len(start))
    head = ("{" + text[end:].lstrip(",")).encode()
    head += b" " * (-len(head) % 8)
    return len(head).to_bytes(8, "little") + head + bytes(file[8 + length :])
