from __future__ import annotations

import json
import math
from typing import Any, get_args

import mpmath
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError, to_jsonable_python

from seedbed.errors import ParameterError, ShapeError, SpecError
from seedbed.init import (
    SCHEMES,
    Fill,
    Init,
    Limits,
    Scheme,
    Source,
    TensorPlan,
    TensorSpec,
    canonical_name,
    plan,
)
from seedbed.init import schemes as room
from seedbed.init.fills import Constant, Derived, Drawn
from seedbed.init.matrices import MatrixCache
from seedbed.init.schemes import FAMILIES, TRUNCATED_STD, Nonlinearity, fans_of, gain_of, meaning_of
from seedbed.stream import DTYPES, Normal, TruncatedNormal, Uniform, get_engine
from tests.strategies import CODES, REQUIRED, scheme_objects, shapes, untimed

init_adapter: TypeAdapter[Scheme] = TypeAdapter(Init)

ALIASES = {
    alias: (name, implied)
    for name, scheme in SCHEMES.items()
    for alias, implied in scheme.aliases.items()
}

DEFAULTS = [{"scheme": name, **REQUIRED.get(name, {})} for name in SCHEMES]
"""Every scheme with its defaults, as JSON."""

INIT_PLACES = {
    name: {("init",), *(("init", field) for field in scheme.model_fields)}
    for name, scheme in SCHEMES.items()
}
"""Where a plan may refuse an init."""

CONVENTIONS = ("torch", "keras", "jax")
"""Those in which every scheme has the same standard deviation."""


def scheme_of(init: Any) -> Scheme:
    """What JSON means as an init."""
    return init_adapter.validate_python(init)


def planned(init: Any, shape: tuple[int, ...] = (6, 5), dtype: str = "F32") -> TensorPlan:
    """The plan of a tensor `w`."""
    tensor = TensorSpec(name="w", shape=shape, init=scheme_of(init), dtype=dtype)
    return plan([tensor], [], "F32", Limits())[0]


def distribution_of(init: Any, shape: tuple[int, ...] = (6, 5)) -> Any:
    """What a scheme draws from for a shape."""
    fill = scheme_of(init).fill(shape)
    assert isinstance(fill, Drawn)
    return fill.distribution


# The table


def test_names_and_aliases_are_unique() -> None:
    """No name means two schemes, and each leads to its own."""
    every = [name for key, scheme in SCHEMES.items() for name in (key, *scheme.aliases)]
    assert len(every) == len(set(every))
    for name in every:
        canonical, implied = ALIASES.get(name, (name, {}))
        assert canonical_name(name) == canonical
        assert meaning_of(name) == (canonical, implied)


def test_every_scheme_describes_itself() -> None:
    """A member of the table carries its own name, a formula and what each field is."""
    for name, scheme in SCHEMES.items():
        assert get_args(scheme.model_fields["scheme"].annotation) == (name,)
        assert scheme.formula, name
        assert scheme.latex.count("{") == scheme.latex.count("}"), name
        assert all(note.endswith(".") for note in scheme.notes.values()), name
        fields = [field for key, field in scheme.model_fields.items() if key != "scheme"]
        assert all(field.description for field in fields), name


def made(scheme: str, **parameters: Any) -> Any:
    """An init in its canonical form."""
    return {"scheme": scheme, **parameters} if parameters else scheme


MEANINGS: list[tuple[Any, str]] = [
    ("zeros", "zeros_ zero Zeros zeros_init norm_bias rezero skipinit lora_B"),
    ("ones", "ones_ one Ones ones_init norm_scale mamba_D"),
    (made("constant", value=0), "Constant"),
    (made("constant", value=1e-6), "layerscale"),
    (made("constant", value=0.25), "prelu"),
    (made("uniform", low=0.0), "uniform_"),
    (made("uniform", low=-0.05, high=0.05), "RandomUniform random_uniform keras_embedding"),
    ("normal", "gaussian Randn normal_ torch_embedding"),
    (made("normal", std=0.01), "alexnet"),
    (made("normal", std=0.02), "bert gpt2 hf_default megatron"),
    (made("normal", std=0.05), "RandomNormal random_normal"),
    (made("normal", std=10.0), "fourier_features"),
    (made("truncated_normal", bounds="absolute"), "trunc_normal trunc_normal_"),
    ("truncated_normal", "trunc_normal_tf_"),
    (made("truncated_normal", std=0.05), "TruncatedNormal"),
    (made("variance_scaling", convention="keras"), "VarianceScaling"),
    (made("variance_scaling", distribution="normal"), "variance_scaling_"),
    ("he_normal", "kaiming_normal kaiming_normal_ KaimingNormal"),
    (made("he_normal", convention="keras"), "HeNormal"),
    ("he_uniform", "kaiming_uniform kaiming_uniform_ KaimingUniform HeUniform"),
    (made("he_uniform", a=5**0.5), "torch_linear lora_A mamba_dt_weight"),
    ("glorot_normal", "xavier_normal xavier_normal_ XavierNormal"),
    (made("glorot_normal", convention="keras"), "GlorotNormal"),
    (
        "glorot_uniform",
        "xavier_uniform xavier_uniform_ XavierUniform GlorotUniform torch_mha_in",
    ),
    ("lecun_normal", "flax_embedding mlx_embedding"),
    (made("lecun_normal", convention="keras"), "LecunNormal"),
    (made("lecun_normal", convention="jax"), "lecun_normal_"),
    ("lecun_uniform", "LecunUniform"),
    ("mamba_dt_bias", "mamba2_dt_bias"),
    ("lru_nu_log", "lru_ring"),
    ("orthogonal", "orthogonal_ Orthogonal OrthogonalInitializer"),
    ("eye", "eye_ identity Identity IdentityInitializer irnn"),
    ("dirac", "dirac_"),
    ("zero_init", "ZerO"),
    ("s4d_legs", "hippo_legs_diag hippo_normal_diag"),
    ("mamba_A_log", "mamba2_A_log"),
]
"""What other names mean, read from the sources of those who use them, in canonical form."""

