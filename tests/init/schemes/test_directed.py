from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from seedbed.errors import ShapeError
from seedbed.init import SCHEMES, Init, Limits, Scheme, hints_of, plan
from seedbed.init.layers.base import Parameter
from seedbed.init.planning import TensorPlan, TensorSpec
from seedbed.init.schemes.base import Fans, fans_of
from seedbed.init.schemes.directed import ByFans, directed
from tests.strategies import REQUIRED, untimed

BY_FANS = sorted(name for name, scheme in SCHEMES.items() if issubclass(scheme, ByFans))


def scheme_of(name: str, **parameters: Any) -> Scheme:
    """A scheme with parameters, as a request has it."""
    body = {"scheme": name, **REQUIRED.get(name, {}), **parameters}
    made: Scheme = TypeAdapter(Init).validate_python(body)
    return made


def planned(shape: tuple[int, ...], init: Any) -> TensorPlan:
    """The plan of one tensor."""
    (only,) = plan([TensorSpec(name="w", shape=shape, init=init)], (), "F32", Limits())
    return only


@pytest.mark.parametrize(
    ("shape", "axes", "fans"),
    [
        ((8, 64, 128), {"batch_axis": 0}, (128, 64)),  # experts as PyTorch's Linear
        ((8, 64, 128), {"batch_axis": 0, "in_axis": 1, "out_axis": 2}, (64, 128)),
        ((8, 64, 128), {"batch_axis": (0,), "in_axis": -2, "out_axis": -1}, (64, 128)),
        ((64, 128), {"in_axis": 0, "out_axis": 1}, (64, 128)),  # as Flax' kernels
        ((64, 128), {"in_axis": 0}, (64, 128)),
        ((64, 128), {"out_axis": 1}, (64, 128)),
        ((3, 3, 16, 32), {"in_axis": -2, "out_axis": -1}, (9 * 16, 9 * 32)),  # HWIO
        ((3, 3, 16, 32), {"in_axis": 2}, (16 * 96, 3 * 96)),  # out is the first that is left
        ((12, 64, 768), {"in_axis": (0, 1), "out_axis": 2}, (768, 768)),  # heads, joined
        ((2, 8, 5, 6, 3), {"batch_axis": (0, 1)}, (6 * 3, 5 * 3)),
        ((4, 5), {"in_axis": ()}, (5, 20)),
        ((7,), {"in_axis": ()}, (1, 7)),
        ((4, 0), {"in_axis": 0}, (4, 0)),
    ],
)
def test_fans_by_named_axes(
    shape: tuple[int, ...], axes: dict[str, Any], fans: tuple[int, int]
) -> None:
    """Named axes are inputs, outputs or copies; of the others the first are out and in."""
    assert directed(shape, **axes) == fans


@untimed
@given(st.lists(st.integers(0, 9), min_size=2, max_size=5))
def test_without_names_the_rule_is_that_of_shapes(shape: list[int]) -> None:
    """No axis named, none of them a copy, and PyTorch's named: all give the plain fans."""
    plain = fans_of(tuple(shape))
    assert directed(tuple(shape)) == plain
    assert directed(tuple(shape), batch_axis=()) == plain
    assert directed(tuple(shape), in_axis=1, out_axis=0) == plain
    assert directed((7, *shape), batch_axis=0) == plain


@pytest.mark.parametrize(
    ("shape", "axes", "parameter"),
    [
        ((4, 5), {"in_axis": 2}, "in_axis"), ((4, 5), {"out_axis": -3}, "out_axis"),
        ((4, 5), {"in_axis": 0, "out_axis": -2}, "in_axis"),
        ((4, 5), {"in_axis": (1, -1)}, "in_axis"),
        ((4, 5), {"batch_axis": 0}, "in_axis"), ((4, 5), {"in_axis": (0, 1)}, "out_axis"),
        ((4, 5), {"batch_axis": (0, 1)}, "out_axis"), ((), {"batch_axis": 0}, "batch_axis"),
    ],
)  # fmt: skip
def test_axes_that_a_shape_does_not_have(
    shape: tuple[int, ...], axes: dict[str, Any], parameter: str
) -> None:
    """An axis that is not there, is named twice, or is missing is refused under its parameter."""
    with pytest.raises(ShapeError) as caught:
        directed(shape, **axes)
    assert caught.value.path == ("init", parameter)
    assert str(list(shape)) in caught.value.message


