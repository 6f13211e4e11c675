from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from seedbed.errors import LimitError, ParameterError, ShapeError, SpecError
from seedbed.init import Limits, Rule, Source, TensorPlan, TensorSpec, plan
from seedbed.init.matrices import MatrixCache
from seedbed.stream import DTYPES, NUMPY, get_engine
from tests.strategies import ODD_NAMES, bodies, globs, names, untimed

CONTROLS = [*map(chr, range(0x20)), *map(chr, range(0x7F, 0xA0))]


def tensor(**fields: Any) -> TensorSpec:
    """A tensor as JSON says it."""
    return TensorSpec.model_validate({"name": "w", "shape": [2], **fields})


def plan_of(body: dict[str, Any], limits: Limits | None = None) -> tuple[TensorPlan, ...]:
    """The plan of a spec, as JSON."""
    return plan(
        [TensorSpec.model_validate(one) for one in body["tensors"]],
        [Rule.model_validate(one) for one in body.get("rules", ())],
        body.get("dtype", "F32"),
        limits or Limits(),
    )


def refusal(body: dict[str, Any]) -> SpecError:
    """The error of a spec that has no plan."""
    with pytest.raises(SpecError) as caught:
        plan_of(body)
    return caught.value


def values(planned: TensorPlan, seed: int = 42) -> bytes:
    """All bytes of a tensor, by the definition."""
    out = bytearray(planned.size_bytes)
    source = Source(get_engine(NUMPY), seed, planned.name, planned.dtype, MatrixCache(0, 1))
    planned.fill.write(source, 0, memoryview(out))
    return bytes(out)


# Names


@pytest.mark.parametrize("name", ODD_NAMES)
def test_odd_names_are_kept(name: str) -> None:
    """Quotes, backslashes, other scripts and combining marks are a name like any other."""
    assert tensor(name=name, init="zeros").name == name


@pytest.mark.parametrize("control", CONTROLS, ids=lambda c: f"{ord(c):02x}")
def test_control_characters_are_refused(control: str) -> None:
    """No tensor name, rule or text has one; the message says which and where."""
    for make in (
        lambda text: tensor(name=text, init="zeros"),
        lambda text: Rule(match=text, init="zeros"),
    ):
        with pytest.raises(ValidationError) as caught:
            make(f"ab{control}c")
        (finding,) = caught.value.errors()
        assert f"U+{ord(control):04X} at position 2" in finding["msg"]


@pytest.mark.parametrize("half", [0xD800, 0xDBFF, 0xDC00, 0xDFFF])
def test_halves_of_surrogate_pairs_are_refused(half: int) -> None:
    """Text that UTF-8 cannot hold is no name."""
    with pytest.raises(ValidationError):
        tensor(name=f"a{chr(half)}", init="zeros")


@pytest.mark.parametrize(("name", "said"), [("__metadata__", "format's own"), ("", "at least 1")])
def test_names_that_the_format_cannot_have(name: str, said: str) -> None:
    """The key of the metadata and the empty name are refused."""
    with pytest.raises(ValidationError, match=said):
        tensor(name=name, init="zeros")


# Shapes


@pytest.mark.parametrize(
    "shape",
    [[-1], [2, -3], [1.0], [2.5], ["2"], [True], [None], [[2]], [2**63], [10**400], [math.nan],
     2, "2x3", None, {"0": 2}],
)  # fmt: skip
def test_dimensions_are_integers_from_0(shape: Any) -> None:
    """Anything else is refused at its place in the shape, and only the first such dimension."""
    with pytest.raises(ValidationError) as caught:
        tensor(shape=shape, init="zeros")
    (finding,) = caught.value.errors()
    assert finding["loc"][0] == "shape"
    if isinstance(shape, list):
        assert finding["loc"] == ("shape", len(shape) - 1)


@pytest.mark.parametrize(
    "shape", [[2**32, 2**31], [2**62, 2, 0], [0, 2**62, 2], [2**21, 2**21, 2**21]]
)
def test_shapes_past_63_bits(shape: list[int]) -> None:
    """2⁶³ elements are refused in a plan, also where a 0 would make it none."""
    body = {"tensors": [{"name": "w", "shape": shape, "init": "zeros"}]}
    error = refusal(body)
    assert isinstance(error, ShapeError)
    assert error.path == ("tensors", 0, "shape")


def test_the_largest_shapes_are_planned() -> None:
    """One element less than 2⁶³ is a plan like any other, of a size that Python counts."""
    shape = [7, 73, 127, 337, 92737, 649657]  # the factors of 2⁶³ − 1, but for one 7
    body = {"tensors": [{"name": "w", "shape": [*shape, 7], "init": "normal", "dtype": "F64"}]}
    (planned,) = plan_of(body)
    assert planned.elements == 2**63 - 1
    assert planned.size_bytes == 8 * (2**63 - 1)