WITHOUT_DEFAULT = {
    "constant_": "constant", "Const": "constant", "full": "constant", "sparse_": "sparse",
    "randint": "random_integers",
    "torch_linear_bias": "torch_bias", "torch_rnn": "torch_bias", "torch_bilinear": "torch_bias",
}  # fmt: skip
"""Names of schemes of which something has to be said."""


def test_an_alias_has_its_framework_s_meaning() -> None:
    """Bare or in an object, its canonical form is the scheme with what the framework's imply."""
    meanings = {alias: meaning for meaning, aliases in MEANINGS for alias in aliases.split()}
    assert meanings.keys() | WITHOUT_DEFAULT.keys() == ALIASES.keys()
    for alias, meaning in meanings.items():
        assert scheme_of(alias).canonical() == meaning, alias
        assert scheme_of({"scheme": alias}).canonical() == meaning, alias
    for alias, name in WITHOUT_DEFAULT.items():
        wanted = {"scheme": name, **REQUIRED[name]}
        assert scheme_of({**wanted, "scheme": alias}).canonical() == wanted, alias


@pytest.mark.parametrize(
    ("given_init", "meaning"),
    [
        ({"scheme": "HeNormal", "convention": "torch"}, "he_normal"),
        ({"scheme": "RandomNormal", "std": 0.5}, {"scheme": "normal", "std": 0.5}),
        ({"scheme": "uniform_", "low": -1.0}, "uniform"),
        ({"scheme": "trunc_normal_", "bounds": "sigma"}, "truncated_normal"),
        ({"scheme": "torch_linear", "a": 0.0}, "he_uniform"),
        ({"scheme": "lora_A", "gain": 2.0}, {"scheme": "he_uniform", "gain": 2.0}),
        ({"scheme": "layerscale", "value": 0.1}, {"scheme": "constant", "value": 0.1}),
    ],
)
def test_what_is_given_overrides_what_is_implied(given_init: Any, meaning: Any) -> None:
    """An alias implies defaults, no more: parameters of the caller stand."""
    assert scheme_of(given_init).canonical() == meaning


def test_families_are_the_table() -> None:
    """Every scheme is in one family, and the table has them in that order."""
    listed = [scheme for family in FAMILIES.values() for scheme in family]
    assert listed == list(SCHEMES.values())
    assert len(listed) == len(set(listed))


def test_a_misspelt_scheme_is_answered_with_those_there_are() -> None:
    """An unknown name is refused with all names as allowed, and aliases to compare it with."""
    with pytest.raises(PydanticCustomError) as caught:
        canonical_name("kaiming_unifrm_")
    assert "'kaiming_unifrm_'" in caught.value.message()
    assert caught.value.context is not None
    assert caught.value.context["allowed"] == sorted(SCHEMES)
    assert "kaiming_uniform_" in caught.value.context["known"]


@pytest.mark.parametrize("init", ["x" * 5_000_000, {"scheme": "é" * 5_000_000}])
def test_an_absurd_name_is_refused_at_once(init: Any) -> None:
    """Megabytes of name are not repeated in the message."""
    with pytest.raises(ValidationError) as caught:
        scheme_of(init)
    (finding,) = caught.value.errors(include_input=False)
    assert len(finding["msg"]) < 200


@pytest.mark.parametrize("init", [5, 1.5, True, ["zeros"], {}, {"scheme": 5}, {"std": 1.0}])
def test_what_names_no_scheme_is_no_init(init: Any) -> None:
    """Anything but a name, or an object with a name under `scheme`, is refused with all names."""
    with pytest.raises(ValidationError) as caught:
        scheme_of(init)
    (finding,) = caught.value.errors()
    assert finding["ctx"]["allowed"] == sorted(SCHEMES)


# What holds for every scheme


