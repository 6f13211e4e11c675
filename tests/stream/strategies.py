"""Hypothesis strategies and word lists that the tests of this room share."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
from hypothesis import HealthCheck, reject, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from seedbed.stream import (
    DTYPES,
    NUMPY,
    SEED_MAX,
    Distribution,
    Dtype,
    FloatCode,
    LogUniform,
    Normal,
    ParameterProblem,
    TruncatedNormal,
    Uniform,
    get_engine,
    host_levels,
)
from seedbed.stream.keys import VALUES

INFINITY = float("inf")

FLOATS = tuple(DTYPES[code] for code in get_args(FloatCode))
"""Of whole checkpoints. Those of single tensors are in tests/files/test_narrow.py."""

KINDS = (Uniform, Normal, TruncatedNormal, LogUniform)

KINDS_BY_NAME: dict[str, Any] = {
    "uniform": Uniform,
    "normal": Normal,
    "truncated_normal": TruncatedNormal,
    "log_uniform": LogUniform,
}
"""As docs/stream.md and the golden vectors call them."""

COMPILED = tuple(level.name for level in host_levels())
"""The compiled engines that this machine can run."""

ENGINES = (NUMPY, *COMPILED)

untimed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""No test is timed: not by its deadline, and not by how long its data took."""

seeds = st.integers(0, SEED_MAX)

names = st.text(max_size=40)
"""Any text that UTF-8 can hold."""

float_dtypes = st.sampled_from(FLOATS)


@st.composite
def _made(draw: st.DrawFn, kind: Any, *parameters: st.SearchStrategy[float]) -> Any:
    """A distribution of this kind, where the parameters make one."""
    try:
        return kind(*(draw(parameter) for parameter in parameters))
    except ParameterProblem:
        return reject()


def _signed(highest: float) -> st.SearchStrategy[float]:
    """Numbers of any magnitude up to `highest`; every other one is 0 or a float32."""
    return st.one_of(
        st.sampled_from((0.0, -0.0, 1.0, -1.0, 0.1)),
        st.floats(-np.float32(highest), np.float32(highest), width=32),
        st.floats(-highest, highest),
    )


def uniforms(highest: float = 1e38) -> st.SearchStrategy[Uniform]:
    """Uniform distributions within ±highest."""
    pairs = st.tuples(_signed(highest), _signed(highest)).map(sorted)
    return pairs.flatmap(lambda pair: _made(Uniform, *map(st.just, pair)))


def normals(highest: float = 1e38) -> st.SearchStrategy[Normal]:
    """Normal distributions whose draws stay within ±highest, down to subnormal and zero std."""
    return _made(Normal, _signed(highest / 8), st.floats(0.0, highest / 8))


def truncated_normals(highest: float = 1e38) -> st.SearchStrategy[TruncatedNormal]:
    """Truncated normals of every form: one- and two-sided, mirrored, off centre, degenerate.

    But for intervals narrower than 1e-30 σ, which `test_intervals_too_narrow_for_80_digits` has.
    """
    made = _made(
        TruncatedNormal,
        _signed(highest / 16),
        st.floats(0.0, highest / 16, exclude_min=True),
        st.one_of(st.just(-INFINITY), st.floats(-10.0, 4.0)),
        st.one_of(st.just(INFINITY), st.floats(-4.0, 10.0)),
    )
    return made.filter(lambda distribution: distribution.upper - distribution.lower > 1e-30)


def log_uniforms(highest: float = 1e38) -> st.SearchStrategy[LogUniform]:
    """Log-uniform distributions up to `highest`."""
    bound = st.floats(2.0**-126, highest)
    pairs = st.tuples(bound, bound).map(sorted)
    return pairs.flatmap(lambda pair: _made(LogUniform, *map(st.just, pair)))


def distributions(highest: float = 1e38) -> st.SearchStrategy[Distribution]:
    """Any distribution whose draws stay within ±highest."""
    return st.one_of(
        uniforms(highest), normals(highest), truncated_normals(highest), log_uniforms(highest)
    )


@st.composite
def draws(draw: st.DrawFn) -> tuple[Distribution, Dtype]:
    """A distribution, and a dtype whose range none of its draws passes."""
    dtype = draw(float_dtypes)
    return draw(distributions(min(dtype.highest, 1e38))), dtype


def parse(text: str) -> Distribution:
    """The distribution that a text like `normal(0.5, 0.02)` means."""
    name, _, arguments = text.rstrip(")").partition("(")
    distribution: Distribution = KINDS_BY_NAME[name](*map(float, arguments.split(",")))
    return distribution


def drawn_bytes(
    engine: str,
    distribution: Distribution,
    dtype: Dtype,
    start: int,
    count: int,
    seed: int = 42,
    name: str = "fc.weight",
    lane: str = VALUES,
) -> bytes:
    """Elements `[start, start + count)` of a tensor's draws, as bytes."""
    out = bytearray(count * dtype.size_bytes)
    get_engine(engine).draw(seed, name, distribution, dtype, start, memoryview(out), lane)
    return bytes(out)


def special_words(distribution: Distribution) -> NDArray[np.uint32]:
    """Words at which something ends, wraps or changes sides, with their neighbours.

    Ends of the range, the sign bit, where float32 starts to round a word, the steps of the top
    24 bits, and where a normal map changes from the upper side to the lower.
    """
    top = int(getattr(distribution.parameters, "top", 2**31 - 1))
    centres = (0, 2**8, 2**16, 2**23, 2**24, 2**25, 2**30, 2**31, 2**31 + 2**24, 2**32 - 1)
    near = {centre + step for centre in (*centres, top, top // 2) for step in range(-3, 4)}
    return np.array(sorted(word for word in near if 0 <= word < 2**32), dtype="<u4")


def random_words(count: int, seed: int = 20) -> NDArray[np.uint32]:
    """Words from NumPy's own generator, the same at every call."""
    return np.random.default_rng(seed).integers(0, 2**32, count, dtype="<u4")
