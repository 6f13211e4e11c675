"""What the draws are like, on fixed seeds: nothing here passes or fails by chance from run to run.

Each check has a p-value, the probability that a perfect source would deviate as much or more. There
are fewer than two thousand checks, and each fails below `ALPHA`, so by Bonferroni's inequality a
perfect source passes all of them with a probability above 0.999. Seeds were taken as they came:
a check that fails is not mended by another seed.
"""

from __future__ import annotations

import itertools
from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from seedbed.stream import (
    AUTO,
    DTYPES,
    SEED_MAX,
    Distribution,
    Dtype,
    LogUniform,
    Normal,
    TruncatedNormal,
    Uniform,
    get_engine,
)
from tests.oracles import FLOAT_DTYPES
from tests.stream.strategies import FLOATS, INFINITY, drawn_bytes

pytestmark = pytest.mark.slow

CHECKS = 2000
ALPHA = 1e-3 / CHECKS
SIGMAS = float(stats.norm.isf(ALPHA / 2))
"""The same for a statistic that is normal by the central limit theorem: 5.0 standard errors."""

COUNT = 2**22
SEED, NAME = 2026, "encoder.layer.0.attention.weight"

ORACLES: dict[Distribution, Any] = {
    Uniform(-1.0, 1.0): stats.uniform(-1.0, 2.0),
    Uniform(-0.1, 0.3): stats.uniform(-0.1, 0.4),
    Normal(0.0, 1.0): stats.norm(0.0, 1.0),
    Normal(0.5, 0.02): stats.norm(0.5, 0.02),
    TruncatedNormal(0.0, 1.0): stats.truncnorm(-2.0, 2.0),
    TruncatedNormal(0.1, 0.05, -0.5, 3.0): stats.truncnorm(-0.5, 3.0, 0.1, 0.05),
    TruncatedNormal(0.0, 1.0, 0.0, INFINITY): stats.truncnorm(0.0, np.inf),
    TruncatedNormal(0.0, 1.0, -5.0, -3.5): stats.truncnorm(-5.0, -3.5),
    LogUniform(0.001, 0.1): stats.loguniform(0.001, 0.1),
    LogUniform(1e-6, 400.0): stats.loguniform(1e-6, 400.0),
}
"""SciPy's distribution of each that is looked at; all fit every dtype."""

NARROW = {dtype.code: FLOAT_DTYPES[dtype.code] for dtype in FLOATS if dtype.mantissa_bits}

every_distribution = pytest.mark.parametrize("distribution", ORACLES, ids=repr)
every_narrow = pytest.mark.parametrize("code", NARROW)

STANDARD = Normal(0.0, 1.0)
UNIT = Uniform(0.0, 1.0)


def drawn(
    distribution: Distribution,
    dtype: Dtype = DTYPES["F32"],
    start: int = 0,
    count: int = COUNT,
    seed: int = SEED,
    name: str = NAME,
    lane: str = "values",
) -> NDArray[Any]:
    """Draws as an array of the dtype's storage."""
    out = drawn_bytes(AUTO, distribution, dtype, start, count, seed, name, lane)
    return np.frombuffer(out, dtype.storage)


@cache
def cells(distribution: Distribution, code: str) -> tuple[NDArray[Any], ...]:
    """Patterns of a narrow dtype in ascending order, their values, and their probabilities.

    A value has the probability of the interval that is rounded to it: between the middles of it and
    its neighbours. Of the two zeros −0 has what lies below 0, and 0 the rest.
    """
    size = DTYPES[code].size_bytes
    patterns = np.arange(2 ** (8 * size - 1)).astype(DTYPES[code].storage)
    with np.errstate(invalid="ignore"):
        values = patterns.view(NARROW[code]).astype(np.float64)
    patterns, values = patterns[np.isfinite(values)], values[np.isfinite(values)]
    sign = patterns.dtype.type(1 << (8 * size - 1))
    patterns = np.concatenate([patterns[::-1] | sign, patterns])
    values = np.concatenate([-values[::-1], values])
    middles = (values[:-1] + values[1:]) / 2
    edges = np.concatenate([[-np.inf], middles, [np.inf]])
    oracle = ORACLES[distribution]
    # From the nearer end, so that small probabilities of the upper tail do not cancel.
    low = np.diff(oracle.cdf(edges))
    high = -np.diff(oracle.sf(edges))
    return patterns, values, np.where(edges[:-1] < oracle.median(), low, high)