@untimed
@given(scheme_objects(), shapes())
@example({"scheme": "truncated_normal", "upper": 1e300}, [])  # past float32, and no draw reaches it
@example({"scheme": "mamba_dt_bias", "floor": 701.0}, [])  # past what inverse_softplus takes
@example({"scheme": "parts", "parts": [{"box": [[0, 1]], "init": "zeros"}]}, [1, 0])  # nothing
def test_any_parameters_make_a_fill_or_are_refused(init: dict[str, Any], shape: list[int]) -> None:
    """Parameters of any size give finite values within the summary's bounds, or a named refusal."""
    try:
        scheme_of(init)
    except ValidationError as error:
        # Its scheme, then the parameter, then a place within what that is.
        names = {name for finding in error.errors() for name in finding["loc"][:2]}
        assert names <= {init["scheme"], *init}
        return
    try:
        tensor = planned(init, tuple(shape))
    except SpecError as error:
        path = error.path
    else:
        path = None
    if path is not None:
        assert path[:2] == ("tensors", 0)
        assert path[2:4] in {("shape",), *INIT_PLACES[init["scheme"]]}
        return
    summary = tensor.fill.summary()
    assert math.isfinite(summary.mean)
    assert summary.std >= 0.0
    assert math.isfinite(summary.std)
    if isinstance(tensor.fill, Drawn):
        values = tensor.fill.distribution.draw(np.array([0, 1, 2**31, 2**32 - 1], "<u4"))
        slack = np.float64(0.0)
    else:
        values = written(tensor.fill, tensor.elements)
        slack = np.spacing(np.abs(values, dtype=np.float32)).astype(float).max(initial=0.0)
    assert np.isfinite(values).all()
    assert summary.lower is None or (values.astype(float) >= summary.lower - slack).all()
    assert summary.upper is None or (values.astype(float) <= summary.upper + slack).all()


@untimed
@given(scheme_objects())
@example({"scheme": "constant", "value": -0.0})
@example({"scheme": "normal", "mean": -0.0, "std": -0.0})
@example({"scheme": "truncated_normal", "lower": None})
def test_the_canonical_form_reads_back_alike(init: dict[str, Any]) -> None:
    """Canonical JSON gives an equal scheme, and that scheme the same canonical JSON."""
    try:
        scheme = scheme_of(init)
    except ValidationError:
        return
    text = json.dumps(scheme.canonical())
    again = init_adapter.validate_json(text)
    assert again == scheme
    assert json.dumps(again.canonical()) == text
    assert again.spelling == scheme.spelling


@pytest.mark.parametrize("init", DEFAULTS, ids=lambda init: init["scheme"])
def test_defaults_are_left_out(init: dict[str, Any]) -> None:
    """A scheme with every default written out is spelled as the scheme without."""
    scheme = scheme_of(init)
    in_full = to_jsonable_python(scheme.model_dump())
    if "gain" in in_full and in_full["gain"] is None:
        del in_full["gain"]
    assert scheme_of(in_full).canonical() == scheme.canonical()
    assert scheme.canonical() == (init if len(init) > 1 else init["scheme"])


@untimed
@given(scheme_objects())
@example({"scheme": "normal", "mean": -0.0, "std": -0.0})
@example({"scheme": "truncated_normal", "mean": -0.0, "lower": -0.0})
@example({"scheme": "he_normal", "a": -0.0})
def test_a_zero_has_no_sign(init: dict[str, Any]) -> None:
    """A parameter −0.0 is 0.0, since equal specs must draw equal bytes; a constant keeps it."""
    try:
        scheme = scheme_of(init)
    except ValidationError:
        return
    signs = {
        name: math.copysign(1, value)
        for name, value in scheme.model_dump().items()
        if isinstance(value, float) and value == 0 and name != "value"
    }
    assert set(signs.values()) <= {1.0}


def test_an_unknown_parameter_is_refused() -> None:
    """A parameter that the scheme does not take is an error at its name, not ignored."""
    for init in DEFAULTS:
        with pytest.raises(ValidationError) as caught:
            scheme_of({**init, "sdt": 1.0})
        (finding,) = caught.value.errors()
        assert finding["type"] == "extra_forbidden"
        assert finding["loc"][-1] == "sdt"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, "1", [], {}, 10**400])
def test_numbers_are_finite_json_numbers(value: Any) -> None:
    """NaN, infinities, text, and integers past float64 are refused for every number."""
    numbers = [
        (init, key)
        for init in DEFAULTS
        for key, field in SCHEMES[init["scheme"]].model_fields.items()
        if float in (field.annotation, *get_args(field.annotation))
    ]
    assert len(numbers) > 40
    for init, key in numbers:
        with pytest.raises(ValidationError) as caught:
            scheme_of({**init, key: value})
        assert all(key in finding["loc"] for finding in caught.value.errors()), (init, key)


def written(fill: Fill, elements: int, seed: int = 7) -> NDArray[np.float32]:
    """The first elements of a tensor `w`, in F32."""
    source = Source(get_engine("numpy"), seed, "w", DTYPES["F32"], MatrixCache(2**20, 1))
    out = np.empty(elements, np.float32)
    fill.write(source, 0, out.view(np.uint8).data)
    return out