# What a tensor needs


def test_a_tensor_needs_an_init_or_a_rule() -> None:
    """Without either the plan is refused at the tensor's init, by name."""
    error = refusal(
        {
            "tensors": [
                {"name": "a.bias", "shape": [2]},
                {"name": "a.weight", "shape": [2]},
            ],
            "rules": [{"match": "*.bias", "init": "zeros"}],
        }
    )
    assert error.path == ("tensors", 1, "init")
    assert "'a.weight'" in error.message


def test_two_tensors_of_one_name() -> None:
    """The second is refused, with the place of the first."""
    error = refusal(
        {"tensors": [{"name": name, "shape": [], "init": "zeros"} for name in ("a", "b", "a")]}
    )
    assert error.path == ("tensors", 2, "name")
    assert "'a' also names tensor 0" in error.message


def test_names_that_only_look_alike_are_two() -> None:
    """Names are compared by code point: é and e with an accent are two tensors."""
    body = {"tensors": [{"name": n, "shape": [], "init": "zeros"} for n in ("é", "e\u0301")]}
    assert [one.name for one in plan_of(body)] == ["é", "e\u0301"]


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"init": "he_normal", "shape": [3]}, ("shape",)),
        ({"init": {"scheme": "uniform", "low": 2.0}}, ("init", "high")),
        ({"init": "normal", "dtype": "I8"}, ("dtype",)),
        ({"init": {"scheme": "normal", "std": 100.0}, "dtype": "F8_E4M3"}, ("init",)),
        ({"init": {"scheme": "constant", "value": 300}, "dtype": "U8"}, ("init", "value")),
        ({"init": {"scheme": "constant", "value": 0.5}, "dtype": "BOOL"}, ("init", "value")),
    ],
)
def test_refusals_are_where_the_spec_says_it(fields: dict[str, Any], path: tuple[str, ...]) -> None:
    """An error is placed in the tensor, or in the rule that decided, which names the tensor."""
    good = {"name": "good", "shape": [2, 2], "init": "zeros"}
    own = refusal({"tensors": [good, {"name": "w", "shape": [2, 3], **fields}]})
    assert own.path == ("tensors", 1, *path)
    moved = {key: fields[key] for key in ("init", "dtype") if key in fields}
    rules = [
        {"match": "good", "init": "ones"},
        {"match": "w", "init": "zeros", "dtype": "F32"},
        {"match": "[w]", **moved},
        {"match": "x*", "init": "ones", "dtype": "F32"},
    ]
    body = {
        "tensors": [good, {"name": "w", "shape": fields.get("shape", [2, 3]), "init": "ones"}],
        "rules": rules,
    }
    ruled = refusal(body)
    if path[0] == "shape":
        assert ruled.path == own.path
        assert ruled.message == own.message
    else:
        assert ruled.path == ("rules", 2, *path)
        assert ruled.message == f"{own.message} ('w')"
    assert type(ruled) is type(own)


def test_the_checkpoint_s_dtype_is_no_fault_of_a_rule() -> None:
    """What only the checkpoint's dtype makes wrong is placed at the init that it cannot hold."""
    body = {
        "dtype": "F8_E4M3",
        "tensors": [{"name": "w", "shape": [2], "init": {"scheme": "constant", "value": 449}}],
        "rules": [{"match": "*.bias", "init": "zeros"}],
    }
    assert refusal(body).path == ("tensors", 0, "init", "value")


@pytest.mark.parametrize(
    ("body", "limits", "facts"),
    [
        ({"tensors": 3}, {"max_tensors": 2}, ("max_tensors", 3, 2)),
        ({"rules": 3}, {"max_rules": 2}, ("max_rules", 3, 2)),
        ({"shape": [1] * 3}, {"max_rank": 2}, ("max_rank", 3, 2)),
        ({"name": "é" * 3}, {"max_name_bytes": 5}, ("max_name_bytes", 6, 5)),
    ],
)
def test_limits_of_a_plan(
    body: dict[str, Any], limits: dict[str, int], facts: tuple[str, int, int]
) -> None:
    """One more than a limit is refused with both numbers; at the limit there is a plan."""
    spec = {
        "tensors": [
            {"name": body.get("name", f"t{i}"), "shape": body.get("shape", []), "init": "zeros"}
            for i in range(body.get("tensors", 1))
        ],
        "rules": [{"match": "*", "init": "ones", "optional": True}] * body.get("rules", 0),
    }
    with pytest.raises(LimitError) as caught:
        plan_of(spec, Limits(**limits))
    error = caught.value
    assert (error.limit, error.actual, error.maximum) == facts
    (limit, maximum), *_ = limits.items()
    assert len(plan_of(spec, Limits(**{limit: maximum + 1}))) == len(spec["tensors"])


