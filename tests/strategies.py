"""Hypothesis strategies for names, shapes, schemes, whole specs and byte ranges.

Specs are drawn as the JSON bodies that clients send; `specs` makes models of them.
"""

from __future__ import annotations

import fnmatch
import json
import math
import types
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from hypothesis import HealthCheck, reject, settings
from hypothesis import strategies as st

from seedbed.files import CheckpointSpec
from seedbed.init import LAYERS, SCHEMES, Init, Scheme
from seedbed.init.schemes.chains import FUNCTIONS
from seedbed.init.schemes.parts import Part
from seedbed.stream import DTYPES, SEED_MAX, FloatCode

untimed = settings(
    deadline=None,
    suppress_health_check=[
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
        HealthCheck.filter_too_much,
    ],
)
"""No test is timed: not by its deadline, and not by how long its data took."""

FLOATS = tuple(sorted(get_args(FloatCode)))
INTEGERS = tuple(sorted(code for code, dtype in DTYPES.items() if not dtype.is_float))
CODES = tuple(sorted((*FLOATS, *INTEGERS)))
"""Dtypes of any tensor; the others, of less than a byte, without a zero or of pairs, are apart."""

REQUIRED: dict[str, dict[str, Any]] = {
    name: dict(scheme.example) for name, scheme in SCHEMES.items() if scheme.example
}
"""Parameters without which a scheme means nothing; a scheme that is not listed has none."""


def in_query(parameters: Mapping[str, Any]) -> dict[str, str]:
    """Parameters as text: JSON, but words as they are."""
    return {
        key: value if isinstance(value, str) else json.dumps(value)
        for key, value in parameters.items()
    }


ODD_NAMES = (
    "weight",
    "encoder.layer.0.attention.self.query.weight",
    "größe.重み",
    'quo"te',
    "back\\slash",
    "a b/c",
    "\u2028",
    "\uffff",
    "\U0001f331",
    "e\u0301",
    "é",
    "[0]",
)
"""Names that have gone wrong somewhere: escapes, normal forms, surrogate pairs, globs."""

seeds = st.integers(0, SEED_MAX)

plain_text = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=12)
"""Text without control characters and halves of surrogate pairs."""

names = st.one_of(
    st.sampled_from(ODD_NAMES), plain_text.filter(lambda name: name not in ("", "__metadata__"))
)

float_codes = st.sampled_from(FLOATS)


@st.composite
def shapes(draw: st.DrawFn, max_elements: int = 200) -> list[int]:
    """Shapes of any rank up to 5: scalars, dimensions of 0 and 1, up to so many elements."""
    room, shape = max_elements, []
    for _ in range(draw(st.integers(0, 5))):
        shape.append(draw(st.integers(0, max(1, min(room, 12)))))
        room //= max(shape[-1], 1)
    return draw(st.permutations(shape))