VARIANTS: list[dict[str, Any]] = [
    {"scheme": "normal", "mean": 3.0, "std": 0.02},
    {"scheme": "uniform", "low": -0.1, "high": 0.7},
    {"scheme": "log_uniform", "low": 1e-3, "high": 0.1},
    {"scheme": "truncated_normal", "mean": 0.5, "std": 0.1, "lower": -1.0, "upper": 3.0},
    {"scheme": "truncated_normal", "std": 2.0, "bounds": "absolute"},
    {"scheme": "truncated_normal", "std": 0.02, "bounds": "absolute"},
    {"scheme": "truncated_normal", "lower": None, "upper": 0.0},
    {"scheme": "chrono_bias", "t_max": 50.0, "gate": "input"},
    {"scheme": "mamba_dt_bias", "dt_min": 0.01, "dt_max": 2.0, "floor": 0.05},
    {"scheme": "lru_nu_log", "r_min": 0.5, "r_max": 0.9},
    {"scheme": "chain", "of": {"scheme": "normal", "std": 0.25}, "steps": [["exp"]]},
    {"scheme": "chain", "of": {"scheme": "truncated_normal", "lower": 0.5, "upper": None},
     "steps": [["square"], ["reciprocal"]]},
    {"scheme": "chain", "of": "he_normal", "steps": [["sin"], ["mul", -3.0]]},
    *({"scheme": name, "convention": c} for name in ("he_normal", "glorot_normal", "lecun_normal")
      for c in CONVENTIONS),
    *({"scheme": "variance_scaling", "mode": mode, "distribution": distribution}
      for mode in ("fan_in", "fan_out", "fan_avg", "fan_geo_avg")
      for distribution in ("normal", "truncated_normal", "untruncated_normal", "uniform")),
]  # fmt: skip


@pytest.mark.parametrize(
    "init",
    [
        init
        for init in (*DEFAULTS, *VARIANTS)
        if isinstance(scheme_of(init).fill((6, 4)), Drawn | Derived)
    ],
    ids=str,
)
def test_the_summary_is_what_draws_have(init: dict[str, Any]) -> None:
    """Mean, standard deviation, kurtosis and bounds are, within 5 errors, those of many draws."""
    tensor = planned(init, (9, 4, 3))
    values = written(tensor.fill, 400_000).astype(np.float64)
    summary = tensor.fill.summary()
    kurtosis = summary.excess_kurtosis
    assert kurtosis is not None
    n = len(values)
    assert abs(values.mean() - summary.mean) < 5 * summary.std / math.sqrt(n)
    assert abs(values.std() / summary.std - 1) < 5 * math.sqrt((kurtosis + 2) / (4 * n))
    standard = (values - values.mean()) / values.std()
    eighth = float(np.mean(standard**8))
    assert abs(float(np.mean(standard**4)) - 3 - kurtosis) < 8 * math.sqrt(eighth / n)
    if summary.lower is not None:
        assert values.min() >= np.float32(summary.lower)
    if summary.upper is not None:
        assert values.max() <= np.float32(summary.upper)


# Fans and gains


@pytest.mark.parametrize(
    ("shape", "fan_in", "fan_out"),
    [
        ((256, 784), 784, 256),
        ((64, 3, 7, 7), 147, 3136),
        ((5, 7, 3), 21, 15),
        ((8, 4, 2, 3, 5), 120, 240),
        ((32, 1, 3, 3), 9, 288),  # depthwise: groups are not known
        ((0, 4), 4, 0),
        ((4, 0, 3), 0, 12),
        ((3, 4, 0), 0, 0),
    ],
)
def test_fans_by_hand(shape: tuple[int, ...], fan_in: int, fan_out: int) -> None:
    """The kernel's size multiplies both fans, as in torch's _calculate_fan_in_and_fan_out."""
    assert fans_of(shape) == (fan_in, fan_out)


@untimed
@given(st.lists(st.integers(1, 9), min_size=2, max_size=6))
def test_fans_count_connections(shape: list[int]) -> None:
    """Outputs × fan_in and inputs × fan_out both count the elements of the weight."""
    fan_in, fan_out = fans_of(tuple(shape))
    assert shape[0] * fan_in == shape[1] * fan_out == math.prod(shape)


FAN_SCHEMES = sorted(
    name
    for name, scheme in SCHEMES.items()
    if scheme.fans is not Scheme.fans and scheme not in FAMILIES["Compositions"]
)

SHAPELESS = sorted(
    scheme.model_fields["scheme"].default
    for family in ("Constants", "Plain distributions", "Derived draws")
    for scheme in FAMILIES[family]
)
"""Schemes to which every shape is alike."""


def with_required(name: str) -> dict[str, Any]:
    """A scheme with no more than it needs."""
    return {"scheme": name, **REQUIRED.get(name, {})}


@pytest.mark.parametrize("name", FAN_SCHEMES)
@pytest.mark.parametrize("shape", [(), (7,), (0,)])
def test_vectors_and_scalars_have_no_fans(name: str, shape: tuple[int, ...]) -> None:
    """A scheme with fans refuses fewer than two dimensions and says what to give instead."""
    with pytest.raises(ShapeError) as caught:
        scheme_of(with_required(name)).fill(shape)
    assert caught.value.path == ("shape",)
    assert "uniform" in caught.value.message


@pytest.mark.parametrize("name", [*SHAPELESS, "torch_bias"])
def test_some_schemes_take_any_shape(name: str) -> None:
    """A scheme that looks at no shape fills scalars, vectors and everything else alike."""
    scheme = scheme_of(with_required(name))
    fills = [scheme.fill(shape) for shape in ((), (7,), (3, 4), (0, 2, 3))]
    assert all(fill == fills[0] for fill in fills)


