from __future__ import annotations

import json
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from seedbed.errors import ParameterError, ShapeError, SpecError
from seedbed.files import CheckpointSpec, VirtualFile
from seedbed.files.one_tensor import (
    SCALAR,
    OneTensor,
    option_of,
    parse_shape,
    scheme_parameters,
    shape_text,
    spec_of_one,
)
from seedbed.init import SCHEMES
from seedbed.stream import NUMPY, get_engine
from tests.strategies import CODES, REQUIRED, names, scheme_objects, seeds, untimed

OWN = {"seed", "dtype", "name"}


def text_of(value: Any) -> str:
    """A value as a query string or a command line says it."""
    return value if isinstance(value, str) else json.dumps(value)


def refusal(scheme: str, options: dict[str, str], shape: str = "2x3") -> SpecError:
    """The error of options that mean nothing."""
    with pytest.raises(SpecError) as caught:
        spec_of_one(scheme, shape, options)
    return caught.value


# Shapes


@untimed
@given(st.lists(st.integers(0, 10**19 - 1), max_size=6))
def test_shapes_are_dimensions_joined_by_x(shape: list[int]) -> None:
    """Any dimensions read back from their text; no dimensions are the word `scalar`."""
    assert shape_text(tuple(shape)) == ("x".join(map(str, shape)) or SCALAR)
    assert parse_shape(shape_text(tuple(shape))) == tuple(shape)


@untimed
@given(
    st.lists(st.integers(0, 10**19 - 1), min_size=1, max_size=6),
    st.sampled_from(["x", "X", "×", "*", ",", " ", ", ", " x ", "\n"]),
    st.sampled_from(["{}", "({})", "[{}]", " ( {} ) ", "({},)", "torch.Size([{}])"]),
)
def test_shapes_as_people_write_them(shape: list[int], separator: str, form: str) -> None:
    """One kind of separator, and the brackets of tuples and lists, are a way of writing."""
    assert parse_shape(form.format(separator.join(map(str, shape)))) == tuple(shape)


@pytest.mark.parametrize("text", ["()", "[]", " [ ] ", "scalar", "Scalar", "torch.Size([])"])
def test_shapes_without_dimensions(text: str) -> None:
    """Empty brackets are a scalar, as the word is."""
    assert parse_shape(text) == ()


@pytest.mark.parametrize(
    "text",
    ["", " ", "x", "3x", "x3", "3xx3", "3,,3", "3,", "3x3,3", "3 3x3", "(3", "3]", "(3]", "[(3)]",
     "(,)", "03", "-3", "+3", "3.0", "٣", "1e3", "1_0", "1" * 20, "3x" * 50_000, "3," * 50_000],
    ids=lambda text: repr(text)[:12],
)  # fmt: skip
def test_what_is_no_shape(text: str) -> None:
    """Anything else is refused with examples, and a long text is not repeated whole."""
    with pytest.raises(ShapeError) as caught:
        parse_shape(text)
    assert caught.value.path == ("shape",)
    assert SCALAR in caught.value.allowed
    assert len(caught.value.message) < 200


# Options


def test_parameters_are_those_of_the_schemes() -> None:
    """Every parameter of every scheme is there, under its name, with who takes it."""
    parameters = scheme_parameters()
    assert {(p, name) for p, takers in parameters.items() for name in takers} == {
        (p, name) for name, scheme in SCHEMES.items() for p in scheme.model_fields if p != "scheme"
    }
    for parameter, takers in parameters.items():
        for name, field in takers.items():
            assert field is SCHEMES[name].model_fields[parameter]


def test_no_parameter_has_the_name_of_an_option() -> None:
    """A scheme's parameter named like an option of the tensor could never be given."""
    assert set(OneTensor.model_fields) == OWN
    assert not OWN & set(scheme_parameters())


@untimed
@given(scheme_objects(), st.sampled_from(CODES), seeds, names)
def test_text_means_what_json_means(init: dict[str, Any], dtype: str, seed: int, name: str) -> None:
    """Options as text give the spec that the same values give as JSON, or both are refused."""
    body = {
        "seed": seed,
        "tensors": [{"name": name, "shape": [2, 3], "init": init, "dtype": dtype}],
    }
    parameters = {key: text_of(value) for key, value in init.items() if key != "scheme"}
    options = {"seed": str(seed), "dtype": dtype, "name": name, **parameters}
    try:
        expected = CheckpointSpec.model_validate_json(json.dumps(body))
    except ValidationError:
        refusal(init["scheme"], options)
        return
    spec = spec_of_one(init["scheme"], "2x3", options)
    assert spec.canonical_json == expected.canonical_json
    assert spec.seed == seed


@pytest.mark.parametrize("name", SCHEMES)
def test_defaults(name: str) -> None:
    """Without options: seed 0, F32, named `weight`, and the scheme's own defaults."""
    required = {key: text_of(value) for key, value in REQUIRED.get(name, {}).items()}
    spec = spec_of_one(name, "3x4", required)
    (tensor,) = spec.tensors
    assert (spec.seed, tensor.name, tensor.dtype, tensor.shape) == (0, "weight", "F32", (3, 4))
    assert tensor.init is not None
    assert tensor.init.canonical() == ({"scheme": name, **REQUIRED[name]} if required else name)


