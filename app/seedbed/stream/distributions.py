"""The distributions, and the definition of words → float32 in plain NumPy.

What stands here is the law: `kernels` compiles it and must agree to the byte, `docs/stream.md`
says it in prose. Every step is one IEEE 754 float32 operation or integer operation, unfused and in
the order written, so that the bytes are the same on every machine. **A line that looks improvable
must not change**: it would be another stream version.

Each draw reads one 32-bit word. `parameters` holds what the draws need, rounded once; all of it
follows from exact values (`exact`) and float64 arithmetic, which IEEE 754 fixes too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from seedbed.stream import exact

Words = NDArray[np.uint32]
Draws = NDArray[np.float32]

# Fitted by scripts/fit_stream_constants.py; highest power first. A and B are monic.
KAPPA = 0.03222132637800287
A = tuple(map(np.float32, (587.4357, 33600.734, 423429.2, 1.4636909e06, 1.3100612e06)))
B = tuple(map(np.float32, (153.23164, 4135.619, 30359.05, 71127.87, 48590.316)))
C = tuple(
    map(
        np.float32,
        (0.14581256, -0.23404393, 0.24887721, -0.28709853,
         0.3602396, -0.48092324, 0.7213528, -1.4426949),
    )
)  # fmt: skip
E = tuple(
    map(
        np.float32,
        (0.00015403498, 0.0013390735, 0.009618238, 0.055503573, 0.24022649, 0.6931472),
    )
)

SQRT_HALF_BITS = np.uint32(0x3F3504F3)
"""Bits of the float32 nearest to √½, where the mantissa's interval is cut."""

NORMAL_REACH = 6.34
"""No normal draw lies further from the mean, in standard deviations: the smallest p is 2⁻³²."""

TRUNCATED_REACH = 8.0
"""The same for a truncated normal without a far bound, whose words reach deeper into the tail."""

NEAR_EDGE_LIMIT = 4.0
"""A truncation interval must come within so many σ of the mean: the map is fitted to p ≥ 2⁻⁴⁸."""

NARROWEST = 2.0**-40
"""A truncation interval must be so many σ wide: parameters are known to 80 digits, not for ever."""

FLOAT32_MAX = float(np.finfo(np.float32).max)

FLOAT32_TINY = float(np.finfo(np.float32).tiny)
"""The least normal float32, 2⁻¹²⁶."""

LOG2_RATIO_LIMIT = 120.0
"""Largest log₂(high/low) of a log-uniform, so that 2ʸ stays a normal float32."""


class ParameterProblem(ValueError):
    """A parameter that no distribution can have: which one, and why."""

    def __init__(self, parameter: str, message: str) -> None:
        super().__init__(message)
        self.parameter = parameter
        self.message = message


class Summary(NamedTuple):
    """What is known of a distribution without drawing from it. Infinite bounds are None."""

    mean: float
    std: float
    lower: float | None
    upper: float | None
    excess_kurtosis: float | None


class UniformParameters(NamedTuple):
    """`centre + half·t`, kept within [first, last]."""

    centre: np.float32
    half: np.float32
    first: np.float32
    last: np.float32


class NormalParameters(NamedTuple):
    """Words up to `top` go to the upper side of the mean, the others to the lower.

    On each side p·2³¹ = scale·(h + ½) + offset; the draw is `centre ± spread·|t|`, kept within
    [first, last].
    """

    top: np.uint32
    upper_scale: np.float32
    upper_offset: np.float32
    lower_scale: np.float32
    lower_offset: np.float32
    centre: np.float32
    spread: np.float32
    first: np.float32
    last: np.float32


def within_float32(**values: float) -> None:
    """Refuse parameters and values that float32 cannot hold."""
    for name, value in values.items():
        if not abs(value) <= FLOAT32_MAX:
            raise ParameterProblem(name, f"{name} ({value!r}) is past float32's range")


def spread_of(m1: float, m2: float, m3: float, m4: float, width: float) -> tuple[float, float]:
    """(std, excess kurtosis) from raw moments; those of a uniform where digits would cancel."""
    variance = m2 - m1**2
    if variance < 1e-5:
        return width / math.sqrt(12), -1.2
    central4 = m4 - 4 * m1 * m3 + 6 * m1**2 * m2 - 3 * m1**4
    return math.sqrt(variance), central4 / variance**2 - 3