def test_other_schemes_have_no_fans() -> None:
    """A scheme without fans says so."""
    for name in SCHEMES.keys() - set(FAN_SCHEMES):
        assert scheme_of(with_required(name)).fans((4, 4)) is None, name


GAINS = {
    "linear": "1", "conv1d": "1", "conv2d": "1", "conv3d": "1", "conv_transpose1d": "1",
    "conv_transpose2d": "1", "conv_transpose3d": "1", "sigmoid": "1",
    "tanh": "1.6666666666666666666667", "relu": "1.4142135623730950488017",
    "leaky_relu": "1.4142135623730950488017", "selu": "0.75",
}  # fmt: skip
"""torch.nn.init.calculate_gain's table; leaky_relu's with slope 0."""


def test_gains_by_hand() -> None:
    """Every nonlinearity has torch's gain, and only leaky_relu looks at the slope."""
    assert set(GAINS) == set(get_args(Nonlinearity))
    for name, gain in GAINS.items():
        assert gain_of(name, 0.0) == float(gain)  # type: ignore[arg-type]
        expected = math.sqrt(2 / 3.25) if name == "leaky_relu" else float(gain)
        assert gain_of(name, 1.5) == pytest.approx(expected, rel=1e-15)  # type: ignore[arg-type]


# Formulas, worked out by hand

mp = mpmath.MPContext()
mp.dps = 40


def square_root(top: float, bottom: float) -> float:
    """√(top / bottom), to all digits."""
    return float(mp.sqrt(mp.mpf(top) / mp.mpf(bottom)))


STANDARD_DEVIATIONS: list[tuple[Any, tuple[int, ...], float]] = [
    # Numbers that a pocket calculator confirms, for shapes in PyTorch's order.
    ("he_normal", (256, 784), 0.0505076272276105),  # √(2 / 784)
    ("he_normal", (64, 3, 7, 7), 0.1166423687039609),  # √(2 / 147)
    ({"scheme": "he_normal", "mode": "fan_out"}, (64, 3, 7, 7), 0.0252538136138053),  # √(2 / 3136)
    ("glorot_normal", (256, 784), 0.0438529009653515),  # √(2 / 1040)
    ("lecun_normal", (256, 784), 0.0357142857142857),  # 1 / 28
    ({"scheme": "he_normal", "gain": 3.0}, (2, 36), 0.5),
    ({"scheme": "he_normal", "nonlinearity": "tanh"}, (2, 25), 1 / 3),
    ({"scheme": "he_normal", "nonlinearity": "selu"}, (2, 9), 0.25),
    ({"scheme": "he_normal", "nonlinearity": "linear"}, (2, 16), 0.25),
    ({"scheme": "he_normal", "a": 1.0}, (2, 16), 0.25),
    ({"scheme": "he_normal", "nonlinearity": "relu", "a": 1.0}, (2, 32), 0.25),  # a: no effect
    ({"scheme": "glorot_normal", "gain": 2.0}, (3, 5), 1.0),
    ({"scheme": "lecun_normal", "gain": 2.0}, (3, 4), 1.0),
    ({"scheme": "lecun_normal", "mode": "fan_out"}, (4, 3), 0.5),
    ({"scheme": "variance_scaling", "scale": 4.0}, (3, 16), 0.5),
    ({"scheme": "variance_scaling", "mode": "fan_out"}, (4, 3, 2, 2), 0.25),
    ({"scheme": "variance_scaling", "mode": "fan_avg"}, (3, 5), 0.5),
    ({"scheme": "variance_scaling", "mode": "fan_geo_avg"}, (2, 8), 0.5),
]


@pytest.mark.parametrize(("init", "shape", "std"), STANDARD_DEVIATIONS, ids=str)
def test_standard_deviations_by_hand(init: Any, shape: tuple[int, ...], std: float) -> None:
    """The values have this standard deviation, whichever convention shapes them."""
    for convention in CONVENTIONS:
        base = init if isinstance(init, dict) else {"scheme": init}
        scheme = scheme_of({**base, "convention": convention})
        assert scheme.fill(shape).summary().std == pytest.approx(std, rel=1e-14)


FORMULAS: dict[str, Any] = {
    "he_normal": lambda i, _: square_root(2, i),
    "he_uniform": lambda i, _: square_root(2, i),
    "glorot_normal": lambda i, o: square_root(2, i + o),
    "glorot_uniform": lambda i, o: square_root(2, i + o),
    "lecun_normal": lambda i, _: square_root(1, i),
    "lecun_uniform": lambda i, _: square_root(1, i),
    "variance_scaling": lambda i, _: square_root(1, i),
    "siren": lambda i, _: square_root(2, i) / 30,
    "siren_first": lambda i, _: 1 / (i * math.sqrt(3)),
    "small_init": lambda i, _: square_root(2, 5 * i),
    "wang_init": lambda i, _: 2 / (12 * math.sqrt(i)),
}
"""Standard deviation from fan_in and fan_out, with every default, as the papers have it."""