@pytest.mark.parametrize(
    ("alias", "given_options", "name", "options"),
    [
        ("HeNormal", {}, "he_normal", {"convention": "keras"}),
        ("TruncatedNormal", {"std": "0.5"}, "truncated_normal", {"std": "0.5"}),
        ("Const", {"value": "2"}, "constant", {"value": "2"}),
    ],
)
def test_aliases(
    alias: str, given_options: dict[str, str], name: str, options: dict[str, str]
) -> None:
    """A framework's spelling leads to the file of what it implies, ETag included."""
    engine = get_engine(NUMPY)
    files = [
        VirtualFile(spec_of_one(scheme, "2x2", said), engine=engine)
        for scheme, said in ((alias, given_options), (name, options))
    ]
    assert files[0].etag == files[1].etag
    assert files[0].read(0, files[0].size) == files[1].read(0, files[1].size)


@pytest.mark.parametrize(
    ("parameter", "name"),
    [(p, name) for p, takers in scheme_parameters().items() for name in takers],
)
def test_every_parameter_is_read_from_text(parameter: str, name: str) -> None:
    """Nonsense in any parameter is refused at that parameter, so each is really read."""
    options = {key: text_of(value) for key, value in REQUIRED.get(name, {}).items()}
    error = refusal(name, {**options, parameter: "nonsense"})
    assert error.path == (parameter,)
    field = SCHEMES[name].model_fields[parameter]
    if type(None) in get_args(field.annotation):
        spec = spec_of_one(name, "2x3", {**options, parameter: "null"})
        assert spec.tensors[0].init is not None
        assert getattr(spec.tensors[0].init, parameter) is None


@pytest.mark.parametrize(
    ("scheme", "options", "place"),
    [
        ("nope", {}, "scheme"),
        ("normal", {"gain": "2"}, "gain"),
        ("normal", {"Std": "2"}, "Std"),
        ("normal", {"": ""}, ""),
        ("normal", {"scheme": "uniform"}, "scheme"),
        ("normal", {"init": "uniform"}, "init"),
        ("normal", {"shape": "3"}, "shape"),
        ("normal", {"std": ""}, "std"),
        ("normal", {"std": "null"}, "std"),
        ("he_normal", {"nonlinearity": "null"}, "nonlinearity"),
        ("normal", {"std": "inf"}, "std"),
        ("normal", {"std": "-1"}, "std"),
        ("normal", {"seed": "-1"}, "seed"),
        ("normal", {"seed": "01"}, "seed"),
        ("normal", {"seed": "18446744073709551616"}, "seed"),
        ("normal", {"seed": "null"}, "seed"),
        ("normal", {"seed": ""}, "seed"),
        ("normal", {"dtype": "f31"}, "dtype"),
        ("normal", {"dtype": ""}, "dtype"),
        ("normal", {"name": ""}, "name"),
        ("normal", {"name": "__metadata__"}, "name"),
        ("normal", {"name": "a\nb"}, "name"),
        ("normal", {"name": "\ud800"}, "name"),
        ("constant", {}, "value"),
        ("constant", {"value": "[" * 100_000}, "value"),
        ("constant", {"value": "1" * 4000}, "value"),
        ("log_uniform", {"low": "1"}, "high"),
    ],
    ids=lambda part: str(part)[:30],
)
def test_refusals_name_the_option(scheme: str, options: dict[str, str], place: str) -> None:
    """What an option cannot be is refused at the option, with what there is to choose from."""
    error = refusal(scheme, options)
    assert error.path == (place,)
    if scheme == "nope":
        assert list(error.allowed) == sorted(SCHEMES)
    elif place not in (*OWN, *scheme_parameters()) or place == "gain":
        assert isinstance(error, ParameterError)
        assert error.allowed == ("seed", "dtype", "name", "mean", "std")


def test_dimensions_past_63_bits() -> None:
    """A dimension that the format cannot hold is refused at the shape."""
    assert refusal("zeros", {}, "3x9223372036854775808").path == ("shape",)
    assert spec_of_one("zeros", "9223372036854775807", {}).tensors[0].shape == (2**63 - 1,)


@pytest.mark.parametrize(
    ("path", "option"),
    [
        (("tensors", 0, "init", "std"), ("std",)),
        (("tensors", 0, "init"), ("scheme",)),
        (("tensors", 0, "shape"), ("shape",)),
        (("tensors", 0, "shape", 3), ("shape",)),
        (("tensors", 0, "dtype"), ("dtype",)),
        (("tensors", 0, "name"), ("name",)),
        (("seed",), ("seed",)),
        ((), ()),
    ],
)
def test_places_as_options(path: tuple[str | int, ...], option: tuple[str, ...]) -> None:
    """A place in the spec of one tensor is the option that a user gave for it."""
    assert option_of(path) == option
