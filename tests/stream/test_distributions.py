from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import mpmath
import numpy as np
import pytest
from hypothesis import example, given
from numpy.typing import NDArray
from scipy import special, stats

from seedbed.stream import (
    Distribution,
    LogUniform,
    Normal,
    ParameterProblem,
    TruncatedNormal,
    Uniform,
)
from seedbed.stream.distributions import (
    FLOAT32_MAX,
    KAPPA,
    A,
    B,
    C,
    E,
    half_normal,
    symmetric_odd,
)
from tests.stream import reference
from tests.stream.strategies import (
    INFINITY,
    KINDS,
    distributions,
    log_uniforms,
    normals,
    random_words,
    special_words,
    truncated_normals,
    uniforms,
    untimed,
)

NAN = float("nan")
STEPS = 2**24
"""Values that symmetric draws can tell apart: their words differ in the upper 24 bits."""

UNIFORMS = [
    Uniform(0.0, 1.0),
    Uniform(-1.0, 1.0),
    Uniform(-0.1, 0.3),
    Uniform(1.0, 1.0 + 2.0**-22),  # one float32 inside
    Uniform(0.0, 2.0**-148),  # one float32 inside, subnormal
    Uniform(-1e-40, 3e-39),  # subnormal throughout
    Uniform(16777215.0, 16777217.5),
    Uniform(-FLOAT32_MAX, FLOAT32_MAX),
    Uniform(0.7, math.nextafter(0.7, 1.0) + 1e-7),
]
LOG_UNIFORMS = [
    LogUniform(0.001, 0.1),
    LogUniform(1e-6, 1e3),
    LogUniform(1.0, 1.0 + 2.0**-22),  # one float32 inside
    LogUniform(2.0**-126, 2.0**-6),  # all the octaves allowed, from the smallest normal up
    LogUniform(1e3, 1.3e38),
]
TRUNCATED = [
    TruncatedNormal(0.0, 1.0),
    TruncatedNormal(0.1, 0.05, -0.5, 3.0),
    TruncatedNormal(0.0, 1.0, 0.0, INFINITY),
    TruncatedNormal(0.0, 1.0, -INFINITY, 0.0),
    TruncatedNormal(0.0, 1.0, -INFINITY, INFINITY),
    TruncatedNormal(0.0, 1.0, 4.0, INFINITY),
    TruncatedNormal(0.0, 1.0, -INFINITY, -4.0),
    TruncatedNormal(3.0, 2.0, -5.0, -3.5),
    TruncatedNormal(0.0, 1.0, -INFINITY, 4.0),
    TruncatedNormal(-7.0, 0.3, -1.0, INFINITY),
    TruncatedNormal(0.0, 1.0, -1e-6, 2.0),
    TruncatedNormal(0.0, 1.0, -2.0, 1e-12),  # one word in 2**32 goes up
    TruncatedNormal(0.0, 1.0, 1.0, 1.0 + 1e-6),
    TruncatedNormal(0.0, 1.0, 1.0, 1.0 + 2.0**-40),  # one float32 inside
    TruncatedNormal(1.0, 1e-30),  # the same
    TruncatedNormal(0.0, 1e-50),  # only zero inside
    TruncatedNormal(0.0, 1e-44, -1.0, 2.0),  # a dozen subnormals inside
    TruncatedNormal(0.3, 1e3, -1e-3, 2e-3),
]
NORMALS = [
    Normal(0.0, 1.0),
    Normal(0.5, 0.02),
    Normal(0.1, 0.0),
    Normal(0.0, 1e-44),
    Normal(1.0, 3e-8),
    Normal(0.0, FLOAT32_MAX / 6.34),
    Normal(-3e38, 1e36),
]
ALL = [*UNIFORMS, *NORMALS, *TRUNCATED, *LOG_UNIFORMS]


def all_steps() -> Iterator[tuple[NDArray[np.int64], NDArray[np.uint32]]]:
    """Numbers and words of all steps in order, some at a time: temporaries stay in cache."""
    for start in range(0, STEPS, 2**16):
        numbers = np.arange(start, start + 2**16)
        yield numbers, numbers.astype("<u4") << np.uint32(8)


def some_words(distribution: Distribution) -> NDArray[np.uint32]:
    """Special words, and many others."""
    return np.concatenate([special_words(distribution), random_words(200_000)])


