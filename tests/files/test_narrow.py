"""Dtypes that are apart: less than a byte, without a zero or its sign, of pairs."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors import deserialize

from seedbed.errors import SpecError
from seedbed.files import CheckpointSpec, VirtualFile
from seedbed.stream import derive_key, get_engine, keystream, scratch
from seedbed.stream.distributions import Uniform
from tests.oracles import APART, positive
from tests.strategies import untimed


def file_of(code: str, shape: list[int], init: Any, engine: str = "auto") -> VirtualFile:
    """A file of one tensor."""
    tensor = {"name": "w", "shape": shape, "dtype": code, "init": init}
    spec = CheckpointSpec.model_validate({"seed": 9, "tensors": [tensor]})
    return VirtualFile(spec, engine=get_engine(engine))


def codes_of(data: bytes, bits: int) -> list[int]:
    """Numbers of so many bits each, the first in the lowest bits of the first byte."""
    whole = int.from_bytes(data, "little")
    return [whole >> start & (1 << bits) - 1 for start in range(0, 8 * len(data), bits)]


def draws(low: float, high: float, count: int) -> Any:
    """What is drawn for these files."""
    words = keystream(derive_key(9, "w"), 0, count, scratch(count))
    return Uniform(low, high).draw(words)


@pytest.mark.parametrize("code", APART)
@pytest.mark.parametrize("engine", ["numpy", "auto"])
def test_draws_are_rounded_as_by_ml_dtypes(code: str, engine: str) -> None:
    """Every element is the draw as ml_dtypes rounds it, and safetensors takes the file."""
    low, high = (0.001, 4.0) if positive(code) else (-4.0, 4.0)
    file = file_of(code, [50, 24], {"scheme": "uniform", "low": low, "high": high}, engine)
    ((name, view),) = deserialize(bytes(file.read(0, file.size)))
    assert (name, view["dtype"], view["shape"]) == ("w", code, [50, 24])
    expected = draws(low, high, 1200).astype(APART[code]).view(np.uint8)
    assert codes_of(bytes(view["data"]), ml_dtypes.finfo(APART[code]).bits) == expected.tolist()


def test_pairs_of_draws() -> None:
    """A complex element is two draws one after the other; a constant is real."""
    file = file_of("C64", [5, 3], "uniform")
    ((_, view),) = deserialize(bytes(file.read(0, file.size)))
    assert np.array_equal(np.frombuffer(view["data"], "<f4"), draws(-1.0, 1.0, 30))
    file = file_of("C64", [2], {"scheme": "constant", "value": 2.5})
    ((_, view),) = deserialize(bytes(file.read(0, file.size)))
    assert np.frombuffer(view["data"], "<c8").tolist() == [2.5, 2.5]
    with pytest.raises(SpecError, match="pairs of independent draws"):
        file_of("C64", [4, 4], "orthogonal")


@untimed
@given(st.sampled_from(sorted((*APART, "C64"))), st.integers(0, 600), st.integers(0, 600))
def test_any_range_is_that_of_the_whole(code: str, start: int, stop: int) -> None:
    """Bytes from anywhere, between the elements of a byte too."""
    init = {"scheme": "uniform", "low": 0.5, "high": 2.0}
    file = file_of(code, [7, 8], init)
    assert file.read(start, stop) == file.read(0, file.size)[start:stop]


@pytest.mark.parametrize(("code", "shape"), [("F4", [3]), ("F6_E2M3", [2, 3]), ("F6_E3M2", [])])
def test_what_fills_no_bytes_is_refused(code: str, shape: list[int]) -> None:
    """As safetensors itself refuses it, with the number that would do."""
    with pytest.raises(SpecError, match="multiples of") as refused:
        file_of(code, shape, "zeros")
    assert refused.value.path == ("tensors", 0, "dtype")


def test_what_they_lack_is_refused() -> None:
    """No zero in E8M0, no NaN in four bits, no infinity in either."""
    for code, init in (
        ("F8_E8M0", "zeros"),
        ("F8_E8M0", "normal"),
        ("F4", {"scheme": "constant", "value": "NaN"}),
        ("F4", {"scheme": "constant", "value": "Infinity"}),
        ("F4", "normal"),
    ):
        with pytest.raises(SpecError):
            file_of(code, [8], init)
    nan = file_of("F8_E4M3FNUZ", [1], {"scheme": "constant", "value": "NaN"})
    assert nan.read(nan.size - 1, nan.size) == b"\x80"
