"""State-space models: HiPPO's matrices and the poles of S4D and Mamba, all closed forms."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from seedbed.errors import ShapeError
from seedbed.init.fill import Fill
from seedbed.init.fills import Doubles, Indices, Pattern, moments
from seedbed.init.schemes.base import Fans, Scheme, Shape, named, noted, require_rank
from seedbed.init.schemes.patterns import sampled
from seedbed.init.schemes.sequences import AlongAxis, Rule, Sequence
from seedbed.stream import Summary, elementary


@dataclass(frozen=True)
class _Hippo:
    """√((2i+1)(2j+1)) times a factor below, on and above the diagonal."""

    shape: Shape
    kind: Literal["legs", "legt", "normal"]

    @property
    def reach(self) -> tuple[float, float]:
        rows, columns = self.shape
        bound = math.sqrt((2.0 * max(rows, 1) - 1.0) * (2.0 * max(columns, 1) - 1.0))
        return -bound, bound

    def at(self, indices: Indices) -> Doubles:
        i, j = indices // self.shape[1], indices % self.shape[1]
        n, k = i.astype(np.float64), j.astype(np.float64)
        root = np.sqrt((2.0 * n + 1.0) * (2.0 * k + 1.0))
        if self.kind == "legs":
            return np.where(i > j, -root, np.where(i == j, -(n + 1.0), 0.0))
        if self.kind == "normal":
            half = 0.5 * root
            return np.where(i > j, -half, np.where(i == j, -0.5, half))
        return np.where((i < j) & ((i ^ j) & 1 == 1), root, -root)

    def summary(self) -> Summary:
        """Of up to `SAMPLED` elements, the bounds of all."""
        if not math.prod(self.shape):
            return Summary(0.0, 0.0, 0.0, 0.0, None)
        low, high = self.reach
        return moments(self.at(sampled(self.shape)))._replace(
            lower=low, upper=high, excess_kurtosis=None
        )


class _HippoScheme(Scheme):
    """State matrices of HiPPO."""

    paper = (
        "Gu, Dao, Ermon, Rudra, Ré 2020, HiPPO: Recurrent Memory with Optimal Polynomial "
        "Projections"
    )


class HippoLegs(_HippoScheme):
    """State matrix A of HiPPO-LegS."""

    scheme: Literal["hippo_legs"] = "hippo_legs"
    formula = "−√((2n+1)(2k+1)) if n > k, −(n+1) if n = k, else 0"
    latex = r"A_{nk} = -\sqrt{(2n+1)(2k+1)}\ (n > k),\ -(n+1)\ (n = k),\ 0\ (n < k)"

    def fill(self, shape: Shape, fans: Fans | None = None) -> Fill:
        require_rank(shape, self.scheme, 2, 2)
        return Pattern(_Hippo(shape, "legs"))


class HippoLegt(_HippoScheme):
    """State matrix A of HiPPO-LegT."""

    scheme: Literal["hippo_legt"] = "hippo_legt"
    formula = "−√((2n+1)(2k+1))·(1 if k ≤ n, else (−1)^(n−k))"
    latex = r"A_{nk} = -\sqrt{(2n+1)(2k+1)} \cdot (1\ (k \le n),\ (-1)^{n-k}\ (k > n))"
    notes = noted(s4="Some versions of S4 halve A and B.")

    def fill(self, shape: Shape, fans: Fans | None = None) -> Fill:
        require_rank(shape, self.scheme, 2, 2)
        return Pattern(_Hippo(shape, "legt"))


class HippoNormal(_HippoScheme):
    """Normal part S = A + PPᵀ of HiPPO-LegS, P_n = √(n + ½): −½ plus a skew-symmetric matrix."""

    scheme: Literal["hippo_normal"] = "hippo_normal"
    formula = "∓½√((2n+1)(2k+1)) for n ≷ k, −½ on the diagonal"
    latex = (
        r"S_{nk} = \mp \tfrac{1}{2} \sqrt{(2n+1)(2k+1)}\ (n \gtrless k),\ -\tfrac{1}{2}\ (n = k)"
    )
    paper = "Gu, Goel, Ré 2021, Efficiently Modeling Long Sequences with Structured State Spaces"

    def fill(self, shape: Shape, fans: Fans | None = None) -> Fill:
        require_rank(shape, self.scheme, 2, 2)
        return Pattern(_Hippo(shape, "normal"))


def _log_of_next(n: Doubles, _length: int, _number: float) -> Doubles:
    return elementary.log(n + 1.0)


class MambaALog(Sequence):
    """Mamba's A_log: ln(n + 1) along the last axis, A = −exp(A_log) (S4D-Real)."""

    scheme: Literal["mamba_A_log"] = "mamba_A_log"
    aliases = named("mamba2_A_log")
    formula = "ln(n + 1), n the last index"
    latex = r"\ln(n + 1)"
    paper = "Gu, Dao 2023, Mamba: Linear-Time Sequence Modeling with Selective State Spaces"
    notes = noted(mamba2="As the transformers library has it; the original is said to draw A.")

    def rule(self) -> Rule:
        return _log_of_next


_S4D = (
    "Gu, Gupta, Goel, Ré 2022, On the Parameterization and Initialization of Diagonal State "
    "Space Models"
)


def _minus_next(n: Doubles, _length: int, _number: float) -> Doubles:
    return -(n + 1.0)


class S4dReal(Sequence):
    """Poles of S4D-Real: −(n + 1) along the last axis."""

    scheme: Literal["s4d_real"] = "s4d_real"
    formula = "−(n + 1), n the last index"
    latex = r"A_n = -(n + 1)"
    paper = _S4D

    def rule(self) -> Rule:
        return _minus_next