@pytest.mark.parametrize("fields", [{}, {"init": None}, {"init": None, "dtype": None}])
def test_a_rule_says_something(fields: dict[str, Any]) -> None:
    """A rule with neither init nor dtype is a mistake."""
    with pytest.raises(ValidationError, match="needs init, same_as, dtype or drop"):
        Rule.model_validate({"match": "*", **fields})


@pytest.mark.parametrize("match", ["", "a" * 1025, 5, None])
def test_patterns_are_text_of_bounded_length(match: Any) -> None:
    """A rule's pattern has 1 to 1024 characters."""
    with pytest.raises(ValidationError):
        Rule.model_validate({"match": match, "init": "zeros"})


def test_unknown_fields_are_errors() -> None:
    """A field that tensors or rules do not have is refused at its name."""
    for model, body in (
        (TensorSpec, {"name": "a", "shape": [], "inti": "zeros"}),
        (Rule, {"match": "*", "init": "zeros", "shape": []}),
    ):
        with pytest.raises(ValidationError) as caught:
            model.model_validate(body)
        (finding,) = caught.value.errors()
        assert finding["type"] == "extra_forbidden"


# Rules


def glob_matches(pattern: str, name: str) -> bool:
    """The shell's pattern language, one character at a time."""
    if not pattern:
        return not name
    if pattern[0] == "*":
        return any(glob_matches(pattern[1:], name[i:]) for i in range(len(name) + 1))
    if pattern[0] == "[" and (end := pattern.find("]", 3 if pattern[1:2] == "!" else 2)) > 0:
        inside = pattern[1:end]
        negated = inside.startswith("!")
        inside = inside[negated:]
        found = False
        while inside:
            if len(inside) > 2 and inside[1] == "-":
                found |= bool(name) and inside[0] <= name[0] <= inside[2]
                inside = inside[3:]
            else:
                found |= name[:1] == inside[0]
                inside = inside[1:]
        return bool(name) and found != negated and glob_matches(pattern[end + 1 :], name[1:])
    return bool(name) and pattern[0] in ("?", name[0]) and glob_matches(pattern[1:], name[1:])


_patterns = st.text(st.sampled_from("ab-.*?[]!^\\"), min_size=1, max_size=8)


@untimed
@given(_patterns, st.lists(st.text(st.sampled_from("ab-.[]!^\\"), min_size=1, max_size=6)))
def test_patterns_are_the_shell_s(pattern: str, targets: list[str]) -> None:
    """A rule is about exactly the names that its glob matches as a whole, case-sensitively."""
    targets = list(dict.fromkeys([*targets, "a", "A"]))
    body = {
        "tensors": [{"name": name, "shape": [], "init": "zeros"} for name in targets],
        "rules": [{"match": pattern, "init": "ones", "optional": True}],
    }
    found = [one.scheme.scheme == "ones" for one in plan_of(body)]
    assert found == [glob_matches(pattern, name) for name in targets]


@untimed
@given(st.data())
def test_the_last_rule_that_matches_decides(data: st.DataObject) -> None:
    """Init and dtype each come from the last matching rule that has one, else from the tensor."""
    targets = data.draw(st.lists(names, min_size=1, max_size=4, unique=True))
    patterns = data.draw(st.lists(globs(targets), max_size=5))
    choices = st.sampled_from(
        [
            {"init": {"scheme": "constant", "value": 0.5}},
            {"init": "ones"},
            {"dtype": "F64"},
            {"dtype": "F16"},
            {"init": "zeros", "dtype": "BF16"},
        ]
    )
    rules = [{"match": pattern, "optional": True, **data.draw(choices)} for pattern in patterns]
    body = {
        "dtype": data.draw(st.sampled_from(("F32", "F64"))),
        "tensors": [{"name": name, "shape": [3], "init": "normal"} for name in targets],
        "rules": rules,
    }
    for one in plan_of(body):
        init, dtype = "normal", body["dtype"]
        for rule in rules:
            if glob_matches(rule["match"], one.name):
                init, dtype = rule.get("init", init), rule.get("dtype", dtype)
        assert one.scheme.canonical() == init
        assert one.dtype is DTYPES[dtype]


def test_a_pattern_made_to_be_slow_is_not() -> None:
    """Hundreds of stars against a name that nearly matches end, and do not match."""
    body = {
        "tensors": [{"name": "a" * 1000, "shape": [], "init": "zeros"}],
        "rules": [{"match": "*a" * 400 + "*b", "init": "ones", "optional": True}],
    }
    (planned,) = plan_of(body)
    assert planned.scheme.scheme == "zeros"