@cache
def counts(distribution: Distribution, code: str) -> NDArray[np.int64]:
    """How often each of the patterns was drawn, in the order of `cells`."""
    patterns, _, _ = cells(distribution, code)
    drawn_patterns = drawn(distribution, DTYPES[code])
    found = np.bincount(drawn_patterns, minlength=2 ** (8 * DTYPES[code].size_bytes))
    assert found[patterns].sum() == COUNT  # and so none is an infinity or NaN
    return found[patterns]


# Moments.


def assert_moments(
    samples: NDArray[np.float64], weights: NDArray[Any] | None, exact: list[float]
) -> None:
    """Assert that the first four moments of standardised samples are these, to five errors.

    The mean of zᵏ over n samples has the variance (E z²ᵏ − (E zᵏ)²) / n, from `exact` moments
    0 … 8. For z standardised by the exact mean and deviation, k = 1 … 4 are the mean, the variance,
    the skewness and the kurtosis.
    """
    power = np.ones_like(samples)
    for k in range(1, 5):
        power *= samples
        mean = float(np.average(power, weights=weights))
        error = ((exact[2 * k] - exact[k] ** 2) / COUNT) ** 0.5
        assert abs(mean - exact[k]) < SIGMAS * error, (k, mean, exact[k], error)


def standardised_moments(oracle: Any) -> list[float]:
    """E zᵏ of a SciPy distribution, k = 0 … 8, from its moments about 0."""
    raw = [1.0, *(float(oracle.moment(k)) for k in range(1, 9))]
    mean, std = oracle.mean(), oracle.std()
    binomial = np.array([[np.prod([(k - i) / (i + 1) for i in range(j)]) for j in range(9)]
                         for k in range(9)])  # fmt: skip
    return [
        float(sum(binomial[k, j] * raw[j] * (-mean) ** (k - j) for j in range(k + 1)) / std**k)
        for k in range(9)
    ]


@every_distribution
def test_moments(distribution: Distribution) -> None:
    """Mean, variance, skewness and kurtosis are SciPy's, within their standard errors.

    Of float32; float64 is the same number, as `tests/stream/test_dtypes.py` has it.
    """
    oracle = ORACLES[distribution]
    z = (drawn(distribution).astype(np.float64) - oracle.mean()) / oracle.std()
    assert_moments(z, None, standardised_moments(oracle))


@every_narrow
@every_distribution
def test_moments_of_narrow_dtypes(distribution: Distribution, code: str) -> None:
    """In a narrow dtype they are those of SciPy's distribution rounded to its values."""
    _, values, probabilities = cells(distribution, code)
    possible = probabilities > 0
    values, probabilities = values[possible], probabilities[possible]
    mean = probabilities @ values
    z = (values - mean) / (probabilities @ (values - mean) ** 2) ** 0.5
    exact = [float(probabilities @ z**k) for k in range(9)]
    assert_moments(z, counts(distribution, code)[possible], exact)


# The whole distribution.


@every_distribution
def test_kolmogorov_smirnov(distribution: Distribution) -> None:
    """The empirical distribution function is SciPy's, by the test of Kolmogorov and Smirnov.

    Draws have steps of 2⁻²⁴ in probability, a twenty-thousandth of what the test can see here.
    """
    sample = drawn(distribution, count=2**19).astype(np.float64)
    assert stats.kstest(sample, ORACLES[distribution].cdf, method="asymp").pvalue > ALPHA


@every_narrow
@every_distribution
def test_frequencies_of_narrow_values(distribution: Distribution, code: str) -> None:
    """Each value is as frequent as the interval that is rounded to it is probable (χ²).

    Neighbours are pooled until some 20 are expected, as the test wants.
    """
    _, _, probabilities = cells(distribution, code)
    assert_frequencies(counts(distribution, code), probabilities * COUNT)


def assert_frequencies(found: NDArray[Any], expected: NDArray[np.float64]) -> None:
    """Assert by Pearson's χ² that counts are as expected, neighbours pooled to at least 20."""
    assert found.sum() == pytest.approx(expected.sum())
    assert not found[expected == 0].any()
    starts, pooled = [0], 0.0
    for place, count in enumerate(expected.tolist(), 1):
        pooled += count
        if pooled >= 20:
            starts.append(place)
            pooled = 0.0
    starts.pop()  # what is left in the end joins the last whole pool
    observed, wanted = np.add.reduceat(found, starts), np.add.reduceat(expected, starts)
    assert len(wanted) > 1
    statistic = ((observed - wanted) ** 2 / wanted).sum()
    assert stats.chi2.sf(statistic, len(wanted) - 1) > ALPHA
    assert stats.chi2.cdf(statistic, len(wanted) - 1) > ALPHA  # nor too good to be true


