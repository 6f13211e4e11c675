"""Each scheme draws what torch, Keras and JAX draw under that name.

The frameworks' own initialisers are run on large tensors and compared with the service in three
ways: by what it states (moments, bounds), by the edges of the draws, and by a two-sample
Kolmogorov–Smirnov test. Where torch says exactly what it asks its generator for, so must Seedbed.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from seedbed.init.schemes.parity import PARITY, Parity
from tests.serving import Server

pytestmark = pytest.mark.interop

SHAPES = ((768, 512), (192, 160, 3, 3))
"""In PyTorch's order, with different fans, and enough elements for the edges to show."""

NONLINEARITIES = (
    ("linear", 0.0), ("conv2d", 0.0), ("sigmoid", 0.0), ("tanh", 0.0), ("relu", 0.0),
    ("leaky_relu", 0.0), ("leaky_relu", 0.2), ("leaky_relu", math.sqrt(5)), ("selu", 0.0),
)  # fmt: skip

Draws = NDArray[np.float32]
Case = tuple[dict[str, Any], str, dict[str, Any]]
"""An init, and the name and arguments of the framework's own initialiser."""

KINDS = ("normal", "uniform")

TORCH: list[Case] = [
    *(
        (
            {"scheme": f"he_{kind}", "mode": mode, "nonlinearity": nonlinearity, "a": a},
            f"kaiming_{kind}_",
            {"mode": mode, "nonlinearity": nonlinearity, "a": a},
        )
        for kind, mode, (nonlinearity, a) in itertools.product(
            KINDS, ("fan_in", "fan_out"), NONLINEARITIES
        )
    ),
    *(
        ({"scheme": f"glorot_{kind}", "gain": gain}, f"xavier_{kind}_", {"gain": gain})
        for kind, gain in itertools.product(KINDS, (1.0, 5 / 3))
    ),
    *(({"scheme": f"he_{kind}"}, f"kaiming_{kind}_", {}) for kind in KINDS),
    *(({"scheme": f"glorot_{kind}"}, f"xavier_{kind}_", {}) for kind in KINDS),
    ({"scheme": "normal", "mean": 0.5, "std": 0.02}, "normal_", {"mean": 0.5, "std": 0.02}),
    ({"scheme": "uniform", "low": -0.5, "high": 2.0}, "uniform_", {"a": -0.5, "b": 2.0}),
]

TORCH_TRUNCATED: list[Case] = [
    (
        {
            "scheme": "truncated_normal",
            "mean": mean,
            "std": std,
            "lower": lower,
            "upper": upper,
            "bounds": "absolute",
        },
        "trunc_normal_",
        {"mean": mean, "std": std, "a": lower, "b": upper},
    )
    for mean, std, lower, upper in (
        (0.0, 1.0, -2.0, 2.0),
        (0.0, 0.02, -2.0, 2.0),
        (0.0, 2.0, -2.0, 2.0),
        (0.5, 1.5, -1.0, 3.0),
    )
]


