"""Random integers by the definition, word by word."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import example, given
from hypothesis import strategies as st

from seedbed.errors import EngineError
from seedbed.stream import Box, draw_integers
from seedbed.stream import integers as module
from tests.strategies import untimed

SEED, NAME = 42, "fc.weight"
DOCUMENT = Path(__file__).parents[2] / "docs" / "stream.md"
SIGNS = str.maketrans({"−": "-", "⁶": "**6", "³": "3"})


def word(lane: str, index: int) -> int:
    """The 64 bits of an element in a lane, by sections 1 and 2 of docs/stream.md."""
    parts = [b"seedbed/stream", (1).to_bytes(2, "little"), SEED.to_bytes(8, "little")]
    for text in (lane, NAME):
        parts += [len(text).to_bytes(8, "little"), text.encode()]
    key = hashlib.sha256(b"".join(parts)).digest()[:16]
    block, half = divmod(index, 2)
    encryptor = Cipher(algorithms.AES128(key), modes.ECB()).encryptor()
    found = encryptor.update(block.to_bytes(16, "big"))
    return int.from_bytes(found[8 * half : 8 * half + 8], "little")


def integer(index: int, low: int, high: int, last_lane: int = 63) -> int:
    """An element, by section 3.8."""
    count = high - low
    for lane in ("values", *(f"integers.{k}" for k in range(1, last_lane + 1))):
        found = word(lane, index)
        if found < 2**64 - 2**64 % count:
            break
    return low + found % count


RANGES = st.tuples(st.integers(-(2**63), 2**63 - 1), st.integers(1, 2**64)).filter(
    lambda pair: sum(pair) <= 2**63
)


@untimed
@given(RANGES, st.integers(0, 2**60), st.integers(1, 70), st.integers(1, 3), st.integers(0, 5))
@example((0, 2**63 + 1), 0, 200, 1, 1)
@example((-(2**63), 2**64), 5, 9, 2, 3)
@example((0, 3 * 2**62), 1, 100, 2, 70)
def test_elements_by_the_definition(
    span: tuple[int, int], start: int, count: int, rows: int, stride: int
) -> None:
    """Any box of any range is what the document says, also where numbers are drawn again."""
    low, size = span
    box = Box(start, (rows, count), (count + stride, 1))
    found = draw_integers(SEED, NAME, low, size, box)
    wanted = [integer(i, low, low + size) % 2**64 for i in box.indices().tolist()]
    assert found.tolist() == wanted
    run = draw_integers(SEED, NAME, low, size, Box.run(start, count))
    assert run.tolist() == wanted[:count]


def test_vectors() -> None:
    """Those of docs/stream.md, which the reader in Node is held to by whole files."""
    section = DOCUMENT.read_text(encoding="utf-8").split("### 3.8")[1].split("\n## ")[0]
    rows = re.findall(r"^\| ([^|]*), ([^|]*) \| (.*, .*) \|$", section, re.MULTILINE)
    assert len(rows) == 4
    for *ends, listed in rows:
        low, high = (eval(end.translate(SIGNS)) for end in ends)
        found = draw_integers(SEED, NAME, low, high - low, Box.run(0, 4)).tolist()
        wanted = [int(number.translate(SIGNS)) for number in listed.split(", ")]
        assert found == [number % 2**64 for number in wanted]


def test_the_last_lane_is_taken_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing again has an end, and no number past the range is left there."""
    monkeypatch.setattr(module, "LANES", 3)
    size = 2**63 + 1
    found = draw_integers(SEED, NAME, 0, size, Box.run(0, 64)).tolist()
    wanted = [integer(i, 0, size, last_lane=2) for i in range(64)]
    assert found == wanted
    assert any(word("integers.2", i) >= size for i in range(64) if word("integers.1", i) >= size)
    assert max(found) < size


def test_no_integer_is_likelier() -> None:
    """Of three integers none is drawn further from a third of the time than chance allows."""
    found = draw_integers(SEED, NAME, 0, 3, Box.run(0, 300_000))
    counts: Any = np.bincount(found.astype(np.int64), minlength=3)
    assert ((counts - 100_000) ** 2 / 100_000).sum() < 13.8  # χ² of 2 degrees: one in a thousand


def test_words_have_an_end() -> None:
    """Elements whose words are past what can be counted are refused, not drawn from elsewhere."""
    with pytest.raises(EngineError, match="further"):
        draw_integers(SEED, NAME, 0, 2, Box.run(2**62, 1))