def interval(
    low: float, high: float, *, strict: bool, blame: str = "high"
) -> tuple[np.float32, np.float32]:
    """The least and the greatest float32 between two bounds, which may be infinite.

    Args:
        low: the lower bound.
        high: the upper bound.
        strict: whether they must differ from the bounds.
        blame: the parameter to name if that cannot be.

    Raises:
        ParameterProblem: there is no float32 between them.
    """
    with np.errstate(over="ignore"):  # a bound past float32 becomes infinite, and is then moved
        first, last = np.float32(low), np.float32(high)
    if math.isfinite(low) and (float(first) < low or (strict and float(first) == low)):
        first = np.nextafter(first, np.float32(np.inf))
    if math.isfinite(high) and (float(last) > high or (strict and float(last) == high)):
        last = np.nextafter(last, np.float32(-np.inf))
    if first > last:
        raise ParameterProblem(blame, f"no float32 lies between {low!r} and {high!r}")
    return first, last


def symmetric_odd(words: Words) -> Draws:
    """t: the top 24 bits as an odd multiple of 2⁻²⁴, in (−1, 1), never 0; exact."""
    odd = (words >> np.uint32(8)).astype(np.int32) * np.int32(2) - np.int32(0xFFFFFF)
    return odd.astype(np.float32) * np.float32(2.0**-24)


def clamp(values: Draws, first: np.float32, last: np.float32) -> Draws:
    """Values kept within [first, last].

    By comparison, not `np.minimum`, which leaves open which of two zeros it returns.
    """
    raised = np.where(values < first, first, values)
    return np.where(raised > last, last, raised)


def horner(x: Draws, coefficients: tuple[np.float32, ...]) -> Draws:
    """The polynomial with these coefficients, highest power first."""
    value = np.full_like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        value = value * x + coefficient
    return value


def half_normal(x: Draws) -> Draws:
    """|t| with κ·|t| = Φ⁻¹(1 − p/2), for x = p·2³¹ in (0, 2³¹].

    x = 2^e·m with m in [√½, √2); L = −log₂ p = (31 − e) − log₂ m; |t| = L·A(L)/B(L).
    """
    bits = x.view(np.uint32) - SQRT_HALF_BITS
    exponent = bits.view(np.int32) >> np.int32(23)
    mantissa = ((bits & np.uint32(0x7FFFFF)) + SQRT_HALF_BITS).view(np.float32)
    u = mantissa - np.float32(1.0)
    level = (np.int32(31) - exponent).astype(np.float32) + u * horner(u, C)
    numerator = level * horner(level, (np.float32(1.0), *A))
    return numerator / horner(level, (np.float32(1.0), *B))


class SignedZeros:
    """Equality under which −0.0 is not 0.0, for dataclasses of numbers.

    The two draw different zeros, so a cache must not take one for the other.
    """

    __match_args__: tuple[str, ...]

    @cached_property
    def _identity(self) -> tuple[object, ...]:
        numbers: list[float] = [getattr(self, name) for name in self.__match_args__]
        return (type(self), *numbers, *(math.copysign(1.0, number) for number in numbers))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SignedZeros) and self._identity == other._identity

    def __hash__(self) -> int:
        return hash(self._identity)


@dataclass(frozen=True, eq=False)
class Uniform(SignedZeros):
    """Uniform on the open interval (low, high)."""

    low: float
    high: float

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise ParameterProblem("high", f"high ({self.high!r}) must be above low ({self.low!r})")
        within_float32(low=self.low, high=self.high)
        interval(self.low, self.high, strict=True)

    @property
    def reach(self) -> tuple[float, float]:
        """Values that no draw passes."""
        return self.low, self.high

    @cached_property
    def parameters(self) -> UniformParameters:
        """Rounded once from float64."""
        return UniformParameters(
            np.float32(self.low / 2 + self.high / 2),
            np.float32(self.high / 2 - self.low / 2),
            *interval(self.low, self.high, strict=True),
        )

    def draw(self, words: Words) -> Draws:
        """One float32 for each word."""
        centre, half, first, last = self.parameters
        return clamp(half * symmetric_odd(words) + centre, first, last)

    def summary(self) -> Summary:
        """Moments and bounds."""
        return Summary(
            self.low / 2 + self.high / 2,
            (self.high / 2 - self.low / 2) / math.sqrt(3),
            self.low,
            self.high,
            -1.2,
        )