def _object(scheme: str, **parameters: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.fixed_dictionaries({"scheme": st.just(scheme), **parameters})


_spreads = st.floats(0.015625, 4.0)

_draws = st.one_of(
    st.sampled_from(("uniform", "normal", "truncated_normal")),
    _object("uniform", low=st.floats(-3.0, 0.0), high=st.floats(0.25, 3.0)),
    _object("normal", mean=st.floats(-3.0, 3.0), std=st.floats(0.0, 4.0)),
    _object("truncated_normal", std=_spreads, lower=st.floats(-3, 0), upper=st.floats(0.5, 3)),
    _object("log_uniform", low=st.floats(0.001, 0.1), high=st.floats(1.0, 9.0)),
    st.sampled_from(("mamba_dt_bias", "lru_nu_log", "rglru")),
    _object("chain", of=st.just("uniform"), steps=st.just([["exp"], ["add", 0.5], ["log"]])),
    _object("chrono_bias", t_max=st.floats(2.5, 99.0), gate=st.sampled_from(("forget", "input"))),
)

_matrices = st.one_of(
    st.sampled_from(("orthogonal", "unit_norm_rows", "zero_init", "dirac", "retnet_decay")),
    _object("orthogonal", gain=_spreads),
    _object("orthogonal", out_axis=st.sampled_from((0, 1, -1, [0], []))),
    _object(
        "orthogonal", out_axis=st.sampled_from((1, -1, [])), batch_axis=st.sampled_from((0, []))
    ),
    _object("lsuv_gaussian", second_moment=_spreads),
)
"""Schemes that take any shape of two dimensions and more."""

_fan_draws = st.one_of(
    st.sampled_from(
        [name for name in sorted(SCHEMES) if "convention" in SCHEMES[name].model_fields]
    ),
    _object(
        "variance_scaling",
        scale=_spreads,
        mode=st.sampled_from(("fan_in", "fan_out", "fan_avg", "fan_geo_avg")),
        distribution=st.sampled_from(
            ("normal", "uniform", "truncated_normal", "untruncated_normal")
        ),
        convention=st.sampled_from(("torch", "keras", "jax")),
    ),
    _object("he_normal", gain=_spreads, convention=st.sampled_from(("torch", "keras", "jax"))),
    _object("he_uniform", nonlinearity=st.sampled_from(("relu", "tanh", "selu", "linear"))),
    _object("he_normal", mode=st.just("fan_out"), a=st.floats(0.0, 2.0)),
    _object("he_normal", in_axis=st.sampled_from((0, 1, -1, -2, [0], [1], []))),
    _object("variance_scaling", out_axis=st.sampled_from((0, -1, [1])), mode=st.just("fan_avg")),
    _object("glorot_normal", fan_in=st.integers(1, 99), fan_out=st.integers(1, 99)),
    _object("siren", fan_in=st.integers(1, 99)),
    _object("glorot_uniform", gain=_spreads),
    _object("lecun_normal", mode=st.just("fan_out"), convention=st.just("jax")),
)


def constants(code: str) -> st.SearchStrategy[Any]:
    """Inits that fill a tensor of this dtype with one value, which it can hold."""
    low, high = DTYPES[code].lowest, DTYPES[code].highest
    if code == "BOOL":
        values: st.SearchStrategy[Any] = st.sampled_from((0, 1, True, False, 0.0, 1.0))
    elif code in INTEGERS:
        values = st.integers(int(low), int(high))
    else:
        edge = min(high, DTYPES["F32"].highest)
        values = st.floats(-edge, edge) | st.integers(-200, 200)
    return st.one_of(st.sampled_from(("zeros", "ones")), _object("constant", value=values))


@st.composite
def integer_ranges(draw: st.DrawFn, code: str) -> dict[str, Any]:
    """Random integers of a range that a dtype holds; in many of them numbers are drawn again."""
    low, high = (
        (int(DTYPES[code].lowest), int(DTYPES[code].highest)) if code in INTEGERS else (0, 6)
    )
    first, last = sorted((draw(st.integers(low, high)), draw(st.integers(low, high))))
    return {"scheme": "random_integers", "low": first, "high": last + 1}


def inits(code: str, rank: int) -> st.SearchStrategy[Any]:
    """Inits that a tensor of this dtype and rank can have; draws stay within ±448."""
    if code in INTEGERS:
        return constants(code) | integer_ranges(code)
    return st.one_of(constants(code), _draws, *([_fan_draws, _matrices] if rank > 1 else []))


@st.composite
def tensors(draw: st.DrawFn, default: str, max_elements: int = 200) -> dict[str, Any]:
    """One tensor as JSON, in a checkpoint with this dtype."""
    code = draw(st.one_of(st.none(), st.sampled_from(CODES)))
    shape = draw(shapes(max_elements))
    tensor: dict[str, Any] = {"name": draw(names), "shape": shape}
    tensor["init"] = draw(inits(code or default, len(shape)))
    if code is not None or draw(st.booleans()):
        tensor["dtype"] = code
    return tensor


@st.composite
def globs(draw: st.DrawFn, targets: list[str]) -> str:
    """Patterns most of which match one or more of these names."""
    target = draw(st.sampled_from(targets))
    cut = draw(st.integers(0, len(target)))
    return draw(
        st.sampled_from(
            (
                "*",
                f"{target[:cut]}*",
                f"*{target[cut:]}",
                "?" * len(target),
                target,
                f"[!{target}]*",
            )
        )
    )


@st.composite
def bodies(draw: st.DrawFn, max_tensors: int = 5, max_elements: int = 200) -> dict[str, Any]:
    """Specs as JSON: any mixture of dtypes, shapes, schemes and names, with rules and metadata.

    Every one is sound: each rule leaves each tensor with an init that its dtype can hold.
    """
    default = draw(float_codes)
    body: dict[str, Any] = {
        "seed": draw(seeds),
        "dtype": default,
        "tensors": draw(
            st.lists(
                tensors(default, max_elements),
                min_size=1,
                max_size=max_tensors,
                unique_by=lambda tensor: tensor["name"],
            )
        ),
    }
    rules = []
    for _ in range(draw(st.integers(0, 2))):
        pattern = draw(globs([tensor["name"] for tensor in body["tensors"]]))
        # Zeros and ones fit every dtype, so they may change with the init but not without it.
        init = draw(st.sampled_from(("zeros", "ones")))
        rule = {"match": pattern, "init": init, "optional": True}
        if draw(st.booleans()):
            rule["dtype"] = draw(st.sampled_from(CODES))
        rules.append(rule)
    if rules:
        body["rules"] = rules
    if draw(st.booleans()):
        body["metadata"] = draw(
            st.dictionaries(plain_text.filter(_free_key), plain_text, max_size=3)
        )
    return body


def _free_key(key: str) -> bool:
    return key not in ("", "format") and not key.startswith("seedbed.")


def specs(max_tensors: int = 5, max_elements: int = 200) -> st.SearchStrategy[CheckpointSpec]:
    """Specs as models."""
    return bodies(max_tensors, max_elements).map(CheckpointSpec.model_validate)


def matches(name: str, pattern: str) -> bool:
    """Whether a rule is about a tensor, as the shell has it."""
    return fnmatch.fnmatchcase(name, pattern)


def byte_ranges(size: int) -> st.SearchStrategy[tuple[int, int]]:
    """Half-open ranges within a file of this size: empty, whole and everything between."""
    ends = st.integers(0, size)
    return st.tuples(ends, ends).map(lambda pair: (min(pair), max(pair)))


DIRECTIONS = frozenset({"in_axis", "out_axis", "batch_axis", "fan_in", "fan_out"})
"""Parameters of which most combinations mean nothing."""

_EDGES = (0.0, -0.0, 1.0, 4.0, -4.0, 1e-320, 1e-45, 1e-30, 448.0, 65504.0, 1e38, 3.4e38, 1e300)


INNER: tuple[Any, ...] = (
    "zeros",
    "normal",
    "he_normal",
    "orthogonal",
    "mamba_dt_bias",
    {"scheme": "uniform", "low": 0.0, "high": 1.0},
    {"scheme": "constant", "value": 2},
)
"""Schemes that others are made of."""

_listed = st.one_of(
    st.integers(-3, 9),
    st.sampled_from((0.1, -0.0, 2**63, True)),
)

_interval = st.tuples(st.integers(0, 3), st.integers(1, 3)).map(lambda p: [p[0], p[0] + p[1]])

_parts = st.fixed_dictionaries(
    {
        "box": st.lists(st.none() | _interval, min_size=1, max_size=2),
        "init": st.sampled_from(INNER),
    }
)

_steps = st.one_of(
    st.sampled_from(sorted(FUNCTIONS)).map(lambda name: [name]),
    st.tuples(st.sampled_from(("mul", "add")), st.floats(-4, 4)).map(list),
    st.tuples(st.just("clamp"), st.none() | st.floats(0, 1), st.floats(1.5, 9)).map(list),
)

_MEMBERS: dict[Any, st.SearchStrategy[Any]] = {
    Part: _parts,
    int | float: _listed,
    get_args(SCHEMES["chain"].model_fields["steps"].annotation)[0]: _steps,
}
"""By what a tuple is declared to be of."""


def values_of(annotation: Any) -> st.SearchStrategy[Any]:  # noqa: PLR0911, C901 (a kind each)
    """Values of a scheme parameter, in range or not, from the type it is declared with."""
    if annotation is Init:
        return st.sampled_from(INNER)
    if get_origin(annotation) is tuple and get_args(annotation)[0] in _MEMBERS:
        return st.lists(_MEMBERS[get_args(annotation)[0]], min_size=1, max_size=4)
    if get_origin(annotation) is Literal:
        return st.sampled_from(get_args(annotation))
    if get_origin(annotation) in (Union, types.UnionType):
        return st.one_of(*map(values_of, get_args(annotation)))
    if get_origin(annotation) is Annotated:  # of an axis or a count, which are seldom absurd
        return st.integers(-4, 4) | values_of(get_args(annotation)[0])
    if get_origin(annotation) is tuple:
        return st.lists(st.integers(-4, 4), max_size=3)
    if annotation is float:
        return st.one_of(
            st.sampled_from(_EDGES),
            st.floats(-8.0, 8.0),
            st.floats(allow_nan=False, allow_infinity=False),
        )
    if annotation is int:
        return st.integers(-(2**70), 2**70)
    if annotation is type(None):
        return st.none()
    if annotation is bool:
        return st.booleans()
    raise NotImplementedError(f"no values of {annotation!r} yet: add them here")


@st.composite
def scheme_objects(draw: st.DrawFn, scheme: type[Scheme] | None = None) -> dict[str, Any]:
    """Any member of `SCHEMES` with any of its parameters, many of them out of range."""
    kind = scheme or SCHEMES[draw(st.sampled_from(sorted(SCHEMES)))]
    left_out = frozenset() if draw(st.integers(0, 3)) == 0 else DIRECTIONS
    parameters = {
        name: draw(values_of(field.annotation))
        for name, field in kind.model_fields.items()
        if name != "scheme"
        and (field.is_required() or (name not in left_out and draw(st.booleans())))
    }
    return {"scheme": kind.model_fields["scheme"].default, **parameters}


def is_finite_number(value: object) -> bool:
    """Whether JSON can carry a value as a number."""
    return isinstance(value, int | float) and math.isfinite(value)


_SIZES = st.sampled_from((1, 2, 2, 3, 4, 4, 6, 8))


def _arguments(annotation: Any) -> st.SearchStrategy[Any]:
    """Values of a layer's argument, mostly sound, from the type it is declared with."""
    if get_origin(annotation) is Annotated:
        return _arguments(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return st.one_of(*map(_arguments, get_args(annotation)))
    if get_origin(annotation) is tuple:
        return _SIZES | st.lists(_SIZES, min_size=1, max_size=3)
    if annotation is int:
        return _SIZES
    return values_of(annotation)


_LAYER_SCHEMES: tuple[Any, ...] = (
    *("zeros", "ones", "normal", "uniform", "he_normal", "glorot_normal", "orthogonal", "rglru"),
    *("mamba_A_log", "unit_norm_rows", "zero_init", "eye", "lru_nu_log"),
    {"scheme": "constant", "value": -0.0},
    {"scheme": "constant", "value": 0.1},
    {"scheme": "constant", "value": 7},
    {"scheme": "he_uniform", "convention": "keras", "mode": "fan_out"},
    {"scheme": "lecun_normal", "convention": "jax"},
    {"scheme": "variance_scaling", "convention": "jax", "mode": "fan_avg", "in_axis": -1},
    {"scheme": "he_normal", "convention": "jax", "fan_in": 7},
    {"scheme": "sparse", "sparsity": 0.5, "per": "row"},
    {"scheme": "truncated_normal", "lower": None, "bounds": "absolute"},
)


@st.composite
def layer_objects(draw: st.DrawFn, name: str) -> dict[str, Any]:
    """Any layer with any of its arguments that go together."""
    kind = LAYERS[draw(st.sampled_from(sorted(LAYERS)))]
    layer: dict[str, Any] = {"type": kind.model_fields["type"].default, "name": name}
    for field, info in kind.model_fields.items():
        if field in ("type", "name", "init", "same_as", "dtype", "defaults"):
            continue
        if info.is_required() or draw(st.booleans()):
            layer[field] = draw(_arguments(info.annotation))
    layer["defaults"] = draw(st.sampled_from(("torch", "torch", "keras", "flax", "nnx")))
    if draw(st.integers(0, 3)) == 0:
        layer["dtype"] = draw(float_codes)
    try:
        takes = kind.model_validate(layer).takes
    except ValueError:
        reject()
    if draw(st.booleans()) and takes:
        keys = draw(st.lists(st.sampled_from(takes), max_size=3, unique=True))
        layer["init"] = {key: draw(st.sampled_from(_LAYER_SCHEMES)) for key in keys}
    elif draw(st.booleans()) and "weight" in takes:
        layer["init"] = draw(st.sampled_from(_LAYER_SCHEMES))
    return layer


@st.composite
def network_bodies(draw: st.DrawFn) -> dict[str, Any]:
    """Specs of layers, a manifest and tensors in any framework, with every kind of rule.

    Many of them mean no file; every kind of what does is among them.
    """
    body: dict[str, Any] = {
        "seed": draw(seeds),
        "dtype": draw(st.sampled_from(("F32", "F32", *FLOATS))),
        "framework": draw(st.sampled_from(("torch", "torch", "keras", "flax", "nnx"))),
        "layers": [draw(layer_objects(f"l{i}")) for i in range(draw(st.integers(1, 3)))],
    }
    if draw(st.integers(0, 2)) == 0:
        tensors_too = st.lists(tensors(body["dtype"], 40), max_size=3, unique_by=_name_of)
        body["tensors"] = draw(tensors_too)
    if body["framework"] == "torch" and draw(st.integers(0, 2)) == 0:
        entries = st.one_of(
            shapes(40),
            st.fixed_dictionaries({"shape": shapes(40), "dtype": float_codes}),
            st.fixed_dictionaries({"shape": shapes(40), "init": st.sampled_from(_LAYER_SCHEMES)}),
            st.fixed_dictionaries(
                {"shape": shapes(40), "dtype": st.just("I64"), "init": st.just("ones")}
            ),
        )
        body["model"] = {"manifest": draw(st.dictionaries(_entry_names, entries, min_size=1))}
    rules = []
    for _ in range(draw(st.integers(0, 4))):
        rule: dict[str, Any] = {"match": draw(_layer_globs), "optional": True}
        how = draw(st.integers(0, 5))
        if how in (0, 1):
            rule["init"] = draw(st.sampled_from(_LAYER_SCHEMES))
        elif how == 2:
            rule["same_as"] = draw(st.sampled_from(("l0.weight", "l*.weight", "l0.bias")))
        if how in (1, 3):
            rule["dtype"] = draw(st.sampled_from(CODES))
        elif how > 3:
            rule["drop"] = draw(st.sampled_from((True, False)))
        rules.append(rule)
    body["rules"] = rules
    if draw(st.integers(0, 3)) == 0:
        body["max_shard_size"] = draw(st.integers(1, 300))
    return body


_entry_names = st.sampled_from(
    ("w", "a.bias", "running_mean", "num_batches_tracked", "é'", 'b"', "\u2028", "x/scale", "z b")
) | names  # fmt: skip
_layer_globs = st.sampled_from(
    ("*", "l*", "l0.*", "*.weight", "*bias*", "*_l0", "*num_batches_tracked", "l[!0].*", "?0.w*")
)


def _name_of(tensor: dict[str, Any]) -> str:
    return str(tensor["name"])