# Promises


@untimed
@given(bodies(), st.randoms(use_true_random=False))
def test_a_tensor_does_not_know_the_others(body: dict[str, Any], choice: Any) -> None:
    """Without the other tensors, or with them in any order, each has the same bytes (promise 3)."""
    whole = {one.name: values(one) for one in plan_of(body)}
    kept = [one for one in body["tensors"] if choice.random() < 0.6]
    choice.shuffle(kept)
    assert {one.name: values(one) for one in plan_of({**body, "tensors": kept})} == {
        one["name"]: whole[one["name"]] for one in kept
    }


@pytest.mark.parametrize("others", [[0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [2, 0, 4, 1, 3]])
def test_equal_numbers_of_different_sign(others: list[int]) -> None:
    """0 and −0.0 are equal and yet two constants, whichever of them comes first in the spec."""
    spelled: list[Any] = [0, -0.0, False, 0.0, {"scheme": "zeros"}]
    tensors = [
        {
            "name": f"t{i}",
            "shape": [2],
            "init": value if isinstance(value, dict) else {"scheme": "constant", "value": value},
        }
        for i, value in enumerate(spelled)
    ]
    planned = plan_of({"tensors": [tensors[i] for i in others]})
    negative = {one.name: np.signbit(np.frombuffer(values(one), "<f4")).all() for one in planned}
    assert negative == {"t0": False, "t1": True, "t2": False, "t3": False, "t4": False}


@untimed
@given(bodies())
def test_a_plan_has_the_facts_of_its_spec(body: dict[str, Any]) -> None:
    """In the order given: name, shape, elements, bytes; and values of just that many."""
    planned = plan_of(body)
    assert [one.name for one in planned] == [one["name"] for one in body["tensors"]]
    for one, given_tensor in zip(planned, body["tensors"], strict=True):
        assert list(one.shape) == given_tensor["shape"]
        assert one.elements == math.prod(given_tensor["shape"])
        assert one.size_bytes == one.elements * one.dtype.size_bytes


@pytest.mark.parametrize("init", ["he_normal", "zeros", {"scheme": "normal", "std": 0.02}])
@pytest.mark.parametrize("count", [2, 5])
def test_tensors_of_one_kind_share_their_fill(init: Any, count: int) -> None:
    """What a scheme comes to for a shape and dtype is worked out once, not for each tensor."""
    tensors = [{"name": f"t{i}", "shape": [3, 4], "init": init} for i in range(count)]
    assert len({id(one.fill) for one in plan_of({"tensors": tensors})}) == 1


def test_the_error_class_says_what_kind() -> None:
    """A parameter, a shape and the rest each have their class, for readers that want to know."""
    kinds = {
        ParameterError: {"init": {"scheme": "uniform", "low": 2.0}},
        ShapeError: {"init": "he_normal"},
        SpecError: {},
    }
    for kind, fields in kinds.items():
        error = refusal({"tensors": [{"name": "w", "shape": [2], **fields}]})
        assert type(error) is kind


def test_faults_of_several_parts_are_told_together() -> None:
    """The first fault has the others beside it: one for each place, and not without end."""
    vector = {"shape": (3,), "init": {"scheme": "he_normal"}}
    tensors = [
        TensorSpec.model_validate({"name": "a", **vector}),
        TensorSpec.model_validate({"name": "b", "shape": (3,)}),
        TensorSpec.model_validate({"name": "c", "shape": (3, 3), "init": "normal"}),
        TensorSpec.model_validate({"name": "c", "shape": (3,), "init": "zeros"}),
    ]
    with pytest.raises(SpecError) as caught:
        plan(tensors, (), "F32", Limits())
    first = caught.value
    assert [one.path for one in (first, *first.others)] == [
        ("tensors", 0, "shape"), ("tensors", 1, "init"), ("tensors", 3, "name"),
    ]  # fmt: skip
    moved = first.within("spec")
    assert [one.path[0] for one in (moved, *moved.others)] == ["spec"] * 3
    many = [TensorSpec.model_validate({"name": str(i), **vector}) for i in range(1000)]
    with pytest.raises(SpecError) as caught:
        plan(many, (), "F32", Limits())
    assert len(caught.value.others) < 50
    ruled = [TensorSpec.model_validate({"name": str(i), "shape": (3,)}) for i in range(1000)]
    rule = Rule.model_validate({"match": "*", "init": "normal", "dtype": "I8"})
    with pytest.raises(SpecError) as caught:
        plan(ruled, (rule,), "F32", Limits())
    assert (caught.value.path[:2], caught.value.others) == (("rules", 0), ())