# Tails.


def assert_rare(found: int, expected: float) -> None:
    """Assert that a count of rare events lies within Poisson's interval."""
    assert stats.poisson.sf(found - 1, expected) > ALPHA / 2
    assert stats.poisson.cdf(found, expected) > ALPHA / 2


def tail_counts(
    distribution: Distribution, edges: tuple[float, ...], total: int
) -> dict[float, int]:
    """How many of so many draws lie beyond each edge, on its own side of 0."""
    piece = 2**17  # stays in cache
    out = np.empty(piece, np.float32)
    found = dict.fromkeys(edges, 0)
    nearest = min(map(abs, edges))
    for start in range(0, total, piece):
        get_engine().draw(SEED, NAME, distribution, DTYPES["F32"], start, memoryview(out))
        far = out[np.abs(out) > nearest]
        for edge in edges:
            found[edge] += int((far > edge).sum() if edge > 0 else (far < edge).sum())
    return found


def test_normal_tails() -> None:
    """Of 2²⁸ normal draws as many lie beyond 4.5, 5 and 5.5 σ, on either side, as should."""
    total = 2**28
    edges = tuple(sign * edge for edge in (4.5, 5.0, 5.5) for sign in (1, -1))
    found = tail_counts(STANDARD, edges, total)
    for edge, count in found.items():
        assert_rare(count, total * float(stats.norm.sf(abs(edge))))
    assert_rare(found[5.0] + found[-5.0], total * 2 * float(stats.norm.sf(5.0)))


def test_half_normal_tail() -> None:
    """Of 2²⁷ draws cut to one side twice as many lie beyond 5 and 5.5 σ."""
    total = 2**27
    found = tail_counts(TruncatedNormal(0.0, 1.0, 0.0, INFINITY), (5.0, 5.5), total)
    for edge, count in found.items():
        assert_rare(count, total * 2 * float(stats.norm.sf(edge)))


def test_ends_of_a_uniform() -> None:
    """Of 2²⁷ uniform draws as many lie within a millionth of either bound as should."""
    total = 2**27
    edge = 1 - 2.0**-20
    for count in tail_counts(Uniform(-1.0, 1.0), (edge, -edge), total).values():
        assert_rare(count, total * 2.0**-21)


def test_cut_tails_end_where_they_should() -> None:
    """Draws cut to ±2σ pass 1.999 σ as often as should be and 2 σ never."""
    total = 2**24
    found = tail_counts(TruncatedNormal(0.0, 1.0), (1.999, -1.999, 2.0, -2.0), total)
    inside = stats.norm.cdf(2.0) - stats.norm.cdf(-2.0)
    probability = float((stats.norm.sf(1.999) - stats.norm.sf(2.0)) / inside)
    assert found[2.0] == found[-2.0] == 0
    assert_rare(found[1.999], total * probability)
    assert_rare(found[-1.999], total * probability)


# Neighbours.


def assert_uncorrelated(one: NDArray[np.float64], other: NDArray[np.float64]) -> None:
    """Assert that r·√n, which is standard normal for independent samples, is within 5.0."""
    r = float(np.corrcoef(one, other)[0, 1])
    assert abs(r) * len(one) ** 0.5 < SIGMAS


LAGS = (1, 2, 3, 4, 8, 16, 64, 2**10, 2**18)
"""Within an AES block of 4 words, from block to block, and the pieces in which engines draw."""


@pytest.mark.parametrize("lag", LAGS)
def test_serial_correlation(lag: int) -> None:
    """Draws, their squares and their signs are not correlated with those so many places on."""
    z = drawn(STANDARD, count=COUNT + lag).astype(np.float64)
    for values in (z, z**2, np.sign(z)):
        assert_uncorrelated(values[:-lag], values[lag:])


@pytest.mark.parametrize("place", range(4))
@pytest.mark.parametrize("distance", [1, 2, 4, 1024])
def test_joint_uniformity_of_pairs(place: int, distance: int) -> None:
    """Pairs of uniform draws fill the square evenly, whichever word of a block comes first."""
    u = drawn(UNIT, count=COUNT + distance + 4)
    one, other = u[place:COUNT:4], u[place + distance : COUNT + distance : 4]
    square = (one * 128).astype(int) * 128 + (other * 128).astype(int)
    found = np.bincount(square, minlength=128**2)
    assert_frequencies(found, np.full(128**2, len(one) / 128**2))


