"""Fit the constants of stream version 1: of the normal map and of 2**r.

Development only; needs SciPy. The output was pasted once into `app/stream/distributions.py`
and `docs/stream.md`, and is frozen there: this script is kept to say where the numbers came
from, not to be run again.

Three functions are fitted, each to the smallest maximal *relative* error (Lawson's reweighting
of a linear least-squares problem; Lawson 1961), and their coefficients rounded to float32:

    −log2(m)  ≈ u · C(u),  u = m − 1,  m in [√½, √2),  C of degree 7;
    |z|(L)    ≈ κ · L · A(L) / B(L),   L in [0, 48],   A and B monic of degree 5,
    2**r      ≈ 1 + r · E(r),       r in [−½, ½],             E of degree 5,

where |z|(L) = Φ⁻¹(1 − p/2) with p = 2^−L. All coefficients of A and B are positive, so that
nothing cancels.
"""

from __future__ import annotations

import numpy as np
from scipy.special import erfinv, ndtri_exp

LN2 = np.log(2.0)
L_MAX = 48.0


def z_of_level(level: np.ndarray) -> np.ndarray:
    """|z| for p = 2**−level, in float64, accurate near 0 and in the far tail."""
    log_p = -level * LN2
    near = level < 1.0
    z = np.empty_like(level)
    z[near] = np.sqrt(2.0) * erfinv(-np.expm1(log_p[near]))
    z[~near] = -ndtri_exp(log_p[~near] - LN2)
    return z


def fit_rational(rounds: int = 600) -> tuple[float, np.ndarray, np.ndarray, float]:
    """κ, A and B (highest power first, monic) and the relative error before rounding."""
    grid = (1.0 - np.cos(np.linspace(0.0, np.pi, 8001))) / 2.0
    level = (L_MAX * grid**2)[1:]
    target = z_of_level(level)
    scaled = level / L_MAX
    numerator = np.stack([level * scaled**k for k in range(6)], axis=1)
    denominator = np.stack([scaled**k for k in range(6)], axis=1)
    weight = np.ones_like(level)
    previous = np.ones_like(level)
    best: tuple[float, np.ndarray, np.ndarray] = (np.inf, np.empty(0), np.empty(0))
    for _ in range(rounds):
        rows = np.hstack([numerator / target[:, None], -denominator])
        rows *= (np.sqrt(weight) / np.abs(previous))[:, None]
        norms = np.linalg.norm(rows, axis=0)
        solution = np.linalg.svd(rows / norms, full_matrices=False)[2][-1] / norms
        a, b = solution[:6], solution[6:]
        previous = denominator @ b
        error = np.abs(numerator @ a / previous / target - 1.0)
        if error.max() < best[0]:
            best = (float(error.max()), a, b)
        weight *= error / error.max() + 1e-3
        weight /= weight.sum()
    error_max, a, b = best
    powers = L_MAX ** np.arange(6)
    a, b = (a / powers)[::-1], (b / powers)[::-1]
    return float(a[0] / b[0]), a / a[0], b / b[0], error_max


def fit_polynomial(
    u: np.ndarray, target: np.ndarray, degree: int, rounds: int = 400
) -> tuple[np.ndarray, float]:
    """Coefficients of u … u**degree, highest first, and the relative error before rounding."""
    basis = np.stack([u**k for k in range(1, degree + 1)], axis=1) / target[:, None]
    weight = np.ones_like(u)
    best = (np.inf, np.empty(0))
    for _ in range(rounds):
        root = np.sqrt(weight)
        solution = np.linalg.lstsq(basis * root[:, None], root, rcond=None)[0]
        error = np.abs(basis @ solution - 1.0)
        if error.max() < best[0]:
            best = (float(error.max()), solution)
        weight *= error / error.max() + 1e-3
        weight /= weight.sum()
    return best[1][::-1], best[0]


def show(name: str, values: np.ndarray) -> None:
    """Print float32 constants as the shortest decimals that read back to the same bits."""
    print(f"{name} = ({', '.join(str(np.float32(v)) for v in values)})")


if __name__ == "__main__":
    kappa, a, b, rational_error = fit_rational()
    u = np.linspace(np.sqrt(0.5) - 1.0, np.sqrt(2.0) - 1.0, 8001)
    u = u[np.abs(u) > 1e-9]
    c, log_error = fit_polynomial(u, -np.log2(1.0 + u), 8)
    r = np.linspace(-0.5, 0.5, 8001)
    r = r[np.abs(r) > 1e-9]
    e, exp_error = fit_polynomial(r, np.expm1(r * LN2), 6)
    print("relative error before rounding:")
    print(f"|z| {rational_error:.2e}, −log2 {log_error:.2e}, 2**r − 1 {exp_error:.2e}")
    show("KAPPA", np.array([kappa]))
    print(f"KAPPA (float64) = {kappa!r}")
    show("A", a[1:])
    show("B", b[1:])
    show("C", c)
    show("E", e)
    assert (a > 0).all() and (b > 0).all()
