from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy import stats

from seedbed.errors import ParameterError, SpecError
from seedbed.init import Limits, TensorSpec, plan
from seedbed.init.fills import drawn_between
from seedbed.init.schemes.chains import FUNCTIONS, Steps
from seedbed.stream import LogUniform, Normal, ParameterProblem, TruncatedNormal, Uniform
from tests.init.schemes.tensors import scheme_of, tensor_of
from tests.strategies import untimed

mp = mpmath.MPContext()
mp.dps = 40

UNIT = {"scheme": "uniform", "low": 0.0, "high": 1.0}


def chain(of: Any, *steps: list[Any]) -> dict[str, Any]:
    """A chain."""
    return {"scheme": "chain", "of": of, "steps": list(steps)}


CASES: dict[str, tuple[dict[str, Any], Any, Callable[[Any], Any]]] = {
    "Gumbel": (
        chain(UNIT, ["log"], ["neg"], ["log"], ["neg"]),
        stats.gumbel_r,
        lambda u: -mp.log(-mp.log(u)),
    ),
    "log-normal": (
        chain({"scheme": "normal", "mean": 0.5, "std": 0.25}, ["exp"]),
        stats.lognorm(0.25, scale=math.exp(0.5)),
        mp.exp,
    ),
    "exponential": (
        chain(UNIT, ["log"], ["mul", -0.5]),
        stats.expon(scale=0.5),
        lambda u: -mp.log(u) / 2,
    ),
    "log of a uniform": (
        chain({"scheme": "uniform", "low": 1.0, "high": 16.0}, ["log"]),
        stats.loguniform(1, 16),
        mp.log,
    ),
    "softplus inverse": (
        chain({"scheme": "log_uniform", "low": 1e-3, "high": 0.1}, ["clamp", 1e-4, None],
              ["inverse_softplus"]),
        None,
        lambda dt: dt + mp.log(-mp.expm1(-dt)),
    ),
    "Cauchy-like": (
        chain({"scheme": "truncated_normal", "lower": 1.0, "upper": None}, ["square"],
              ["add", 1.0], ["reciprocal"], ["sqrt"]),
        None,
        lambda z: 1 / mp.sqrt(1 + z * z),
    ),
    "waves": (
        chain("normal", ["mul", 3.0], ["sin"], ["abs"], ["expm1"], ["cos"]),
        None,
        lambda z: mp.cos(mp.expm1(abs(mp.sin(3 * z)))),
    ),
}  # fmt: skip
"""A chain, SciPy's distribution if it has one, and the function of the draw."""


@pytest.mark.parametrize("name", CASES)
def test_elements_are_the_function_of_draws(name: str) -> None:
    """Each element is the exact function of the float32 draw with its word, rounded to float32."""
    body, _, function = CASES[name]
    draws = tensor_of(body["of"], (300,))
    values = tensor_of(body, (300,))
    exact = [function(mp.mpf(float(draw))) for draw in draws]
    nearest = np.array([np.float64(value) for value in exact])
    ulp = np.spacing(np.abs(nearest).astype(np.float32)).astype(np.float64)
    assert (np.abs(values - nearest) <= 0.5001 * ulp + 1e-16).all()
    assert tensor_of(body, (300,), engine="auto").tobytes() == values.tobytes()


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case[1]])
def test_the_distribution_is_scipys(name: str) -> None:
    """Many elements pass a Kolmogorov–Smirnov test against SciPy's distribution."""
    body, distribution, _ = CASES[name]
    if name == "log of a uniform":
        values = np.exp(tensor_of(body, (50_000,)).astype(np.float64))
        distribution = stats.uniform(1, 15)
    else:
        values = tensor_of(body, (50_000,)).astype(np.float64)
    assert stats.kstest(values, distribution.cdf).pvalue > 1e-3


@pytest.mark.parametrize("distribution", [
    Uniform(0.0, 1.0), Uniform(-3.0, 5.0), Normal(0.5, 2.0), Normal(0.0, 0.0),
    LogUniform(1e-3, 9.0), TruncatedNormal(0.0, 1.0), TruncatedNormal(3.0, 0.5, 1.0, math.inf),
    TruncatedNormal(0.0, 1.0, -5.0, -3.5),
], ids=repr)  # fmt: skip
def test_no_word_draws_outside(distribution: Any) -> None:
    """The words at the ends of the map, and others, stay between the bounds that are reckoned."""
    low, high = drawn_between(distribution)
    edges = [0, 1, 255, 256, 2**31 - 1, 2**31, 2**31 + 256, 2**32 - 1]
    if not isinstance(distribution, Uniform | LogUniform):
        top = int(distribution.parameters[0])
        edges += [top, (top + 1) % 2**32]
    words = np.concatenate(
        [np.array(edges, np.uint32), np.random.default_rng(3).integers(0, 2**32, 10**5, np.uint32)]
    )
    draws = distribution.draw(words)
    assert low <= draws.min()
    assert draws.max() <= high


