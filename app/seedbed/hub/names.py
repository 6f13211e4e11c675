"""What ids and revisions say.

Hub clients let through `[A-Za-z0-9._-]` only, without `--` and `..`, so that is all the grammar
there is:

    id        seedbed/gpt2                    a preset
              seedbed/resnet50.num_classes-10 with an argument
              seedbed/gpt2.bf16               in another dtype
              seedbed/llama-3-8b.shard-5GB    with files of another size
    revision  main, HEAD                      the spec's own seed; of a preset, 0
              42, seed-42                     a seed
              42-bf16, seed-42-bf16           in another dtype
              seed-42.fp8-block               quantised; after a dtype too, and in an id
    commit    40 hexadecimal digits           seed, dtype and quantisation, and a digest of the rest
"""

from __future__ import annotations

import json
import re
from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import Any

from seedbed.errors import SeedbedError
from seedbed.quantization import SHORT
from seedbed.registry import BUILT_IN
from seedbed.stream import SEED_MAX, FloatCode, UnclearDtype, dtype_code

NAMESPACE = BUILT_IN
"""Whose repositories the presets are: one that no stored spec can have."""

DTYPES_IN_COMMITS: tuple[FloatCode, ...] = ("F32", "F64", "F16", "BF16", "F8_E4M3", "F8_E5M2")
"""A commit holds the place in this list, so it only ever grows at its end, up to eight."""

QUANTIZATIONS_IN_COMMITS = tuple(SHORT)
"""Likewise, up to 31."""

_DTYPES_MAX = 8

DIGEST_DIGITS = 22
_COMMIT = re.compile(r"([0-9a-f]{16})([0-9a-f]{2})([0-9a-f]{22})")
_REVISION = re.compile(
    r"(?:(main|HEAD)|(?:seed-)?(0|[1-9][0-9]{0,19}))(?:-([A-Za-z0-9_]+))?(?:\.([a-z0-9-]+))?"
)
_NAME = re.compile(r"[A-Za-z0-9._-]{1,96}")


class RevisionError(SeedbedError):
    """A revision that is none."""


@dataclass(frozen=True, slots=True)
class Revision:
    """What a revision asks for.

    Attributes:
        seed: or `None` for the spec's own.
        dtype: of what has no own; or `None` for the spec's.
        digest: that the commit must have, if the revision is a commit.
        quantization: short name of it; or `None` for the spec's own.
    """

    seed: int | None = None
    dtype: FloatCode | None = None
    digest: str | None = None
    quantization: str | None = None


def parse_revision(text: str) -> Revision:
    """A branch, a seed or a commit.

    Raises:
        RevisionError: it is none of them.
    """
    if _COMMIT.fullmatch(text):
        return parse_commit(text)
    if (match := _REVISION.fullmatch(text)) is None:
        raise RevisionError(
            f"{text[:100]!r} is no revision: main, a seed as 42 or seed-42, either with a dtype as "
            "42-bf16 and a quantisation as 42.fp8-block, or a commit of 40 digits"
        )
    branch, digits, dtype, quantization = match.groups()
    if quantization is not None and quantization not in SHORT:
        raise RevisionError(f"{quantization[:100]!r} is no quantisation: {', '.join(SHORT)}")
    seed = None if branch else int(digits)
    if seed is not None and seed > SEED_MAX:
        raise RevisionError(f"{digits} is no seed: they end at 2**64 - 1")
    code = _float_code(dtype) if dtype else None
    return Revision(seed, code, quantization=quantization)


def _float_code(text: str) -> FloatCode:
    """The dtype of weights by any of its names.

    Raises:
        RevisionError: there is none.
    """
    code = _coded(text)
    for known in DTYPES_IN_COMMITS:
        if code == known:
            return known
    codes = ", ".join(map(str.lower, DTYPES_IN_COMMITS))
    raise RevisionError(f"{text[:100]!r} is no dtype of weights: {codes}")


def _coded(text: str) -> str:
    """A dtype's code by any of its names; other text as it is."""
    try:
        return dtype_code(text) or text
    except UnclearDtype:
        return text


def parse_commit(text: str) -> Revision:
    """What a commit holds: the reverse of `committing`.

    Raises:
        RevisionError: no checkpoint has this commit.
    """
    match = _COMMIT.fullmatch(text)
    place, dtype = divmod(int(match[2], 16), _DTYPES_MAX) if match else (0, _DTYPES_MAX)
    if match is None or dtype >= len(DTYPES_IN_COMMITS) or place > len(QUANTIZATIONS_IN_COMMITS):
        raise RevisionError(f"there is no commit {text[:100]}")
    short = QUANTIZATIONS_IN_COMMITS[place - 1] if place else None
    return Revision(int(match[1], 16), DTYPES_IN_COMMITS[dtype], match[3], short)


def form_of(dtype: FloatCode, quantization: Mapping[str, Any] | None) -> int:
    """A dtype and a quantisation as a number below 256; 0 stands for one that has no short name."""
    # As JSON, since Python takes 4.0 for 4 and 1 for true, which are other specs.
    said = json.dumps(quantization, sort_keys=True)
    forms = [json.dumps(SHORT[name], sort_keys=True) for name in QUANTIZATIONS_IN_COMMITS]
    place = forms.index(said) + 1 if said in forms else 0
    return DTYPES_IN_COMMITS.index(dtype) + _DTYPES_MAX * place


def split_variants(name: str, known: Container[str]) -> tuple[str, dict[str, str]] | None:
    """A repository's name as that of a preset and options for it; `None` if it has no preset.

    Options are texts by name, as a query would have them. A preset's own name may have dots.
    """
    if not _NAME.fullmatch(name):
        return None
    variants: list[str] = []
    preset = name
    while preset not in known:
        preset, dot, variant = preset.rpartition(".")
        if not dot:
            return None
        variants.append(variant)
    options: dict[str, str] = {}
    for variant in reversed(variants):
        key, dash, value = variant.partition("-")
        if variant in SHORT:
            key, value = "quantization", variant
        elif not dash:
            key, value = "dtype", _coded(variant)
        elif key == "shard":
            key = "max_shard_size"
        if key in options or not value:
            return None
        options[key] = value
    return preset, options
