"""What the frameworks' own initialisers are called here, with the parameters that they are given.

docs/schemes.md prints this table, and tests/interop holds rows of torch, Keras and JAX to what
those libraries draw. Rows of other frameworks were read from their sources.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class Parity(NamedTuple):
    """One initialiser of a framework.

    Attributes:
        framework: its name.
        initializer: the function or class, as spelled there.
        arguments: with which it is compared; what is not given has the framework's default.
        init: the same here.
    """

    framework: str
    initializer: str
    arguments: Mapping[str, Any]
    init: str | Mapping[str, Any]


def _of(framework: str, *rows: tuple[str, Mapping[str, Any], str | Mapping[str, Any]]) -> tuple[
    Parity, ...
]:  # fmt: skip
    return tuple(Parity(framework, *row) for row in rows)


PARITY: tuple[Parity, ...] = (
    *_of(
        "torch",
        ("zeros_", {}, "zeros_"),
        ("ones_", {}, "ones_"),
        ("constant_", {"val": 0.5}, {"scheme": "constant_", "value": 0.5}),
        ("uniform_", {}, "uniform_"),
        ("normal_", {}, "normal_"),
        ("trunc_normal_", {}, "trunc_normal_"),
        ("xavier_uniform_", {}, "xavier_uniform_"),
        ("xavier_normal_", {}, "xavier_normal_"),
        ("kaiming_uniform_", {}, "kaiming_uniform_"),
        ("kaiming_uniform_", {"a": 5**0.5}, "torch_linear"),
        ("kaiming_normal_", {}, "kaiming_normal_"),
        (
            "kaiming_normal_",
            {"mode": "fan_out", "nonlinearity": "relu"},
            {"scheme": "kaiming_normal_", "mode": "fan_out", "nonlinearity": "relu"},
        ),
        ("orthogonal_", {}, "orthogonal_"),
        ("eye_", {}, "eye_"),
        ("dirac_", {}, "dirac_"),
        ("dirac_", {"groups": 2}, {"scheme": "dirac_", "groups": 2}),
        ("sparse_", {"sparsity": 0.3}, {"scheme": "sparse_", "sparsity": 0.3}),
    ),
    *_of(
        "keras",
        ("Zeros", {}, "Zeros"),
        ("Ones", {}, "Ones"),
        ("Constant", {}, "Constant"),
        ("RandomUniform", {}, "RandomUniform"),
        ("RandomNormal", {}, "RandomNormal"),
        ("TruncatedNormal", {}, "TruncatedNormal"),
        ("VarianceScaling", {}, "VarianceScaling"),
        ("GlorotUniform", {}, "GlorotUniform"),
        ("GlorotNormal", {}, "GlorotNormal"),
        ("HeUniform", {}, "HeUniform"),
        ("HeNormal", {}, "HeNormal"),
        ("LecunUniform", {}, "LecunUniform"),
        ("LecunNormal", {}, "LecunNormal"),
        ("Orthogonal", {}, "Orthogonal"),
        ("Identity", {}, "Identity"),
    ),
    *_of(
        "jax",
        ("zeros", {}, "zeros"),
        ("ones", {}, "ones"),
        ("constant", {"value": 0.5}, {"scheme": "constant", "value": 0.5}),
        ("uniform", {}, {"scheme": "uniform", "low": 0.0, "high": 0.01}),
        ("normal", {}, {"scheme": "normal", "std": 0.01}),
        ("truncated_normal", {}, {"scheme": "truncated_normal", "std": 0.01}),
        (
            "variance_scaling",
            {"scale": 2.0, "mode": "fan_geo_avg", "distribution": "normal"},
            {
                "scheme": "variance_scaling",
                "scale": 2.0,
                "mode": "fan_geo_avg",
                "distribution": "normal",
            },
        ),
        ("glorot_uniform", {}, "glorot_uniform"),
        ("glorot_normal", {}, {"scheme": "glorot_normal", "convention": "jax"}),
        ("he_uniform", {}, "he_uniform"),
        ("he_normal", {}, {"scheme": "he_normal", "convention": "jax"}),
        ("lecun_uniform", {}, "lecun_uniform"),
        ("lecun_normal", {}, {"scheme": "lecun_normal", "convention": "jax"}),
        ("orthogonal", {}, "orthogonal"),
        ("delta_orthogonal", {}, "delta_orthogonal"),
    ),
    *_of(
        "timm",
        ("trunc_normal_", {}, "trunc_normal_"),
        ("trunc_normal_tf_", {}, "trunc_normal_tf_"),
        ("variance_scaling_", {}, "variance_scaling_"),
        ("lecun_normal_", {}, "lecun_normal_"),
    ),
    *_of(
        "mlx",
        ("constant", {"value": 0.5}, {"scheme": "constant", "value": 0.5}),
        ("uniform", {}, {"scheme": "uniform", "low": 0.0}),
        ("normal", {}, "normal"),
        ("glorot_uniform", {}, "glorot_uniform"),
        ("glorot_normal", {}, "glorot_normal"),
        ("he_uniform", {}, {"scheme": "he_uniform", "convention": "mlx"}),
        ("he_normal", {}, {"scheme": "he_normal", "convention": "mlx"}),
        ("identity", {}, "identity"),
        ("orthogonal", {}, "orthogonal"),
        (
            "sparse",
            {"sparsity": 0.3},
            {"scheme": "sparse", "sparsity": 0.3, "std": 1.0, "per": "row"},
        ),
    ),
    *_of(
        "burn",
        ("Zeros", {}, "zeros"),
        ("Ones", {}, "ones"),
        (
            "KaimingUniform",
            {"gain": 2.0},
            {"scheme": "KaimingUniform", "gain": 2.0, "convention": "burn"},
        ),
        (
            "KaimingNormal",
            {"gain": 2.0},
            {"scheme": "KaimingNormal", "gain": 2.0, "convention": "burn"},
        ),
        ("XavierUniform", {"gain": 1.0}, "XavierUniform"),
        ("XavierNormal", {"gain": 1.0}, "XavierNormal"),
        ("Orthogonal", {"gain": 1.0}, "Orthogonal"),
    ),
    *_of(
        "candle",
        ("Const", {"value": 0.5}, {"scheme": "constant", "value": 0.5}),
        ("Uniform", {"lo": -1.0, "up": 1.0}, "uniform"),
        ("Randn", {"mean": 0.0, "stdev": 1.0}, "normal"),
        ("Kaiming", {"dist": "Normal", "non_linearity": "ReLU"}, "kaiming_normal"),
        ("Kaiming", {"dist": "Uniform", "non_linearity": "ReLU"}, "kaiming_uniform"),
    ),
    *_of(
        "paddle",
        ("Uniform", {}, "uniform"),
        ("Normal", {}, "normal"),
        ("KaimingUniform", {}, "KaimingUniform"),
        ("KaimingNormal", {}, "KaimingNormal"),
        ("XavierUniform", {}, "XavierUniform"),
        ("XavierNormal", {}, "XavierNormal"),
    ),
)
"""Framework × initialiser → spelling."""