def test_every_scheme_with_fans_has_its_formula_here() -> None:
    """A new scheme with fans needs its formula, worked out by hand."""
    assert sorted(FORMULAS) == FAN_SCHEMES


@untimed
@given(
    st.sampled_from(FAN_SCHEMES),
    st.lists(st.integers(1, 5000), min_size=2, max_size=4),
    st.sampled_from(CONVENTIONS),
)
def test_formulas(name: str, shape: list[int], convention: str) -> None:
    """For any shape the draws have the formula's spread, in the convention's shape."""
    kernel = math.prod(shape[2:])
    std = FORMULAS[name](shape[1] * kernel, shape[0] * kernel)
    known = "convention" in SCHEMES[name].model_fields
    init = with_required(name) | ({"convention": convention} if known else {})
    actual = distribution_of(init, tuple(shape))
    if name.endswith("_uniform") or name.startswith("siren"):
        assert isinstance(actual, Uniform)
        assert actual.high == -actual.low == pytest.approx(std * math.sqrt(3), rel=1e-14)
    elif not known or (convention == "torch" and name != "variance_scaling"):
        assert isinstance(actual, Normal)
        assert actual.mean == 0.0
        assert actual.std == pytest.approx(std, rel=1e-14)
    else:
        assert isinstance(actual, TruncatedNormal)
        assert (actual.mean, actual.lower, actual.upper) == (0.0, -2.0, 2.0)
        assert actual.std == pytest.approx(std / 0.87962566103423978, rel=1e-15)


def test_mlx_and_burn_know_no_default_gain() -> None:
    """MLX's He has gain 1 unless given, burn's must be given; both draw whole normals."""
    assert distribution_of({"scheme": "he_normal", "convention": "mlx"}, (2, 16)).std == 0.25
    for convention in ("mlx", "burn"):
        init = {"scheme": "he_normal", "convention": convention, "gain": 3.0}
        assert distribution_of(init, (2, 36)) == Normal(0.0, 0.5)
    for init, message in (
        ({"convention": "burn"}, "has to be given"),
        ({"convention": "mlx", "nonlinearity": "relu"}, "give gain"),
        ({"convention": "mlx", "a": 0.5}, "give gain"),
    ):
        with pytest.raises(ValidationError, match=message):
            scheme_of({"scheme": "he_uniform", **init})


def test_the_literal_that_keras_and_jax_divide_by() -> None:
    """It is the standard deviation of a standard normal cut at ±2, as that of a double."""
    two = mp.mpf(2)
    variance = 1 - 2 * two * mp.npdf(two) / (2 * mp.ncdf(two) - 1)
    assert TRUNCATED_STD == 0.87962566103423978
    assert float(mp.sqrt(variance)) == pytest.approx(TRUNCATED_STD, rel=1e-15)


def test_keras_and_jax_cut_at_the_same_place() -> None:
    """A truncated and rescaled normal ends at 2.27369 of its own standard deviations."""
    for convention in ("keras", "jax"):
        summary = (
            scheme_of({"scheme": "he_normal", "convention": convention}).fill((4, 8)).summary()
        )
        assert summary.std == pytest.approx(0.5, rel=1e-15)
        assert summary.upper == pytest.approx(0.5 * 2.2736945, rel=1e-7)
        assert summary.lower == -summary.upper
        assert summary.excess_kurtosis == pytest.approx(-0.6345, abs=1e-4)


@pytest.mark.parametrize(
    ("distribution", "convention", "kind"),
    [
        ("truncated_normal", "torch", TruncatedNormal),
        ("truncated_normal", "keras", TruncatedNormal),
        ("truncated_normal", "jax", TruncatedNormal),
        ("untruncated_normal", "torch", Normal),
        ("untruncated_normal", "keras", Normal),
        ("untruncated_normal", "jax", Normal),
        ("normal", "torch", Normal),
        ("normal", "keras", TruncatedNormal),
        ("normal", "jax", Normal),
        ("uniform", "torch", Uniform),
        ("uniform", "keras", Uniform),
        ("uniform", "jax", Uniform),
    ],
)
def test_what_normal_means_in_variance_scaling(
    distribution: str, convention: str, kind: type
) -> None:
    """Keras' `normal` is truncated and JAX' is not; the other words mean one thing everywhere."""
    init = {"scheme": "variance_scaling", "distribution": distribution, "convention": convention}
    assert type(distribution_of(init)) is kind


@pytest.mark.parametrize("shape", [(10, 784), (64, 3, 7, 7), (5, 1)])
def test_torch_s_linear_and_conv_default(shape: tuple[int, ...]) -> None:
    """kaiming_uniform_ with a = √5 is U(±1/√fan_in), from which torch's Linear and Conv start."""
    actual = distribution_of({"scheme": "kaiming_uniform_", "a": math.sqrt(5)}, shape)
    assert actual.high == pytest.approx(1 / math.sqrt(math.prod(shape[1:])), rel=1e-15)
    assert actual.low == -actual.high


@pytest.mark.parametrize("name", FAN_SCHEMES)
def test_tensors_without_elements_have_some_scale(name: str) -> None:
    """A fan of 0 is no division by zero: the tensor has no values, and its plan exists."""
    for shape in ((0, 0), (0, 3), (3, 0), (3, 4, 0)):
        tensor = planned(with_required(name), shape)
        assert tensor.elements == 0
        assert 0 < tensor.fill.summary().std < math.inf