@pytest.mark.parametrize("name", BY_FANS)
def test_every_scheme_by_fans_can_be_directed(name: str) -> None:
    """A stack is filled as one of its matrices is, whether named by axes or by numbers."""
    matrix = scheme_of(name).fill((64, 128))
    stack = scheme_of(name, batch_axis=0)
    turned = scheme_of(name, in_axis=2, out_axis=1, batch_axis=0)
    needs = stack.needs if isinstance(stack, ByFans) else ()
    numbers = {key: {"fan_in": 128, "fan_out": 64}[key] for key in needs}
    assert stack.fill((8, 64, 128)) == turned.fill((8, 64, 128)) == matrix
    assert scheme_of(name, **numbers).fill((8, 64, 128)) == matrix
    assert scheme_of(name, **numbers).fill((7,)) == matrix
    assert stack.fill((8, 64, 128)) != scheme_of(name).fill((8, 64, 128))


def test_what_a_spec_says_goes_before_what_a_layer_knows() -> None:
    """Fans of a layer are used unless the scheme's own say otherwise; numbers one by one."""
    known = Fans(10, 20)
    assert scheme_of("he_normal").fans((4, 5), known) == known
    assert scheme_of("he_normal", in_axis=0).fans((4, 5), known) == (4, 5)
    assert scheme_of("glorot_normal", fan_out=3).fans((4, 5), known) == (10, 3)
    parameter = Parameter("w", (8, 5), scheme_of("he_normal", in_axis=0), gates=4)
    assert parameter.fill(parameter.init, "w") == Parameter(
        "w", (8, 5), scheme_of("he_normal", fan_in=2), gates=4
    ).fill(scheme_of("he_normal", fan_in=2), "w")


@pytest.mark.parametrize(
    ("name", "parameters", "said"),
    [
        ("he_normal", {"fan_out": 3}, "does not use fan_out"),
        ("he_normal", {"mode": "fan_out", "fan_in": 3}, "does not use fan_in"),
        ("he_normal", {"fan_in": 3, "in_axis": 0}, "not both"),
        ("he_normal", {"fan_in": 0}, "greater than or equal to 1"),
        ("siren", {"fan_out": 3}, "does not use fan_out"),
        ("wang_init", {"width": 3, "fan_in": 3}, "width stands for fan_in"),
        ("wang_init", {"width": 3, "batch_axis": 0}, "width stands for fan_in"),
        ("he_normal", {"in_axis": [1, 1]}, "named twice"),
        *(("he_normal", {"in_axis": wrong}, "must be an axis")
          for wrong in (True, 1.0, "1", [1, "0"], 64, -65, {}, [[0]])),
    ],
)  # fmt: skip
def test_what_does_not_go_together(name: str, parameters: dict[str, Any], said: str) -> None:
    """What would have no effect, or two of them, is refused once, and so is what is no axis."""
    with pytest.raises(ValidationError, match=said) as caught:
        scheme_of(name, **parameters)
    assert caught.value.error_count() == 1


def test_canonical_directions() -> None:
    """A list of one is that axis, several are in order, and defaults are left out."""
    assert scheme_of("he_normal", in_axis=[1], batch_axis=None).canonical() == {
        "scheme": "he_normal", "in_axis": 1,
    }  # fmt: skip
    assert scheme_of("he_normal", in_axis=[2, 0]).canonical() == {
        "scheme": "he_normal", "in_axis": [0, 2],
    }  # fmt: skip
    again = scheme_of("he_normal", in_axis=[0, 2])
    assert again.spelling == scheme_of("he_normal", in_axis=(2, 0)).spelling


@pytest.mark.parametrize(
    ("shape", "init", "hinted"),
    [
        ((8, 64, 128), "he_normal", True), ((128, 2048, 768), "glorot_uniform", True),
        ((4, 16, 16), {"scheme": "variance_scaling", "mode": "fan_avg"}, True),
        ((8, 64, 128), {"scheme": "he_normal", "batch_axis": 0}, False),
        ((8, 64, 128), {"scheme": "he_normal", "fan_in": 64}, False),
        ((8, 64, 128), "normal", False), ((8, 64, 128), "orthogonal", False),
        ((256, 128, 3), "he_normal", False), ((512, 512, 15), "he_normal", False),
        ((1280, 80, 3), "he_normal", False),  # Whisper
        ((1024, 64, 128), "he_normal", False),  # wav2vec 2.0
        ((1, 64, 64), "he_normal", False), ((64, 64), "he_normal", False),
        ((8, 3, 7, 7), "he_normal", False),
    ],
)  # fmt: skip
def test_a_stack_is_hinted_at(shape: tuple[int, ...], init: Any, hinted: bool) -> None:  # noqa: FBT001
    """Few matrices with many columns are asked about; kernels and what is directed are not."""
    spec = TypeAdapter(Init).validate_python(init)
    hints = list(hints_of(planned(shape, spec)))
    assert bool(hints) is hinted
    assert all("batch_axis" in hint for hint in hints)