def test_joint_uniformity_of_blocks() -> None:
    """The four draws of an AES block fill the hypercube evenly."""
    u = (drawn(UNIT).reshape(-1, 4) * 10).astype(int)
    found = np.bincount(u @ np.array([1000, 100, 10, 1]), minlength=10_000)
    assert_frequencies(found, np.full(10_000, COUNT / 4 / 10_000))


def test_signs_and_magnitudes_are_independent() -> None:
    """A normal draw's sign says nothing of its magnitude: each 64th is as often up as down."""
    z = drawn(STANDARD).astype(np.float64)
    slices = (stats.norm.sf(np.abs(z)) * 2 * 64).astype(int).clip(0, 63)
    found = np.bincount(slices * 2 + (z > 0), minlength=128)
    assert_frequencies(found, np.full(128, COUNT / 128))


def test_signs_run_as_coins_do() -> None:
    """Runs of equal signs are as long as those of a fair coin."""
    changes = np.flatnonzero(np.diff(np.signbit(drawn(STANDARD))))
    lengths = np.diff(changes)
    found = np.bincount(np.minimum(lengths, 24), minlength=25)[1:]
    share = 0.5 ** np.arange(1, 25)
    share[-1] *= 2  # and longer
    assert_frequencies(found, len(lengths) * share)


@pytest.mark.parametrize("first_bit", range(0, 32, 8))
def test_bits_of_words_are_even(first_bit: int) -> None:
    """Each byte of a word has all its values equally often; draws show 24 or 31 bits at most."""
    from seedbed.stream import derive_key
    from seedbed.stream.aesctr import keystream, scratch

    words = keystream(derive_key(SEED, NAME), 0, COUNT, scratch(COUNT))
    found = np.bincount(words >> np.uint32(first_bit) & np.uint32(255), minlength=256)
    assert_frequencies(found, np.full(256, COUNT / 256))


# Streams that ought to have nothing to do with each other.

STREAMS: dict[str, dict[str, Any]] = {
    "as it is": {},
    **{f"name {name}": {"name": name} for name in (
        "encoder.layer.1.attention.weight",
        "encoder.layer.2.attention.weight",
        "encoder.layer.10.attention.weight",
        "encoder.layer.0.attention.weighu",
        "encoder.layer.0.attention.Weight",
        "fncoder.layer.0.attention.weight",
        "encoder.layer.0.attention.bias",
        "",
        "\0",
    )},
    **{f"seed {seed}": {"seed": seed} for seed in (
        SEED - 1, SEED + 1, SEED + 2**8, SEED + 2**32, SEED + 2**63, 0, 1, 2, SEED_MAX
    )},
    **{f"lane {lane}": {"lane": lane} for lane in ("mask", "permutation", "value", "valuet")},
    **{f"from {start}": {"start": start} for start in (
        2**18, 2**32, 2**34, 2**40, 2**62
    )},
}  # fmt: skip
"""Names of one letter's difference, neighbouring seeds, other lanes, and places far away."""


def test_streams_are_uncorrelated() -> None:
    """Between any two streams draws, and their squares, are not correlated."""
    count = 2**18
    z = np.stack([
        drawn(STANDARD, count=count, **stream).astype(np.float64) for stream in STREAMS.values()
    ])  # fmt: skip
    for values in (z, z**2):
        r = np.corrcoef(values) * count**0.5
        for (i, one), (j, other) in itertools.combinations(enumerate(STREAMS), 2):
            assert abs(r[i, j]) < SIGMAS, (one, other)


def test_shifted_streams_are_uncorrelated() -> None:
    """Nor is one stream another's continuation: no shift by up to 2000 places correlates them."""
    count = 2**16
    base, *others = (
        drawn(STANDARD, count=count, **STREAMS[stream]).astype(np.float64)
        for stream in ("as it is", f"seed {SEED + 1}", "name encoder.layer.1.attention.weight")
    )
    for other in others:
        spectrum = np.fft.rfft(base) * np.conj(np.fft.rfft(other))
        r = np.fft.irfft(spectrum)[:2001] / count / base.std() / other.std()
        # 2001 shifts of two streams are more checks than are counted above: their own Bonferroni.
        assert np.abs(r).max() * count**0.5 < stats.norm.isf(ALPHA / 2 / 2001)


def test_streams_differ_in_every_place() -> None:
    """Two streams have equal words about as often as chance has them equal."""
    one = drawn(UNIT)
    for stream in ("seed 0", "lane mask", "name \0", f"from {2**32}"):
        equal = int((one == drawn(UNIT, **STREAMS[stream])).sum())
        assert_rare(equal, COUNT * 2.0**-24)