def specification(distribution: Distribution) -> tuple[Any, Any]:
    """The reference's parameters of a distribution, and its draw of one word."""
    match distribution:
        case Uniform(low, high):
            make, draw = reference.SECTIONS["uniform"]
            return make(low, high), draw
        case LogUniform(low, high):
            make, draw = reference.SECTIONS["log_uniform"]
            return make(low, high), draw
        case Normal(mean, std):
            make, draw = reference.SECTIONS["normal"]
            return make(mean, std), draw
        case TruncatedNormal(mean, std, lower, upper):
            make, draw = reference.SECTIONS["truncated_normal"]
            return make(mean, std, lower, upper), draw
    raise AssertionError(distribution)


# The definition, against exact arithmetic


def test_constants_are_the_document_s() -> None:
    """κ and the coefficients of A, B, C and E are those printed in docs/stream.md."""
    for label, values in {"A": A, "B": B, "C": C, "E": E}.items():
        assert reference.constants(label) == tuple(Fraction(float(value)) for value in values)
    assert reference.KAPPA == KAPPA


def test_symmetric_odd_is_exact_everywhere() -> None:
    """All 2²⁴ values are the odd multiples of 2⁻²⁴ in (−1, 1), in order."""
    for numbers, words in all_steps():
        assert np.array_equal(symmetric_odd(words), (2 * numbers + 1 - STEPS) / STEPS)


def test_symmetric_odd_ignores_the_low_8_bits() -> None:
    """Words that agree in their top 24 bits give the same value."""
    words = random_words(100_000)
    assert np.array_equal(symmetric_odd(words), symmetric_odd(words | np.uint32(0xFF)))


@pytest.mark.parametrize("distribution", ALL, ids=repr)
def test_parameters_are_correctly_rounded(distribution: Distribution) -> None:
    """Parameters equal those computed in fractions and to 80 digits from docs/stream.md."""
    expected, _ = specification(distribution)
    actual = [Fraction(p.item()) if np.isfinite(p) else p.item() for p in distribution.parameters]
    if isinstance(distribution, Normal | TruncatedNormal):
        actual[0] += 1  # of words that go up, the index of the last and their count
    assert actual == list(expected)


@pytest.mark.parametrize("distribution", ALL, ids=repr)
def test_draws_equal_exact_arithmetic(distribution: Distribution) -> None:
    """Draws equal the document's, every operation done in fractions and then rounded."""
    parameters, draw = specification(distribution)
    words = np.concatenate([special_words(distribution), random_words(100)])
    expected = [draw(word, parameters) for word in words.tolist()]
    assert [Fraction(value) for value in distribution.draw(words).tolist()] == expected


@untimed
@given(distributions(highest=1e37))
@example(TruncatedNormal(0.0, 1.0, -1e-9, 1e-9))
@example(TruncatedNormal(1.0, 1.0, -4.0, INFINITY))
def test_any_distribution_equals_exact_arithmetic(distribution: Distribution) -> None:
    """Whatever the parameters, draws at the special words equal the document's."""
    parameters, draw = specification(distribution)
    words = special_words(distribution)[::5]
    expected = [draw(word, parameters) for word in words.tolist()]
    assert [Fraction(value) for value in distribution.draw(words).tolist()] == expected


def test_untruncated_is_normal() -> None:
    """A truncated normal without bounds draws what the normal does, as docs/stream.md says."""
    words = random_words(1_000_000)
    for mean, std in ((0.0, 1.0), (0.1, 0.02), (-3.0, 1e-40)):
        truncated = TruncatedNormal(mean, std, -INFINITY, INFINITY)
        assert np.array_equal(truncated.draw(words), Normal(mean, std).draw(words))
        assert truncated.parameters == Normal(mean, std).parameters


def test_a_mirrored_interval_gives_mirrored_draws() -> None:
    """An interval below the mean draws the negatives of the one above it."""
    words = random_words(100_000)
    for low, high in ((3.5, 5.0), (0.5, 0.6), (2.0, INFINITY)):
        above = TruncatedNormal(0.0, 1.0, low, high).draw(words)
        below = TruncatedNormal(0.0, 1.0, -high, -low).draw(words)
        assert np.array_equal(below, -above)