@st.composite
def sound_steps(draw: st.DrawFn) -> tuple[tuple[Any, ...], tuple[float, float]]:
    """Steps, and an interval to begin with."""
    names = st.sampled_from([*FUNCTIONS, "mul", "add", "clamp"])
    steps: list[tuple[Any, ...]] = []
    for name in draw(st.lists(names, min_size=1, max_size=6)):
        if name == "clamp":
            low = draw(st.floats(-3, 3))
            steps.append((name, low, low + draw(st.floats(0.01, 3))))
        elif name in ("mul", "add"):
            steps.append((name, draw(st.floats(-4, 4))))
        else:
            steps.append((name,))
    low = draw(st.floats(-8, 8))
    return tuple(steps), (low, low + draw(st.floats(0, 8)))


@untimed
@given(sound_steps())
def test_no_value_passes_the_reach(case: tuple[tuple[Any, ...], tuple[float, float]]) -> None:
    """What interval arithmetic admits is defined, finite and within what it says; the rest not."""
    steps, (low, high) = case
    try:
        first, last = Steps(steps).reach(low, high)
    except ParameterProblem:
        return
    values = Steps(steps).of(np.linspace(low, high, 999))
    assert np.isfinite(values).all()
    assert (values >= first).all()
    assert (values <= last).all()


@pytest.mark.parametrize(
    ("init", "path", "message"),
    [
        (chain("normal", ["log"]), ("init", "steps"), "step 0, log, is not defined for all of -6"),
        (chain("uniform", ["add", 1.0], ["reciprocal"], ["log"], ["sqrt"]), ("init", "steps"),
         "step 3, sqrt"),
        (chain("uniform", ["reciprocal"]), ("init", "steps"), "reciprocal"),
        (chain("normal", ["mul", 200.0], ["exp"]), ("init", "steps"), "exp"),
        (chain("normal", ["mul", 1e200], ["square"]), ("init", "steps"), "float64's range"),
        (chain("normal", ["exp"], ["mul", 1e38]), ("init",), "reach"),
        (chain("orthogonal", ["exp"]), ("init", "of"), "draws no numbers"),
        (chain("zeros", ["exp"]), ("init", "of"), "draws no numbers"),
        (chain({"scheme": "uniform", "low": 3.0}, ["exp"]), ("init", "of", "high"), "above low"),
    ],
)  # fmt: skip
def test_what_is_not_defined(init: dict[str, Any], path: tuple[Any, ...], message: str) -> None:
    """A step that some draw cannot take is refused at planning, with the interval."""
    tensor = TensorSpec(name="w", shape=(6, 4), init=init)
    with pytest.raises((ParameterError, SpecError), match=message) as caught:
        plan([tensor], [], "F32", Limits())
    assert caught.value.path == ("tensors", 0, *path)


@pytest.mark.parametrize(
    "steps",
    [[], "log", ["log"], [["log", 1.0]], [["mul"]], [["mul", "2"]], [["mul", True]], [["gamma"]],
     [["clamp", None, None]], [["clamp", 2, 1]], [["clamp", 1]], [[]], [["add", math.nan]],
     [["exp"]] * 17],
)  # fmt: skip
def test_what_is_no_step(steps: Any) -> None:
    """Steps are lists of a name and the numbers that it takes."""
    with pytest.raises(ValidationError):
        scheme_of({"scheme": "chain", "of": "normal", "steps": steps})
    with pytest.raises(ValidationError):
        scheme_of(chain(chain("normal", ["exp"]), ["exp"]))


def test_numbers_of_steps_have_one_spelling() -> None:
    """Whole numbers are floats, and zero has no sign."""
    one = scheme_of(chain("normal", ["mul", 2], ["add", -0.0]))
    other = scheme_of(chain("normal", ["mul", 2.0], ["add", 0]))
    assert one.spelling == other.spelling