# The elementary schemes


@pytest.mark.parametrize(("name", "value"), [("zeros", 0), ("ones", 1)])
def test_zeros_and_ones(name: str, value: int) -> None:
    """They are constants of 0 and 1, which every usual dtype holds."""
    assert scheme_of(name).fill((2, 3)) == Constant(value)
    assert all(planned(name, dtype=code).dtype.code == code for code in CODES)


@pytest.mark.parametrize(
    ("spellings", "value"),
    [
        ((1, 1.0, True), 1),
        ((0, 0.0, False), 0),
        ((-0.0,), -0.0),
        ((0.5,), 0.5),
        ((2**53, 2.0**53), 2**53),
        ((2**63, 2.0**63), 2**63),
        ((-(2**64) + 2**12, -(2.0**64) + 2.0**12), -(2**64) + 2**12),
        ((2**64, 2.0**64), 2.0**64),
        ((10**300, 1e300), 1e300),
        ((2**53 + 1,), 2**53 + 1),
    ],
)
def test_one_number_has_one_spelling(spellings: tuple[Any, ...], value: Any) -> None:
    """Equal constants are one constant: whole numbers are integers, floats from 2**64 on."""
    for spelling in spellings:
        scheme = scheme_of({"scheme": "constant", "value": spelling})
        assert repr(scheme.model_dump()["value"]) == repr(value)
        assert json.loads(scheme.spelling) == {"scheme": "constant", "value": value}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1), ("-1.0", -1), ("true", 1), ("false", 0), ("1e3", 1000), ("0.1", 0.1),
        ("-0.0", -0.0), ("NaN", math.nan),
        ("-Infinity", -math.inf), ("9007199254740993", 2**53 + 1),
        ("18446744073709551616", 2.0**64),
    ],
)  # fmt: skip
def test_constants_from_text(text: str, value: Any) -> None:
    """A query string or a command line is read as JSON reads numbers, true and false."""
    scheme = SCHEMES["constant"].model_validate_strings({"value": text})
    assert repr(scheme.model_dump()["value"]) == repr(value)


@pytest.mark.parametrize(
    "text",
    ["", "01", "1_0", "nan", "inf", "+Infinity", "1e400", "null", '"1"', "0x10", "[1]", "{}",
     "[" * 100_000, "1" * 5000, "1" * 400, "1" * 390],
    ids=lambda text: text[:10],
)  # fmt: skip
def test_what_is_no_number_in_text(text: str) -> None:
    """Anything else is refused, also what would overflow a float or a parser's stack."""
    with pytest.raises(ValidationError) as caught:
        SCHEMES["constant"].model_validate_strings({"value": text})
    (finding,) = caught.value.errors(include_input=False)
    assert finding["loc"] == ("value",)
    assert "number" in finding["msg"] or "float64" in finding["msg"]


def test_the_distributions_themselves() -> None:
    """uniform, normal and log_uniform hand their parameters on, with the documented defaults."""
    assert distribution_of("uniform") == Uniform(-1.0, 1.0)
    assert distribution_of({"scheme": "uniform", "low": 1, "high": 3}) == Uniform(1.0, 3.0)
    assert distribution_of("normal") == Normal(0.0, 1.0)
    assert distribution_of({"scheme": "normal", "mean": 1, "std": 3}) == Normal(1.0, 3.0)
    log_uniform = distribution_of({"scheme": "log_uniform", "low": 1, "high": 3})
    assert (log_uniform.low, log_uniform.high) == (1.0, 3.0)


@pytest.mark.parametrize(
    ("parameters", "lower", "upper", "std"),
    [
        ({}, -2.0, 2.0, 0.87962566103423978),
        ({"std": 0.05}, -0.1, 0.1, 0.043981283),  # Keras, JAX: no correction
        ({"std": 0.02, "bounds": "absolute"}, -2.0, 2.0, 0.02),  # torch: cut at 100σ
        ({"std": 0.5, "bounds": "absolute"}, -2.0, 2.0, 0.49973),
        ({"bounds": "absolute"}, -2.0, 2.0, 0.87963),
        ({"std": 1.5, "bounds": "absolute"}, -2.0, 2.0, 1.02292),
        ({"std": 2.0, "bounds": "absolute"}, -2.0, 2.0, 1.07912),
        ({"mean": 1.0, "std": 2.0}, -3.0, 5.0, 1.75925),
        ({"mean": 1.0, "std": 2.0, "lower": -1.0, "upper": 3.0, "bounds": "absolute"},
         -1.0, 3.0, 1.07912),
        ({"lower": None, "upper": None}, None, None, 1.0),
        ({"lower": 0.0, "upper": None, "bounds": "absolute"}, 0.0, None, 0.60281),  # half-normal
    ],
)  # fmt: skip
def test_both_meanings_of_truncation(
    parameters: dict[str, Any], lower: float | None, upper: float | None, std: float
) -> None:
    """Bounds count parent deviations or are values; the numbers are schemes.md's, from torch."""
    summary = scheme_of({"scheme": "truncated_normal", **parameters}).fill((3,)).summary()
    assert summary.lower == (None if lower is None else pytest.approx(lower))
    assert summary.upper == (None if upper is None else pytest.approx(upper))
    assert summary.std == pytest.approx(std, rel=2e-5)