def test_upper_and_lower_words_mirror_each_other() -> None:
    """Flipping a word's sign bit negates a normal draw about 0."""
    words = random_words(100_000)
    flipped = Normal(0.0, 1.0).draw(words ^ np.uint32(2**31))
    assert np.array_equal(flipped, -Normal(0.0, 1.0).draw(words))


@pytest.mark.parametrize("kind", KINDS)
def test_no_words_no_draws(kind: Any) -> None:
    """An empty array of words gives an empty array of float32."""
    draws = kind(1.0, 2.0).draw(np.empty(0, "<u4"))
    assert (len(draws), draws.dtype) == (0, np.float32)


# Accuracy


def exact_normal(words: NDArray[np.uint32]) -> NDArray[np.float64]:
    """|Φ⁻¹| at the middle of each word's share of probability, by SciPy."""
    p = ((words & np.uint32(0x7FFFFFFF)).astype(np.float64) + 0.5) / 2.0**31
    near = math.sqrt(2) * special.erfinv(1 - p)
    return np.where(p < 0.5, -special.ndtri(p / 2), near)


WORST_WORDS = (1976224447, 1983086912)
"""Largest relative error past 0.1 and absolute error below, of all 2³¹ words of one sign."""


def dense_words() -> NDArray[np.uint32]:
    """Words of one sign: all of both ends, every magnitude between, and the worst."""
    ends = np.arange(2**16, dtype=np.uint32)
    steps = np.geomspace(1, 2**31 - 1, 400_000).astype(np.uint32)
    middle = np.linspace(0, 2**31 - 1, 400_000).astype(np.uint32)
    parts = (ends, np.uint32(2**31 - 1) - ends, steps, middle, np.array(WORST_WORDS, np.uint32))
    return np.concatenate(parts)


def test_normal_map_error() -> None:
    """Standard normal draws are within 9.5e-7, relative, of exact past 0.1; 9.5e-8 below."""
    words = dense_words()
    exact = exact_normal(words)
    error = np.abs(Normal(0.0, 1.0).draw(words).astype(np.float64) - exact)
    far = exact > 0.1
    assert (error[far] / exact[far]).max() < 9.5e-7
    assert error[~far].max() < 9.5e-8
    assert far.sum() > 100_000
    assert (~far).sum() > 10_000


def mpmath_normal(word: int) -> mpmath.mpf:
    """The same to 40 digits, by Newton's method on mpmath's erfc."""
    context = mpmath.MPContext()
    context.dps = 40
    p = (context.mpf(word & 0x7FFFFFFF) + 0.5) / 2**31
    z = context.mpf(float(exact_normal(np.array([word], np.uint32))[0]))
    for _ in range(4):
        density = context.sqrt(2 / context.pi) * context.exp(-z * z / 2)
        z += (context.erfc(z / context.sqrt(2)) - p) / density
    return z