def held(std: float) -> float:
    """The standard deviation that draws have: float32 holds the least ones in coarse steps only."""
    spread = KAPPA * std
    return float(np.float32(spread)) / KAPPA if 0 < spread < FLOAT32_TINY else std


@dataclass(frozen=True, eq=False)
class Normal(SignedZeros):
    """Normal with this mean and standard deviation, cut by nothing but the 32 bits of a word."""

    mean: float
    std: float

    def __post_init__(self) -> None:
        if self.std < 0:
            raise ParameterProblem("std", f"std ({self.std!r}) must not be negative")
        within_float32(mean=self.mean, std=self.std * NORMAL_REACH + abs(self.mean))

    @cached_property
    def parameters(self) -> NormalParameters:
        """The general map with both sides whole."""
        one, zero, infinity = np.float32(1.0), np.float32(0.0), np.float32(np.inf)
        return NormalParameters(
            np.uint32(2**31 - 1), one, zero, one, zero,
            np.float32(self.mean), np.float32(KAPPA * self.std), -infinity, infinity,
        )  # fmt: skip

    @property
    def reach(self) -> tuple[float, float]:
        """Values that no draw passes."""
        edge = held(self.std) * NORMAL_REACH
        return self.mean - edge, self.mean + edge

    def draw(self, words: Words) -> Draws:
        """One float32 for each word."""
        return draw_normal(words, self.parameters)

    def summary(self) -> Summary:
        """Moments and bounds."""
        return Summary(self.mean, self.std, None, None, 0.0)


def draw_normal(words: Words, parameters: NormalParameters) -> Draws:
    """The two-sided normal map, of which truncation is a matter of parameters."""
    top, scale_up, offset_up, scale_down, offset_down, centre, spread, first, last = parameters
    down = words > top
    h = np.where(down, words - top - np.uint32(1), words)
    scale = np.where(down, scale_down, scale_up)
    offset = np.where(down, offset_down, offset_up)
    x = (h.astype(np.float32) + np.float32(0.5)) * scale + offset
    whole = np.float32(2.0**31)
    magnitude = half_normal(np.where(x > whole, whole, x))
    sign = down.astype(np.uint32) << np.uint32(31)
    t = (magnitude.view(np.uint32) | sign).view(np.float32)
    with np.errstate(over="ignore"):  # what passes float32's own end is clamped to the bound
        return clamp(spread * t + centre, first, last)


@dataclass(frozen=True, eq=False)
class TruncatedNormal(SignedZeros):
    """Normal cut to [mean + lower·std, mean + upper·std].

    `mean` and `std` are those of the parent, the normal before the cut; `lower` and `upper` count
    parent standard deviations and may be infinite. `summary` has the moments after the cut.
    """

    mean: float
    std: float
    lower: float = -2.0
    upper: float = 2.0

    def __post_init__(self) -> None:
        if not self.std > 0:
            raise ParameterProblem("std", f"std ({self.std!r}) must be positive")
        within_float32(mean=self.mean, std=self.std)
        if not self.lower < self.upper:
            raise ParameterProblem(
                "upper", f"upper ({self.upper!r}) must be above lower ({self.lower!r})"
            )
        if max(self.lower, -self.upper) > NEAR_EDGE_LIMIT:
            raise ParameterProblem(
                "lower" if self.lower > 0 else "upper",
                f"the interval must come within {NEAR_EDGE_LIMIT:g} standard deviations of the "
                f"mean, but is {self.lower:g}σ … {self.upper:g}σ",
            )
        if self.upper - self.lower < NARROWEST:
            raise ParameterProblem(
                "upper",
                f"the interval must be at least {NARROWEST:g} standard deviations wide, but is "
                f"{self.upper - self.lower:g}",
            )
        within_float32(**dict(zip(("lower", "upper"), self.reach, strict=True)))
        furthest = min(max(-self.lower, self.upper), TRUNCATED_REACH)
        within_float32(std=self.std * furthest)  # before the mean may bring it back
        interval(*self.bounds, strict=False, blame="upper")

    @property
    def reach(self) -> tuple[float, float]:
        """Values that no draw passes: the bounds, or as far as the bits of a word go."""
        edge = held(self.std) * TRUNCATED_REACH
        return max(self.bounds[0], self.mean - edge), min(self.bounds[1], self.mean + edge)

    @property
    def bounds(self) -> tuple[float, float]:
        """The interval's ends as values."""
        return self.mean + self.lower * self.std, self.mean + self.upper * self.std

    @cached_property
    def parameters(self) -> NormalParameters:
        """Words split between the two sides in the ratio of their probabilities.

        An interval wholly below the mean is drawn as its mirror image, with a negative spread.
        """
        lower, upper, mirror = self.lower, self.upper, 1.0
        if upper <= 0:
            lower, upper, mirror = -upper, -lower, -1.0
        far_up, far_down = exact.two_sided_tail(upper), exact.two_sided_tail(max(-lower, 0.0))
        mass_up = exact.two_sided_tail(max(lower, 0.0)) - far_up
        mass_down = 1 - far_down
        count_up = max(round(2**32 * mass_up / (mass_up + mass_down)), 1)
        count_down = max(2**32 - count_up, 1)
        return NormalParameters(
            np.uint32(count_up - 1),
            exact.to_float32(2**31 * mass_up / count_up),
            exact.to_float32(2**31 * far_up),
            exact.to_float32(2**31 * mass_down / count_down),
            exact.to_float32(2**31 * far_down),
            np.float32(self.mean),
            np.float32(KAPPA * self.std * mirror),
            *interval(*self.bounds, strict=False),
        )

    def draw(self, words: Words) -> Draws:
        """One float32 for each word."""
        return draw_normal(words, self.parameters)

    def summary(self) -> Summary:
        """Moments after the cut, and the bounds."""
        mean, std, kurtosis = exact.truncated_moments(self.lower, self.upper)
        low, high = self.bounds
        return Summary(
            self.mean + self.std * mean,
            self.std * std,
            low if math.isfinite(low) else None,
            high if math.isfinite(high) else None,
            kurtosis,
        )