@pytest.mark.parametrize(
    ("init", "path"),
    [
        ({"scheme": "uniform", "low": 1.0, "high": 1.0}, ("init", "high")),
        ({"scheme": "uniform", "low": 2.0}, ("init", "high")),
        ({"scheme": "uniform", "high": 1e39}, ("init", "high")),
        ({"scheme": "normal", "std": 1e38}, ("init", "std")),
        ({"scheme": "normal", "mean": 1e39}, ("init", "mean")),
        ({"scheme": "truncated_normal", "lower": 1.0, "upper": 0.5}, ("init", "upper")),
        ({"scheme": "truncated_normal", "lower": 5.0, "upper": 6.0}, ("init", "lower")),
        ({"scheme": "log_uniform", "low": 2.0, "high": 1.0}, ("init", "high")),
        # Fans and gain make the distribution: no parameter of the scheme is the one at fault.
        ({"scheme": "he_normal", "gain": 1e300}, ("init",)),
        ({"scheme": "he_uniform", "a": 1e200}, ("init",)),
        ({"scheme": "glorot_uniform", "gain": 1e300}, ("init",)),
        ({"scheme": "variance_scaling", "scale": 1e300}, ("init",)),
    ],
)
def test_parameters_that_make_no_distribution(init: Any, path: tuple[str, ...]) -> None:
    """The plan refuses them at the parameter, if the scheme has it, with what is wrong."""
    with pytest.raises(ParameterError) as caught:
        planned(init)
    assert caught.value.path == ("tensors", 0, *path)
    assert caught.value.message


@pytest.mark.parametrize(
    ("init", "place"),
    [
        ({"scheme": "normal", "std": -1.0}, "std"),
        ({"scheme": "truncated_normal", "std": 0.0}, "std"),
        ({"scheme": "log_uniform", "low": 0.0, "high": 1.0}, "low"),
        ({"scheme": "log_uniform", "low": 1.0}, "high"),
        ({"scheme": "constant"}, "value"),
        ({"scheme": "constant", "value": None}, "value"),
        ({"scheme": "he_normal", "gain": 0.0}, "gain"),
        ({"scheme": "he_normal", "mode": "fan_avg"}, "mode"),
        ({"scheme": "he_normal", "nonlinearity": "gelu"}, "nonlinearity"),
        ({"scheme": "he_normal", "convention": "tf"}, "convention"),
        ({"scheme": "glorot_normal", "gain": -1.0}, "gain"),
        ({"scheme": "variance_scaling", "scale": 0.0}, "scale"),
        ({"scheme": "variance_scaling", "distribution": "cauchy"}, "distribution"),
        ({"scheme": "truncated_normal", "bounds": "percent"}, "bounds"),
    ],
)
def test_parameters_out_of_range(init: Any, place: str) -> None:
    """Validation refuses them at their name."""
    with pytest.raises(ValidationError) as caught:
        scheme_of(init)
    assert [finding["loc"][-1] for finding in caught.value.errors()] == [place]


@pytest.mark.parametrize("beside", [{"a": 0.0}, {"nonlinearity": "relu"}])
def test_the_gain_has_one_source(beside: dict[str, Any]) -> None:
    """A gain beside what would set it is refused, even where the two agree."""
    with pytest.raises(ValidationError, match="either gain"):
        scheme_of({"scheme": "he_normal", "gain": math.sqrt(2), **beside})
    assert scheme_of({"scheme": "he_normal", "gain": None, **beside}) is not None


FORMS = (
    '{"scheme": "constant", "value": 1}', '{"scheme": "constant", "value": 1.0}',
    '{"scheme": "constant", "value": true}', '{"scheme": "constant", "value": "1"}',
    '{"scheme": "constant", "value": 0.0}', '{"scheme": "constant", "value": -0.0}',
    '{"scheme": "constant", "value": 1, "value2": 1}', '"ones"', '{"scheme": "ones"}',
    '"kaiming_normal_"', '{"scheme": "kaiming_normal_", "mode": "fan_out"}',
    '{"mode": "fan_out", "scheme": "kaiming_normal_"}', '"he_normal"', '["he_normal"]', '"he"',
)  # fmt: skip


@untimed
@given(st.lists(st.sampled_from(FORMS), max_size=40))
def test_what_json_means_does_not_depend_on_what_was_read_before(before: list[str]) -> None:
    """Forms that are equal for Python, 1 and true say, are not taken for one another."""

    def read(init: str) -> str:
        try:
            return repr(TensorSpec.model_validate_json(f'{{"name":"w","shape":[2],"init":{init}}}'))
        except ValidationError as error:
            return repr(error.errors(include_url=False, include_context=False))

    room._known_forms.clear()
    for form in before:
        read(form)
    warm = [read(form) for form in FORMS]
    for form, text in zip(FORMS, warm, strict=True):
        room._known_forms.clear()
        assert read(form) == text