def _pi_times(n: Doubles, _length: int, _number: float) -> Doubles:
    return elementary.PI * n


class S4dLin(Sequence):
    """Imaginary parts of S4D-Lin's poles, πn along the last axis; the real parts are −½."""

    scheme: Literal["s4d_lin"] = "s4d_lin"
    formula = "πn, n the last index"
    latex = r"\operatorname{Im} A_n = \pi n"
    paper = _S4D
    notes = noted(s4="log_A_real is the constant ln ½ = −0.6931471805599453.")

    def rule(self) -> Rule:
        return _pi_times


def _inverse_pole(n: Doubles, length: int, _number: float) -> Doubles:
    states = 2.0 * length
    return (states / elementary.PI) * (states / (2.0 * n + 1.0) - 1.0)


class S4dInv(Sequence):
    """Imaginary parts of S4D-Inv's poles; the last axis has one of each pair, N/2 of N states."""

    scheme: Literal["s4d_inv"] = "s4d_inv"
    formula = "(N/π)·(N/(2n + 1) − 1), n the last index, N twice its length"
    latex = r"\operatorname{Im} A_n = \frac{N}{\pi} \left( \frac{N}{2n + 1} - 1 \right)"
    paper = f"attributed to {_S4D}"

    def rule(self) -> Rule:
        return _inverse_pole


LEGS_LENGTH_MAX = 256
"""Of an axis of S4D-LegS; its poles take time that grows with the square."""

_HALVINGS = 80


def _half_turns(omega: Doubles, states: int) -> NDArray[np.int64]:
    """How often Π (1 + 2iω/(2n+1)) crosses the imaginary axis; each factor turns by < π/2."""
    x, y = np.ones_like(omega), np.zeros_like(omega)
    count = np.zeros(omega.shape, np.int64)
    for n in range(states):
        turn = (2.0 * omega) / (2.0 * n + 1.0)
        turned_x, turned_y = x - turn * y, y + turn * x
        count += (turned_x < 0.0) != (x < 0.0)
        size = np.abs(turned_x) + np.abs(turned_y)
        x, y = turned_x / size, turned_y / size
    return count


@lru_cache(maxsize=LEGS_LENGTH_MAX)
def _legs_poles(length: int) -> Doubles:
    """Positive imaginary parts of the eigenvalues of HiPPO-LegS' normal part, ascending.

    From (S − λ)x = 0 neighbouring rows leave x a product of fractions, and the outer ones the
    condition Σ atan(2ω/(2n+1)) = (j − ½)π for the j-th: bisection of a count, no eigensolver.
    """
    states = 2 * length
    low, high = np.zeros(length), np.full(length, float(states * states))
    wanted = np.arange(1, length + 1)
    for _ in range(_HALVINGS):
        middle = (low + high) * 0.5
        past = _half_turns(middle, states) >= wanted
        low, high = np.where(past, low, middle), np.where(past, middle, high)
    high.flags.writeable = False
    return high


def _legs_pole(n: Doubles, length: int, _number: float) -> Doubles:
    return _legs_poles(length)[n.astype(np.int64)]


@dataclass(frozen=True)
class _LegsPoles(AlongAxis):
    """Poles whose bounds a plan knows without computing them."""

    @property
    def reach(self) -> tuple[float, float]:
        """The largest is below N²/π, and ½√3 for the least N."""
        states = 2.0 * self.length
        return 0.0, states * states / 3.0 + 1.0


class S4dLegs(Sequence):
    """Imaginary parts of S4D-LegS' poles, the eigenvalues of HiPPO-LegS' normal part.

    The last axis has one of each pair, N/2 of N states, ascending; the real parts are −½.
    """

    scheme: Literal["s4d_legs"] = "s4d_legs"
    aliases = named("hippo_legs_diag", "hippo_normal_diag")
    formula = "ω with Σ_k atan(2ω/(2k + 1)) = (n + ½)π, k < N, n the last index, N twice its length"
    latex = r"\sum_{k<N} \arctan \frac{2 \omega_n}{2k + 1} = (n + \tfrac{1}{2}) \pi"
    paper = _S4D

    def rule(self) -> Rule:
        return _legs_pole

    def fill(self, shape: Shape, fans: Fans | None = None) -> Fill:
        require_rank(shape, self.scheme, 1)
        if shape[-1] > LEGS_LENGTH_MAX:
            raise ShapeError(
                f"{shape[-1]} pairs of poles are more than the {LEGS_LENGTH_MAX} that s4d_legs has",
                ("shape",),
            )
        return Pattern(_LegsPoles(_legs_pole, shape[-1], 1, 0.0))


def _root(n: Doubles, _length: int, _number: float) -> Doubles:
    return np.sqrt(2.0 * n + 1.0)


class HippoB(Sequence):
    """Input vector B of HiPPO-LegS and LegT: √(2n + 1) along the first axis."""

    scheme: Literal["hippo_B"] = "hippo_B"
    axis = "first"
    formula = "√(2n + 1), n the first index"
    latex = r"B_n = \sqrt{2n + 1}"
    paper = (
        "Gu, Dao, Ermon, Rudra, Ré 2020, HiPPO: Recurrent Memory with Optimal Polynomial "
        "Projections"
    )

    def rule(self) -> Rule:
        return _root


SCHEMES = (
    HippoLegs,
    HippoLegt,
    HippoNormal,
    HippoB,
    S4dReal,
    S4dLin,
    S4dInv,
    S4dLegs,
    MambaALog,
)
