"""Tables along an axis: positions, decay rates and poles, which follow from the index alone."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from seedbed.errors import ShapeError
from seedbed.init.fill import Fill
from seedbed.init.fills import Doubles, Indices, Pattern, moments
from seedbed.init.schemes.base import Fans, Scheme, Shape, require_rank
from seedbed.init.schemes.patterns import SAMPLED, sampled
from seedbed.stream import Summary, elementary

Rule = Callable[[Doubles, int, float], Doubles]
"""Values at positions of an axis, given its length and the scheme's number, if it has one."""


@dataclass(frozen=True)
class AlongAxis:
    """A rule along one axis, the same at every index of the others."""

    rule: Rule
    length: int
    stride: int
    number: float

    @property
    def reach(self) -> tuple[float, float]:
        """From up to `SAMPLED` positions with both ends, and with where ALiBi starts anew."""
        if not self.length:
            return 0.0, 0.0
        values = self._sample()
        return float(values.min()), float(values.max())

    def at(self, indices: Indices) -> Doubles:
        position = (indices // self.stride) % self.length
        return self.rule(position.astype(np.float64), self.length, self.number)

    def _sample(self) -> Doubles:
        count = min(self.length, SAMPLED)
        last = self.length - 1
        positions = [i * last // max(count - 1, 1) for i in range(count)]
        if self.length > count:
            positions.append(min(1 << self.length.bit_length() - 1, last))  # ALiBi's second list
        return self.rule(np.array(positions, np.float64), self.length, self.number)

    def summary(self) -> Summary:
        """Of up to `SAMPLED` positions."""
        if not self.length:
            return Summary(0.0, 0.0, 0.0, 0.0, None)
        return moments(self._sample())._replace(excess_kurtosis=None)


class Sequence(Scheme):
    """A table along the first or the last axis."""

    axis: ClassVar[Literal["first", "last"]] = "last"

    def rule(self) -> Rule:
        """The values along the axis."""
        raise NotImplementedError

    def number(self) -> float:
        """What the rule takes beside the position."""
        return 0.0

    def fill(self, shape: Shape, fans: Fans | None = None) -> Fill:
        require_rank(shape, self.scheme, 1)
        length, stride = (shape[-1], 1) if self.axis == "last" else (shape[0], math.prod(shape[1:]))
        return Pattern(AlongAxis(self.rule(), length, max(stride, 1), self.number()))


def _decay(h: Doubles, _length: int, _number: float) -> Doubles:
    return 1.0 - elementary.exp2(-5.0 - h)


class RetnetDecay(Sequence):
    """Decay of each retention head: 1 − 2^(−5−h) along the first axis."""

    scheme: Literal["retnet_decay"] = "retnet_decay"
    axis = "first"
    formula = "1 − 2^(−5−h), h the first index"
    latex = r"\gamma_h = 1 - 2^{-5-h}"
    paper = "attributed to Sun et al. 2023, Retentive Network"

    def rule(self) -> Rule:
        return _decay


def _slope(h: Doubles, heads: int, _number: float) -> Doubles:
    power = float(1 << heads.bit_length() - 1)
    own = (-8.0 * (h + 1.0)) / power
    between = (-8.0 * (2.0 * (h - power) + 1.0)) / (2.0 * power)
    return elementary.exp2(np.where(h < power, own, between))


class AlibiSlopes(Sequence):
    """ALiBi's slope of each head, along the first axis.

    For p heads, p a power of two, 2^(−8(h+1)/p); for others those of the largest such p, then
    every other one of 2p.
    """

    scheme: Literal["alibi_slopes"] = "alibi_slopes"
    axis = "first"
    formula = "2^(−8(h+1)/p) for h < p, then 2^(−8(2(h−p)+1)/2p); p the power of two ≤ heads"
    latex = r"2^{-8(h+1)/p}\ (h < p),\ 2^{-8(2(h-p)+1)/(2p)}\ (h \ge p)"
    paper = "Press, Smith, Lewis 2021, Train Short, Test Long"

    def rule(self) -> Rule:
        return _slope


def _frequency(i: Doubles, length: int, log_theta: float) -> Doubles:
    return elementary.exp(-((i / float(length)) * log_theta))


def _log(value: float) -> float:
    return float(elementary.log(np.array([value]))[0])


class RopeInvFreq(Sequence):
    """Frequencies of rotary embeddings along the last axis, half a head's width long."""

    scheme: Literal["rope_inv_freq"] = "rope_inv_freq"
    formula = "theta^(−i/n), i the last index, n its length (half a head's width)"
    latex = r"\theta^{-2i/d},\ i = 0 \dots d/2 - 1"
    paper = "Su et al. 2021, RoFormer"

    theta: float = Field(10000.0, ge=1.0, description="Base.")

    def rule(self) -> Rule:
        return _frequency

    def number(self) -> float:
        return _log(self.theta)


@dataclass(frozen=True)
class _Waves:
    """Sines and cosines of position times frequency."""

    shape: Shape
    log_base: float
    interleaved: bool

    @property
    def reach(self) -> tuple[float, float]:
        return -1.0, 1.0

    def at(self, indices: Indices) -> Doubles:
        width = self.shape[1]
        half = width // 2
        position, column = (indices // width).astype(np.float64), indices % width
        if self.interleaved:
            pair, is_sine, steps = column >> 1, column & 1 == 0, float(half)
        else:
            pair, is_sine, steps = column % half, column < half, float(half - 1)
        frequency = elementary.exp(-((pair.astype(np.float64) / steps) * self.log_base))
        angle = position * frequency
        return np.where(is_sine, elementary.sin(angle), elementary.cos(angle))

    def summary(self) -> Summary:
        """Of up to `SAMPLED` elements."""
        if not math.prod(self.shape):
            return Summary(0.0, 0.0, 0.0, 0.0, None)
        return moments(self.at(sampled(self.shape)))._replace(
            lower=-1.0, upper=1.0, excess_kurtosis=None
        )


class Sinusoidal(Scheme):
    """Sinusoidal position table (positions, width), in either of its two layouts.

    `interleaved`: sine and cosine alternate, exponents 2i/width. `concatenated` (tensor2tensor,
    fairseq): all sines, then all cosines, exponents i/(width/2 − 1).
    """

    scheme: Literal["sinusoidal"] = "sinusoidal"
    formula = "sin(p·f_i) and cos(p·f_i), f_i = base^(−2i/d) or base^(−i/(d/2 − 1))"
    latex = r"\sin(p / b^{2i/d}),\ \cos(p / b^{2i/d})"
    paper = "Vaswani et al. 2017, Attention Is All You Need (interleaved form attributed)"

    layout: Literal["interleaved", "concatenated"] = Field(
        "interleaved", description="Order of sines and cosines, with each its own exponents."
    )
    base: float = Field(10000.0, ge=1.0, description="Longest wavelength over 2π, about.")

    def fill(self, shape: Shape, fans: Fans | None = None) -> Fill:
        require_rank(shape, self.scheme, 2, 2)
        positions, width = shape
        interleaved = self.layout == "interleaved"
        least = 2 if interleaved else 4
        if positions > elementary.ANGLE_MAX or (width and (width % 2 or width < least)):
            raise ShapeError(
                f"shape {list(shape)} is no table of (positions, width): at most 2**20 positions, "
                f"an even width of at least {least}",
                ("shape",),
            )
        return Pattern(_Waves(shape, _log(self.base), interleaved))


SCHEMES = (Sinusoidal, RopeInvFreq, AlibiSlopes, RetnetDecay)