def scaled(*distributions: str, modes: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """Parameters of variance scaling."""
    for mode, distribution in itertools.product(modes, distributions):
        yield {"scale": 1.7, "mode": mode, "distribution": distribution}


KERAS: list[Case] = [
    *(
        ({"scheme": f"{family.lower()}_{kind}"}, f"{family}{kind.title()}", {})
        for family, kind in itertools.product(("He", "Glorot", "Lecun"), KINDS)
    ),
    *(
        ({"scheme": "variance_scaling", **parameters}, "VarianceScaling", parameters)
        for parameters in scaled(
            *("normal", "truncated_normal", "untruncated_normal", "uniform"),
            modes=("fan_in", "fan_out", "fan_avg"),
        )
    ),
    ({"scheme": "variance_scaling"}, "VarianceScaling", {}),
    (
        {"scheme": "truncated_normal", "mean": 0.1, "std": 0.05},
        "TruncatedNormal",
        {"mean": 0.1, "stddev": 0.05},
    ),
    ({"scheme": "normal", "std": 0.05}, "RandomNormal", {}),
    ({"scheme": "uniform", "low": -0.05, "high": 0.05}, "RandomUniform", {}),
]

JAX: list[Case] = [
    *(
        ({"scheme": f"{family}_{kind}"}, f"{family}_{kind}", {})
        for family, kind in itertools.product(("he", "glorot", "lecun"), KINDS)
    ),
    *(
        ({"scheme": "variance_scaling", **parameters}, "variance_scaling", parameters)
        for parameters in scaled(
            *("normal", "truncated_normal", "uniform"),
            modes=("fan_in", "fan_out", "fan_avg", "fan_geo_avg"),
        )
    ),
    *(
        (
            {"scheme": "truncated_normal", "std": 0.01, "lower": lower, "upper": upper},
            "truncated_normal",
            {"stddev": 0.01, "lower": lower, "upper": upper},
        )
        for lower, upper in ((-2.0, 2.0), (-1.0, 3.0))
    ),
    ({"scheme": "normal", "std": 0.01}, "normal", {}),
    ({"scheme": "uniform", "low": 0.0, "high": 0.01}, "uniform", {}),
]


def label(value: object) -> str:
    """A test id: what an init says, a shape with its x; nothing for the framework's call."""
    if isinstance(value, tuple):
        return "x".join(map(str, value))
    return "-".join(map(str, value.values())) if isinstance(value, dict) else str(value)


def with_convention(init: dict[str, Any], convention: str) -> dict[str, Any]:
    """An init under a convention, if the scheme has any."""
    plain = ("normal", "uniform", "truncated_normal")
    return init if init["scheme"] in plain else {**init, "convention": convention}


def served(
    server: Server, init: dict[str, Any], shape: tuple[int, ...]
) -> tuple[Draws, dict[str, Any]]:
    """What the service draws, flat, and what it states."""
    body = {"seed": 5, "tensors": [{"name": "weight", "shape": shape, "init": init}]}
    plan = httpx.post(f"{server.url}/v1/describe", json=body).raise_for_status().json()
    file = httpx.post(f"{server.url}/v1/checkpoints", json=body).raise_for_status().content
    return np.frombuffer(file[plan["header_bytes"] :], "<f4"), plan["tensors"][0]


def agree(draws: Draws, stated: dict[str, Any]) -> None:
    """Hold draws to stated moments, within five standard errors, and to stated bounds.

    Where there is a bound, draws come within 2 % of the range of it but not past it (float32
    rounding apart); where there is none, they go further than any truncation of the frameworks.
    """
    values = draws.astype(np.float64)
    mean, std, lower, upper = (stated[key] for key in ("mean", "std", "lower", "upper"))
    assert abs(values.mean() - mean) < 5 * std / math.sqrt(values.size)
    spread = math.sqrt((stated["excess_kurtosis"] + 2) / (4 * values.size))
    assert abs(values.std() / std - 1) < 5 * spread
    slack = 1e-6 * max(abs(mean), std)
    for edge, bound, sign in ((values.max(), upper, 1), (values.min(), lower, -1)):
        if bound is not None and abs(bound - mean) < 10 * std:
            assert -slack <= sign * (bound - edge) < 0.02 * std
        else:
            assert sign * (edge - mean) > 4 * std


def compare(ours: Draws, theirs: Draws, stated: dict[str, Any]) -> None:
    """Hold both to what is stated, and to one another."""
    agree(ours, stated)
    agree(theirs, stated)
    assert stats.ks_2samp(ours, theirs, method="asymp").pvalue > 1e-6


def torch_draws(
    name: str, arguments: dict[str, Any], shape: tuple[int, ...]
) -> tuple[Draws, list[tuple[str, Any, Any]]]:
    """What torch draws, and what it asks of its generator: (function, two parameters)."""
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode

    asked: list[tuple[str, Any, Any]] = []

    class Recorder(TorchDispatchMode):
        """Notes calls to the two primitive generators."""

        def __torch_dispatch__(
            self, function: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            if function in (torch.ops.aten.normal_.default, torch.ops.aten.uniform_.default):
                asked.append((function.overloadpacket.__name__, *args[1:]))
            return function(*args, **(kwargs or {}))

    with torch.random.fork_rng(devices=[]), Recorder():
        torch.manual_seed(1)
        tensor = torch.empty(shape)
        getattr(torch.nn.init, name)(tensor, **arguments)
    return tensor.numpy().ravel(), asked


@pytest.mark.parametrize("shape", SHAPES, ids=label)
@pytest.mark.parametrize(("init", "name", "arguments"), TORCH, ids=label)
def test_torch(
    server: Server,
    init: dict[str, Any],
    name: str,
    arguments: dict[str, Any],
    shape: tuple[int, ...],
) -> None:
    """Seedbed's normals and uniforms have exactly the parameters with which torch draws its own.

    So they are untruncated, and the gains are those of `calculate_gain`.
    """
    ours, stated = served(server, with_convention(init, "torch"), shape)
    theirs, asked = torch_draws(name, arguments, shape)
    if init["scheme"].endswith("normal"):
        assert (stated["lower"], stated["upper"]) == (None, None)
        assert asked == [("normal_", stated["mean"], stated["std"])]
    else:
        assert asked == [("uniform_", stated["lower"], stated["upper"])]
    compare(ours, theirs, stated)


@pytest.mark.parametrize(("init", "name", "arguments"), TORCH_TRUNCATED, ids=label)
def test_torch_truncated(
    server: Server, init: dict[str, Any], name: str, arguments: dict[str, Any]
) -> None:
    """Absolute bounds are those of `trunc_normal_`: with std 0.02 they cut nothing."""
    ours, stated = served(server, init, SHAPES[0])
    compare(ours, torch_draws(name, arguments, SHAPES[0])[0], stated)


def channels_last(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape of Keras and JAX, (*kernel, in, out), from one of torch."""
    return (*shape[2:], shape[1], shape[0])


@pytest.mark.parametrize("shape", SHAPES, ids=label)
@pytest.mark.parametrize(("init", "name", "arguments"), KERAS, ids=label)
def test_keras(
    server: Server,
    keras: Any,
    init: dict[str, Any],
    name: str,
    arguments: dict[str, Any],
    shape: tuple[int, ...],
) -> None:
    """Seedbed's Keras convention draws what Keras does: normals cut at 2 σ and rescaled."""
    ours, stated = served(server, with_convention(init, "keras"), shape)
    initializer = getattr(keras.initializers, name)(**arguments, seed=1)
    theirs = np.asarray(initializer(channels_last(shape))).ravel()
    compare(ours, theirs, stated)


@pytest.mark.parametrize("shape", SHAPES, ids=label)
@pytest.mark.parametrize(("init", "name", "arguments"), JAX, ids=label)
def test_jax(
    server: Server,
    init: dict[str, Any],
    name: str,
    arguments: dict[str, Any],
    shape: tuple[int, ...],
) -> None:
    """Seedbed's JAX convention draws what JAX does: He, Glorot and LeCun cut and rescaled."""
    import jax

    ours, stated = served(server, with_convention(init, "jax"), shape)
    initializer = getattr(jax.nn.initializers, name)(**arguments)
    theirs = np.asarray(initializer(jax.random.key(1), channels_last(shape), "float32")).ravel()
    compare(ours, theirs, stated)


@pytest.mark.parametrize("scheme", ["he_normal", "glorot_normal", "lecun_normal"])
def test_conventions_differ(server: Server, scheme: str) -> None:
    """One name has two meanings of equal variance, which these comparisons do tell apart.

    torch's is not cut; that of Keras and JAX is cut at 2 parent σ, which is 2.2737 of its own.
    """
    plain, whole = served(server, {"scheme": scheme, "convention": "torch"}, SHAPES[0])
    for convention in ("keras", "jax"):
        other, cut = served(server, {"scheme": scheme, "convention": convention}, SHAPES[0])
        assert cut["std"] == pytest.approx(whole["std"], rel=1e-12)
        assert cut["upper"] == pytest.approx(2.2736945 * cut["std"], rel=1e-6)
        assert cut["lower"] == -cut["upper"]
        assert stats.ks_2samp(plain, other, method="asymp").pvalue < 1e-6
        with pytest.raises(AssertionError):
            agree(plain, cut)
        with pytest.raises(AssertionError):
            agree(other, whole)


# The table of docs/schemes.md


def rows_of(framework: str) -> list[Any]:
    """The table's rows of a framework."""
    return [
        pytest.param(row, id="-".join((row.initializer, *map(str, row.arguments.values()))))
        for row in PARITY
        if row.framework == framework
    ]


PARITY_SHAPES = ((64, 48), (48, 64), (60, 60), (32, 24, 3, 3), (16, 8, 4))


def alike(server: Server, row: Parity, shape: tuple[int, ...], theirs: NDArray[Any]) -> None:
    """Hold a row to what the framework made, given in PyTorch's order."""
    init = dict(row.init) if isinstance(row.init, Mapping) else row.init
    ours, stated = served(server, init, shape)
    ours = ours.reshape(shape)
    name = row.initializer.lower()
    if stated["std"] == 0 or name.startswith(("eye", "identity", "dirac")):
        np.testing.assert_array_equal(ours, theirs)
    elif name.startswith("sparse"):
        np.testing.assert_array_equal((ours == 0).sum(axis=0), (theirs == 0).sum(axis=0))
        ours, theirs = ours[ours != 0], theirs[theirs != 0]
        assert stats.ks_2samp(ours, theirs).pvalue > 1e-6
    elif name.startswith(("orthogonal", "delta")):
        for w in (ours, theirs):
            if name.startswith("delta"):
                taps = np.flatnonzero(np.abs(w).sum(axis=(0, 1)))
                sizes = shape[2:]
                assert taps.tolist() == [
                    np.ravel_multi_index(tuple((k - 1) // 2 for k in sizes), sizes)
                ]
                w = w.reshape(*shape[:2], -1)[:, :, taps[0]]  # noqa: PLW2901 (the one tap)
            matrix = w.reshape(shape[0], -1).astype(np.float64)
            short = matrix @ matrix.T if len(matrix) <= matrix.shape[1] else matrix.T @ matrix
            np.testing.assert_allclose(short, np.eye(len(short)), atol=1e-5)
        assert stats.ks_2samp(ours.ravel(), theirs.ravel()).pvalue > 1e-6
    else:
        spread = stated["std"]
        sample = theirs.astype(np.float64)
        assert abs(sample.mean() - stated["mean"]) < 6 * spread / math.sqrt(sample.size)
        slack = 6 * math.sqrt((stated["excess_kurtosis"] + 2) / (4 * sample.size))
        assert abs(sample.std() / spread - 1) < slack
        room = 1e-5 * spread
        assert stated["lower"] is None or sample.min() >= stated["lower"] - room
        assert stated["upper"] is None or sample.max() <= stated["upper"] + room
        assert stats.ks_2samp(ours.ravel(), theirs.ravel()).pvalue > 1e-6


@pytest.mark.parametrize("shape", PARITY_SHAPES, ids=label)
@pytest.mark.parametrize("row", rows_of("torch"))
def test_the_table_s_rows_of_torch(server: Server, row: Parity, shape: tuple[int, ...]) -> None:
    """What the table says of an initialiser of torch is what torch does."""
    import torch

    if row.initializer in ("eye_", "sparse_"):
        shape = shape[:2]
    elif row.initializer == "dirac_" and len(shape) == 2:
        shape = (*shape, 4)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        tensor = torch.empty(shape)
        getattr(torch.nn.init, row.initializer)(tensor, **row.arguments)
    alike(server, row, shape, tensor.numpy())


def torch_order(w: NDArray[Any]) -> NDArray[Any]:
    """(*kernel, in, out) as (out, in, *kernel)."""
    return np.transpose(w, (w.ndim - 1, w.ndim - 2, *range(w.ndim - 2)))


@pytest.mark.parametrize("shape", PARITY_SHAPES, ids=label)
@pytest.mark.parametrize("row", rows_of("keras"))
def test_the_table_s_rows_of_keras(
    server: Server, keras: Any, row: Parity, shape: tuple[int, ...]
) -> None:
    """What the table says of an initialiser of Keras is what Keras does."""
    if row.initializer == "Identity":
        shape = shape[:2]
    kind = getattr(keras.initializers, row.initializer)
    seeded = row.initializer not in ("Zeros", "Ones", "Constant", "Identity")
    made = kind(**row.arguments, **({"seed": 1} if seeded else {}))(channels_last(shape))
    alike(server, row, shape, torch_order(np.asarray(made)))


@pytest.mark.parametrize("shape", PARITY_SHAPES, ids=label)
@pytest.mark.parametrize("row", rows_of("jax"))
def test_the_table_s_rows_of_jax(server: Server, row: Parity, shape: tuple[int, ...]) -> None:
    """What the table says of an initialiser of JAX is what JAX does."""
    import jax

    if row.initializer == "delta_orthogonal":
        shape = (32, 24, *(shape[2:] or (4,)))
    made = getattr(jax.nn.initializers, row.initializer)
    plain = row.initializer in ("zeros", "ones")
    made = made if plain else made(**row.arguments)
    w = np.asarray(made(jax.random.key(1), channels_last(shape), "float32"))
    alike(server, row, shape, torch_order(w))