@dataclass(frozen=True, eq=False)
class LogUniform(SignedZeros):
    """exp of a uniform on (ln low, ln high): every octave equally likely."""

    low: float
    high: float

    def __post_init__(self) -> None:
        if not self.low > 0:
            raise ParameterProblem("low", f"low ({self.low!r}) must be positive")
        if not self.low < self.high:
            raise ParameterProblem("high", f"high ({self.high!r}) must be above low ({self.low!r})")
        within_float32(high=self.high)
        if self.low < float(np.finfo(np.float32).tiny):
            raise ParameterProblem("low", f"low ({self.low!r}) is below float32's normal range")
        if math.log2(self.high) - math.log2(self.low) > LOG2_RATIO_LIMIT:
            raise ParameterProblem("high", f"high/low must not exceed 2**{LOG2_RATIO_LIMIT:g}")
        interval(self.low, self.high, strict=True)

    @property
    def reach(self) -> tuple[float, float]:
        """Values that no draw passes."""
        return self.low, self.high

    @cached_property
    def parameters(self) -> UniformParameters:
        """The geometric mean, and half the distance of the bounds in octaves."""
        octaves = exact.log2(self.high) - exact.log2(self.low)
        return UniformParameters(
            np.float32(math.sqrt(self.low) * math.sqrt(self.high)),
            exact.to_float32(octaves / 2),
            *interval(self.low, self.high, strict=True),
        )

    def draw(self, words: Words) -> Draws:
        """One float32 for each word: centre·2^(half·t)."""
        centre, half, first, last = self.parameters
        y = half * symmetric_odd(words)
        whole = np.rint(y)
        r = y - whole
        power = r * horner(r, E) + np.float32(1.0)
        octave = whole.astype(np.int32).view(np.uint32) << np.uint32(23)
        scaled = (power.view(np.uint32) + octave).view(np.float32)
        with np.errstate(over="ignore"):  # what passes float32's own end is clamped to the bound
            return clamp(centre * scaled, first, last)

    def summary(self) -> Summary:
        """Moments and bounds."""
        span = math.log(self.high) - math.log(self.low)

        def moment(n: int) -> float:
            """E[(X/high)ⁿ], which cannot overflow."""
            return -math.expm1(-n * span) / (n * span)

        m1, m2, m3, m4 = (moment(n) for n in range(1, 5))
        std, kurtosis = spread_of(m1, m2, m3, m4, 1 - self.low / self.high)
        return Summary(m1 * self.high, std * self.high, self.low, self.high, kurtosis)


Distribution = Uniform | Normal | TruncatedNormal | LogUniform
