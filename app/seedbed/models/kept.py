"""What a class keeps in F32 where its other tensors are of a narrower dtype.

Routers and their biases above all: transformers gives them that dtype, or always loads them so
(`_keep_in_fp32_modules_strict`). The data is recorded from it by `scripts.catalogue.kept`.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib.resources import files

from seedbed.init import Parameter

_DATA = files("seedbed.models") / "kept.json.gz"


@cache
def _patterns() -> Mapping[str, Sequence[str]]:
    """Class → names with `*` for numbers."""
    return json.loads(gzip.decompress(_DATA.read_bytes()))  # type: ignore[no-any-return]


def kept(architecture: str, parameters: Iterable[Parameter]) -> frozenset[str]:
    """Names of a class's tensors that stay F32."""
    patterns = _patterns().get(architecture, ())
    return frozenset(
        parameter.name
        for parameter in parameters
        if patterns and re.sub(r"\d+", "*", parameter.name) in patterns
    )
