"""One build in torch and in JAX is recorded as one init."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.interop

torch = pytest.importorskip("torch")
jax = pytest.importorskip("jax")
from jax import numpy as jnp  # noqa: E402

import seedbed.jax as sj  # noqa: E402
import seedbed.torch as st  # noqa: E402

COUNT = np.arange(16, dtype=np.float32)
TABLES = {
    "mamba_A_log": np.log(COUNT + 1),
    "rope_inv_freq": 1e4 ** (-COUNT / 16),
    "alibi_slopes": 2.0 ** -((COUNT + 1) / 2),
    "s4d_real": -(COUNT + 1),
    "eye": 0.5 * np.eye(4, dtype=np.float32),
    "arange": COUNT,
}
"""Numbers by the scheme that gives them."""

WIDTHS = ["float32", "float16", "bfloat16"]


@pytest.mark.parametrize("dtype", WIDTHS)
@pytest.mark.parametrize("name", [*TABLES, "near"])
def test_tables(name: str, dtype: str) -> None:
    """Tables of every width; numbers near one are none."""
    numbers = TABLES.get(name, np.log(COUNT + 1) * np.float32(1.01))
    tensor = torch.from_numpy(numbers).to(getattr(torch, dtype))
    array = jnp.asarray(numbers).astype(dtype)
    (ours,) = st.record(lambda: {"w": tensor.clone()}).tensors
    (theirs,) = sj.record(lambda: {"w": array + 0}).tensors
    assert (ours.init, ours.problem) == (theirs.init, theirs.problem)
    found = ours.init["scheme"] if isinstance(ours.init, dict) else ours.init
    is_inexact = name == "near" or (name == "rope_inv_freq" and dtype != "float32")
    assert found == (None if is_inexact else name)


def of_torch(floor: float) -> Any:
    """Mamba's step sizes."""
    dt = torch.exp(torch.rand(64) * math.log(100) + math.log(0.001)).clamp(min=floor)
    return dt + torch.log(-torch.expm1(-dt))


def of_jax(floor: float) -> Any:
    """The same."""
    drawn = jax.random.uniform(jax.random.key(0), (64,))
    dt = jnp.maximum(jnp.exp(drawn * math.log(100) + math.log(0.001)), floor)
    return dt + jnp.log(-jnp.expm1(-dt))


@pytest.mark.parametrize("floor", [1e-4, 2e-3])
def test_a_floor_of_step_sizes(floor: float) -> None:
    """A floor that cuts is the one that was asked for; one that cuts nothing is below all."""
    want = pytest.approx({"dt_min": 0.001, "dt_max": 0.1, "floor": floor}, rel=1e-6)
    for recording in (
        st.record(lambda: {"w": of_torch(floor)}), sj.record(lambda: {"w": of_jax(floor)}),
    ):  # fmt: skip
        (tensor,) = recording.tensors
        assert isinstance(tensor.init, dict)
        assert tensor.init["scheme"] == "mamba_dt_bias"
        assert {key: x for key, x in tensor.init.items() if key != "scheme"} == want