SAMPLED = sorted({0, 1, 2, 3, 2**31 - 1, 2**31 - 2, *WORST_WORDS, *range(5, 2**31, 2**31 // 997)})


def test_normal_map_error_by_mpmath() -> None:
    """The same bounds hold against mpmath, at both ends, the worst words and a thousand others."""
    draws = Normal(0.0, 1.0).draw(np.array(SAMPLED, np.uint32))
    for word, draw in zip(SAMPLED, draws.tolist(), strict=True):
        exact = mpmath_normal(word)
        error = abs(draw - exact)
        assert error < (9.5e-7 * exact if exact > 0.1 else 9.5e-8), word


def test_scipy_and_mpmath_agree() -> None:
    """The oracle of the dense test is itself exact to 1e-14."""
    values = exact_normal(np.array(SAMPLED, np.uint32))
    for word, value in zip(SAMPLED, values.tolist(), strict=True):
        assert abs(value / mpmath_normal(word) - 1) < 1e-14 or word > 2**31 - 100, word


def test_furthest_draw() -> None:
    """Word 0 lies 6.338 standard deviations out, and no other lies further."""
    words = dense_words()
    draws = Normal(0.0, 1.0).draw(words)
    assert float(mpmath_normal(0)) == pytest.approx(6.338, abs=5e-4)
    assert draws.max() == Normal(0.0, 1.0).draw(np.zeros(1, "<u4"))[0]
    assert float(draws.max()) == pytest.approx(6.338, abs=5e-4)


def test_half_normal_by_hand() -> None:
    """G is 0 where all probability lies beyond, and κ·G is the median 0.6745 where half does."""
    x = np.array([2.0**31, 2.0**30, 2.0**31 * 0.317310507862914], np.float32)
    assert (KAPPA * half_normal(x)).tolist() == pytest.approx([0, 0.674489750196, 1], rel=1e-6)


@pytest.mark.parametrize("distribution", UNIFORMS, ids=repr)
def test_uniform_draws_lie_where_they_should(distribution: Uniform) -> None:
    """Of 2²⁴ equal slices of the interval, each draw is the middle, to two float32 units.

    And of all that a word can lead to, none is a bound or beyond it.
    """
    low, high = distribution.low, distribution.high
    unit = max(abs(low), abs(high), 2.0**-126) * 2.0**-23
    for numbers, words in all_steps():
        exact = low + (numbers + 0.5) * (high / STEPS - low / STEPS)
        draws = distribution.draw(words).astype(np.float64)
        assert np.abs(draws - exact).max() <= 2 * unit
        assert low < draws.min()
        assert draws.max() < high


@pytest.mark.parametrize("distribution", LOG_UNIFORMS, ids=repr)
def test_log_uniform_draws_lie_where_they_should(distribution: LogUniform) -> None:
    """The same on a logarithmic scale, to a few units and one for each octave from the middle."""
    low, high = distribution.low, distribution.high
    octaves = math.log2(high) - math.log2(low)
    for numbers, words in all_steps():
        draws = distribution.draw(words).astype(np.float64)
        exact = low * np.exp2((numbers[::7] + 0.5) / STEPS * octaves)
        assert np.abs(draws[::7] / exact - 1).max() < 2.0**-24 * (4 + octaves)
        assert low < draws.min()
        assert draws.max() < high


@pytest.mark.parametrize(
    "distribution",
    [
        TruncatedNormal(0.0, 1.0),
        TruncatedNormal(0.0, 1.0, -0.5, 3.0),
        TruncatedNormal(0.0, 1.0, 0.0, INFINITY),
        TruncatedNormal(0.0, 1.0, 4.0, INFINITY),
        TruncatedNormal(0.0, 1.0, -5.0, -3.5),
        TruncatedNormal(0.0, 1.0, -4.0, 4.0),
        TruncatedNormal(0.0, 1.0, -0.01, 0.01),
    ],
    ids=repr,
)
def test_truncated_draws_lie_where_they_should(distribution: TruncatedNormal) -> None:
    """Each draw is within 2e-6 of the middle of its word's share; relative past 0.1."""
    mirror = distribution.upper <= 0
    lower, upper = (
        (-distribution.upper, -distribution.lower)
        if mirror
        else (distribution.lower, distribution.upper)
    )
    outside, inside = special.erfc(np.array([upper, max(lower, 0.0)]) / math.sqrt(2))
    mass_up, mass_down = inside - outside, special.erf(max(-lower, 0.0) / math.sqrt(2))
    words = some_words(distribution)
    share = (words + 0.5) / 2**32 * (mass_up + mass_down)
    up = words <= distribution.parameters.top
    p = np.where(up, outside + share, 1 - mass_down + (share - mass_up))
    assert p.min() > 0
    z = np.where(p < 0.5, -special.ndtri(p / 2), math.sqrt(2) * special.erfinv(1 - p))
    exact = np.where(up, z, -z) * (-1 if mirror else 1)
    error = np.abs(distribution.draw(words) - exact)
    assert (error / np.maximum(np.abs(exact), 0.1)).max() < 2e-6


# Bounds


@pytest.mark.parametrize("distribution", TRUNCATED, ids=repr)
def test_truncation_holds(distribution: TruncatedNormal) -> None:
    """No draw passes the bounds, which are mean + lower·std and mean + upper·std."""
    low = distribution.mean + distribution.lower * distribution.std
    high = distribution.mean + distribution.upper * distribution.std
    draws = distribution.draw(some_words(distribution)).astype(np.float64)
    assert low <= draws.min()
    assert draws.max() <= high


@untimed
@given(uniforms())
def test_any_uniform_stays_inside(distribution: Uniform) -> None:
    """Whatever the bounds, the extreme words lead inside them."""
    draws = distribution.draw(special_words(distribution)).astype(np.float64)
    assert distribution.low < draws.min()
    assert draws.max() < distribution.high


@untimed
@given(log_uniforms())
def test_any_log_uniform_stays_inside(distribution: LogUniform) -> None:
    """Whatever the bounds, the extreme words lead inside them."""
    draws = distribution.draw(special_words(distribution)).astype(np.float64)
    assert distribution.low < draws.min()
    assert draws.max() < distribution.high


@untimed
@given(truncated_normals())
def test_any_truncation_holds(distribution: TruncatedNormal) -> None:
    """Whatever the bounds, the extreme words and those about `top` stay within them."""
    low, high = distribution.bounds
    draws = distribution.draw(special_words(distribution)).astype(np.float64)
    assert low <= draws.min()
    assert draws.max() <= high


def reached(distribution: Distribution) -> None:
    """Assert that draws stay within `reach`, or one float32 past it, by which they are rounded."""
    low, high = (np.float32(edge) for edge in distribution.reach)
    draws = distribution.draw(special_words(distribution))
    assert np.all(np.isfinite(draws))
    with np.errstate(over="ignore"):  # next to the largest float32 is infinity
        assert np.nextafter(low, np.float32(-np.inf)) <= draws.min()
        assert draws.max() <= np.nextafter(high, np.float32(np.inf))


@pytest.mark.parametrize("distribution", ALL, ids=repr)
def test_reach_bounds_the_draws(distribution: Distribution) -> None:
    """No draw at the extreme words passes `reach`, which float32 can hold."""
    reached(distribution)
    assert all(abs(edge) <= FLOAT32_MAX for edge in distribution.reach)


@untimed
@given(normals(highest=2e39))
@example(Normal(FLOAT32_MAX, 0.0))
@example(Normal(math.nextafter(FLOAT32_MAX, 0.0), 1e20))
@example(Normal(FLOAT32_MAX - 7e30, 1e30))
@example(Normal(0.0, FLOAT32_MAX / 6.3401))
@example(Normal(0.0, 6.858280182912895e-44))  # a subnormal: its rounding is a quarter of it
def test_normal_reach_at_the_limit(distribution: Normal) -> None:
    """Whatever mean and std are allowed, up to the limit of float32, draws are finite."""
    reached(distribution)


@untimed
@given(truncated_normals())
@example(TruncatedNormal(0.0, 1.0, 4.0, INFINITY))
@example(TruncatedNormal(1.0, 1.0, -INFINITY, -4.0))
def test_truncated_reach(distribution: TruncatedNormal) -> None:
    """With or without a far bound, draws at the extreme words stay within reach."""
    reached(distribution)


def test_reach_is_not_far_off() -> None:
    """`reach` is no more than 0.01σ past a normal's furthest draw, 0.25σ past a truncated one's."""
    low, high = Normal(0.0, 1.0).reach
    draws = Normal(0.0, 1.0).draw(np.array([0, 2**31], "<u4"))
    assert [low, high] == pytest.approx([draws[1], draws[0]], abs=0.01)
    tail = TruncatedNormal(0.0, 1.0, 4.0, INFINITY)
    assert tail.reach[0] == 4.0
    assert 0 < tail.reach[1] - tail.draw(np.zeros(1, "<u4"))[0] < 0.25


def test_degenerate_distributions_draw_their_one_value() -> None:
    """Where one float32 lies between the bounds, or std is 0, all words give it."""
    cases = {
        Uniform(1.0, 1.0 + 2.0**-22): np.float32(1.0 + 2.0**-23),
        Uniform(0.0, 2.0**-148): np.float32(2.0**-149),
        LogUniform(1.0, 1.0 + 2.0**-22): np.float32(1.0 + 2.0**-23),
        TruncatedNormal(0.0, 1.0, 1.0, 1.0 + 2.0**-40): np.float32(1.0),
        TruncatedNormal(1.0, 1e-30): np.float32(1.0),
        TruncatedNormal(0.0, 1e-50): np.float32(0.0),
        Normal(0.1, 0.0): np.float32(0.1),
    }
    for distribution, value in cases.items():
        assert set(distribution.draw(some_words(distribution)).tolist()) == {float(value)}


@pytest.mark.parametrize(
    "distribution",
    [
        TruncatedNormal(0.0, FLOAT32_MAX / 2, -2.0, 2.0),
        LogUniform(FLOAT32_MAX / 1.3, FLOAT32_MAX),
    ],
    ids=repr,
)
def test_bounds_at_float32_s_limit_draw_without_warning(distribution: Distribution) -> None:
    """Bounds that are the largest float32 itself are drawn up to, without a warning."""
    assert np.isfinite(distribution.draw(special_words(distribution))).all()
    for _, words in all_steps():
        assert np.isfinite(distribution.draw(words)).all()


# Refusals


@pytest.mark.parametrize(
    ("kind", "arguments", "parameter"),
    [
        (Uniform, (1.0, 1.0), "high"),
        (Uniform, (2.0, 1.0), "high"),
        (Uniform, (0.0, NAN), "high"),
        (Uniform, (-INFINITY, 0.0), "low"),
        (Uniform, (-1e39, 0.0), "low"),
        (Uniform, (0.0, INFINITY), "high"),
        (Uniform, (0.0, 1e39), "high"),
        (Uniform, (1.0, math.nextafter(1.0, 2.0)), "high"),
        (Uniform, (1.0, 1.0 + 2.0**-23), "high"),
        (Uniform, (0.0, 2.0**-149), "high"),
        (Normal, (0.0, -1.0), "std"),
        (Normal, (0.0, -5e-324), "std"),
        (Normal, (0.0, NAN), "std"),
        (Normal, (0.0, INFINITY), "std"),
        (Normal, (NAN, 1.0), "mean"),
        (Normal, (INFINITY, 1.0), "mean"),
        (Normal, (-1e39, 0.0), "mean"),
        (Normal, (0.0, FLOAT32_MAX / 6.33), "std"),
        (Normal, (FLOAT32_MAX, 1e31), "std"),
        (TruncatedNormal, (0.0, 0.0), "std"),
        (TruncatedNormal, (0.0, -1.0), "std"),
        (TruncatedNormal, (0.0, NAN), "std"),
        (TruncatedNormal, (0.0, INFINITY), "std"),
        (TruncatedNormal, (0.0, 1e39, -1e-9, 1e-9), "std"),
        (TruncatedNormal, (NAN, 1.0), "mean"),
        (TruncatedNormal, (1e39, 1.0), "mean"),
        (TruncatedNormal, (0.0, 1.0, 1.0, 1.0), "upper"),
        (TruncatedNormal, (0.0, 1.0, 2.0, -2.0), "upper"),
        (TruncatedNormal, (0.0, 1.0, -2.0, NAN), "upper"),
        (TruncatedNormal, (0.0, 1.0, INFINITY, INFINITY), "upper"),
        (TruncatedNormal, (0.0, 1.0, -INFINITY, -INFINITY), "upper"),
        (TruncatedNormal, (0.0, 1.0, math.nextafter(4.0, 5.0), 9.0), "lower"),
        (TruncatedNormal, (0.0, 1.0, -9.0, math.nextafter(-4.0, -5.0)), "upper"),
        (TruncatedNormal, (0.1, 1e-12), "upper"),
        (TruncatedNormal, (0.0, 1.0, 1.0, math.nextafter(1.0, 2.0)), "upper"),
        (TruncatedNormal, (0.0, 1.0, 0.0, 5e-324), "upper"),
        (TruncatedNormal, (0.0, 1.0, -1e-90, 1e-90), "upper"),
        (TruncatedNormal, (-FLOAT32_MAX, FLOAT32_MAX, 0.0, 1.9), "std"),
        (TruncatedNormal, (0.0, 1e38, -INFINITY, 2.0), "lower"),
        (TruncatedNormal, (0.0, 1e38, -2.0, INFINITY), "upper"),
        (LogUniform, (0.0, 1.0), "low"),
        (LogUniform, (-0.0, 1.0), "low"),
        (LogUniform, (-1.0, 1.0), "low"),
        (LogUniform, (NAN, 1.0), "low"),
        (LogUniform, (math.nextafter(2.0**-126, 0.0), 1.0), "low"),
        (LogUniform, (1.0, 1.0), "high"),
        (LogUniform, (2.0, 1.0), "high"),
        (LogUniform, (1.0, NAN), "high"),
        (LogUniform, (1.0, INFINITY), "high"),
        (LogUniform, (1.0, 1e39), "high"),
        (LogUniform, (1.0, 1.0 + 2.0**-23), "high"),
        (LogUniform, (1e-18, 2e18), "high"),
    ],
)
def test_refusals_name_the_parameter(
    kind: Any, arguments: tuple[float, ...], parameter: str
) -> None:
    """What no distribution can have is refused, and the error says which parameter and why."""
    with pytest.raises(ParameterProblem) as caught:
        kind(*arguments)
    assert caught.value.parameter == parameter
    assert str(caught.value) == caught.value.message
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    ("lower", "upper", "parameter"),
    [(-2.0, 1.0, "lower"), (-1.0, 2.0, "upper"), (0.0, 2.0, "upper")],
)
def test_bounds_past_float32_are_refused(lower: float, upper: float, parameter: str) -> None:
    """A finite bound that float32 cannot hold is refused by its name."""
    with pytest.raises(ParameterProblem) as caught:
        TruncatedNormal(0.0, 3e38, lower, upper)
    assert caught.value.parameter == parameter


@pytest.mark.parametrize(
    "distribution",
    [
        LogUniform(2.0**-120, 1.0),
        LogUniform(2.0**-126, 2.0**-6),
        TruncatedNormal(0.0, 1.0, 4.0, 4.1),
        TruncatedNormal(0.0, 1.0, -4.1, -4.0),
        Normal(0.0, FLOAT32_MAX / 6.3401),
        Normal(FLOAT32_MAX, 0.0),
        Uniform(-FLOAT32_MAX, FLOAT32_MAX),
        Uniform(0.0, 2.0**-148),
    ],
    ids=repr,
)
def test_limits_themselves_are_accepted(distribution: Distribution) -> None:
    """Parameters at their limit make a distribution whose draws are finite."""
    assert np.isfinite(distribution.draw(special_words(distribution))).all()


# Summaries


def assert_summary(distribution: Distribution, oracle: Any, kurtosis_tolerance: float) -> None:
    """Assert that `summary` has the moments and bounds of a SciPy distribution."""
    summary = distribution.summary()
    mean, variance, kurtosis = oracle.stats(moments="mvk")
    std = math.sqrt(variance)
    assert summary.mean == pytest.approx(mean, rel=1e-9, abs=1e-6 * std)
    assert summary.std == pytest.approx(std, rel=1e-4)
    assert summary.excess_kurtosis == pytest.approx(kurtosis, abs=kurtosis_tolerance)
    low, high = oracle.support()
    assert summary.lower == (None if math.isinf(low) else pytest.approx(low, rel=1e-12))
    assert summary.upper == (None if math.isinf(high) else pytest.approx(high, rel=1e-12))


@pytest.mark.parametrize(("low", "high"), [(-1, 1), (0, 1), (-0.1, 0.3), (5, 5.001), (-3e38, 3e38)])
def test_uniform_summary(low: float, high: float) -> None:
    """Moments and bounds of a uniform are SciPy's, without overflow at the limit."""
    if high > 1e38:  # where SciPy's variance overflows
        summary = Uniform(low, high).summary()
        assert summary == (0.0, pytest.approx(3e38 / math.sqrt(3)), low, high, -1.2)
    else:
        assert_summary(Uniform(low, high), stats.uniform(low, high - low), 1e-12)


@pytest.mark.parametrize(("mean", "std"), [(0.0, 1.0), (-3.0, 0.02), (1e-3, 1e-30)])
def test_normal_summary(mean: float, std: float) -> None:
    """Moments of a normal are its parameters; it has no bounds."""
    assert_summary(Normal(mean, std), stats.norm(mean, std), 1e-12)


def test_constant_normal_summary() -> None:
    """A normal without spread has std 0."""
    assert Normal(0.5, 0.0).summary()[:2] == (0.5, 0.0)


EDGES = [-INFINITY, -8.0, -4.0, -2.0, -1.0, -0.3, 0.0, 0.1, 1.0, 2.5, 4.0, 6.0, INFINITY]
INTERVALS = [
    (lower, upper)
    for lower in EDGES
    for upper in EDGES
    if lower < upper and lower <= 4 and upper >= -4
]


@pytest.mark.parametrize(("lower", "upper"), INTERVALS)
def test_truncated_summary(lower: float, upper: float) -> None:
    """Moments and bounds after the cut are SciPy's, for any interval and parent."""
    for mean, std in ((0.0, 1.0), (0.1, 0.02), (-50.0, 3.0)):
        distribution = TruncatedNormal(mean, std, lower, upper)
        assert_summary(distribution, stats.truncnorm(lower, upper, mean, std), 1e-6)


def truncated_moments(lower: float, width: float) -> tuple[float, float, float]:
    """Mean past the middle in widths, std in widths, kurtosis; by mpmath's quadrature."""
    context = mpmath.MPContext()
    context.dps = 30
    middle = context.mpf(lower) + context.mpf(width) / 2

    def density(x: mpmath.mpf) -> mpmath.mpf:
        return context.exp(-x * width * (middle + x * width / 2))

    def moment(n: int, centre: mpmath.mpf) -> mpmath.mpf:
        half = context.mpf(1) / 2
        return context.quad(lambda x: (x - centre) ** n * density(x), [-half, 0, half])

    mass = moment(0, context.mpf(0))
    mean = moment(1, context.mpf(0)) / mass
    variance = moment(2, mean) / mass
    kurtosis = moment(4, mean) / mass / variance**2 - 3
    return float(mean), float(context.sqrt(variance)), float(kurtosis)


NARROW = [
    (lower, width)
    for lower in (-3.0, -0.25, 0.0, 1.0, 2.0, 3.5, 4.0)
    for width in (
        2.0**-39,
        2.0**-30,
        2.0**-17,
        2.0**-14,
        2.0**-10,
        0.005,
        0.01,
        0.0109,
        0.012,
        0.05,
        0.5,
    )
]


@pytest.mark.parametrize(("lower", "width"), NARROW)
def test_narrow_truncated_summary(lower: float, width: float) -> None:
    """Moments of ever narrower intervals stay right, where the formulas' digits cancel."""
    upper = lower + width
    width = upper - lower
    mean, std, kurtosis = truncated_moments(lower, width)
    summary = TruncatedNormal(0.0, 1.0, lower, upper).summary()
    assert (summary.mean - (lower + upper) / 2) / width == pytest.approx(mean, abs=1e-4)
    assert summary.std / width == pytest.approx(std, rel=1e-4)
    assert summary.excess_kurtosis == pytest.approx(kurtosis, abs=0.02)


RATIOS = [1.0001, 1.001, 1.005, 1.01, 1.0109, 1.012, 1.1, 2.0, 10.0, 1e3, 1e9, 1e30]


@pytest.mark.parametrize("low", [1e-30, 1e-3, 1.0, 200.0])
@pytest.mark.parametrize("ratio", RATIOS)
def test_log_uniform_summary(low: float, ratio: float) -> None:
    """Moments and bounds of a log-uniform are those of integrals over its logarithm."""
    high = low * ratio
    context = mpmath.MPContext()
    context.dps = 60
    span = context.log(high) - context.log(low)

    def moment(n: int) -> mpmath.mpf:
        return (context.mpf(high) ** n - context.mpf(low) ** n) / (n * span)

    m1, m2, m3, m4 = (moment(n) for n in range(1, 5))
    variance = m2 - m1**2
    kurtosis = (m4 - 4 * m1 * m3 + 6 * m1**2 * m2 - 3 * m1**4) / variance**2 - 3
    summary = LogUniform(low, high).summary()
    assert summary.mean == pytest.approx(float(m1), rel=1e-9)
    assert summary.std == pytest.approx(float(context.sqrt(variance)), rel=1e-4)
    assert summary.excess_kurtosis == pytest.approx(float(kurtosis), rel=1e-4, abs=1e-3)
    assert (summary.lower, summary.upper) == (low, high)


@pytest.mark.parametrize(("low", "high"), [(1e-3, 0.1), (1e-6, 1e3), (1.0, 2.0)])
def test_log_uniform_summary_equals_scipy(low: float, high: float) -> None:
    """Moments and bounds of a log-uniform are SciPy's."""
    assert_summary(LogUniform(low, high), stats.loguniform(low, high), 1e-6)
