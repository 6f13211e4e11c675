from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given

from seedbed.errors import LimitError
from seedbed.files import Checkpoint, CheckpointSpec, is_short
from seedbed.files.price import price
from seedbed.init import Limits
from tests.strategies import specs, untimed

LIMITS = Limits()

STARRY = [{"match": "[ab]" * 200, "init": "ones"}]


def spec(**fields: Any) -> CheckpointSpec:
    """A spec."""
    return CheckpointSpec.model_validate(fields)


def lstm(name: str = "l", layers: int = 256) -> dict[str, Any]:
    """A layer of ten tensors for each of its own layers."""
    return {
        "type": "lstm", "name": name, "input_size": 1, "hidden_size": 2, "num_layers": layers,
        "bidirectional": True, "proj_size": 1,
    }  # fmt: skip


@untimed
@given(specs())
def test_it_is_what_planning_comes_to(one: CheckpointSpec) -> None:
    """Tensors and bytes of header that are counted are those of the plan, or no more."""
    counted = price(one, LIMITS)
    checkpoint = Checkpoint(one)
    assert counted.tensors == len(checkpoint.tensors)
    assert counted.header_bytes <= len(checkpoint.whole.header)
    if one.framework == "torch":
        assert counted.name_bytes == sum(len(t.name.encode()) for t in checkpoint.tensors)


def test_what_is_dropped_is_counted() -> None:
    """Rules are tried on tensors that they drop."""
    dropped = spec(layers=[lstm()], rules=[{"match": "*_l1*", "drop": True}])
    assert price(dropped, LIMITS).tensors == 2560


@pytest.mark.parametrize(
    ("fields", "limit"),
    [
        ({"layers": [lstm("a" * 100_000)], "rules": [{"match": f"*{'a' * 500}b", "init": "ones"}]},
         "max_name_bytes"),
        ({"tensors": [{"name": "ü" * 600, "shape": [1], "init": "ones"}]}, "max_name_bytes"),
        ({"model": {"manifest": {"n" * 2000: [1]}}}, "max_name_bytes"),
        ({"layers": [lstm(f"l{i}") for i in range(1000)]}, "max_tensors"),
        ({"layers": [lstm(f"{i}{'a' * 900}") for i in range(4)], "rules": STARRY},
         "max_rule_work"),
        ({"layers": [lstm(f"{i}{'a' * 900}") for i in range(42)]},
         "max_header_bytes"),
    ],
)  # fmt: skip
def test_too_much_is_refused_before_it_is_paid(fields: dict[str, Any], limit: str) -> None:
    """What would take minutes to plan is refused within seconds of processor."""
    wanted = spec(**fields)
    began = time.thread_time()
    with pytest.raises(LimitError) as refused:
        price(wanted, LIMITS)
    assert time.thread_time() - began < 8
    assert refused.value.limit == limit
    assert refused.value.actual > refused.value.maximum


def test_short_specs() -> None:
    """A few tensors are short; a model, many tensors of few layers and long rules are not."""
    tensors = [{"name": f"t{i}", "shape": [1], "init": "ones"} for i in range(50)]
    few = {"tensors": tensors, "layers": [lstm(layers=2)]}
    assert is_short(spec(**few), 200, 10**6)
    assert not is_short(spec(**few), 69, 10**6)
    assert not is_short(spec(layers=[lstm()]), 200, 10**6)
    assert not is_short(spec(model={"preset": "tiny-gpt2"}), 200, 10**6)
    assert not is_short(spec(**few, quantization="fp8-dynamic"), 200, 10**6)
    assert not is_short(spec(**few, rules=STARRY * 3), 200, 10**6)
    named = [{"name": "a" * 10_000, "shape": [1], "init": "ones"}]
    assert not is_short(
        spec(tensors=named, rules=[{"match": "?", "init": "ones"}] * 30), 200, 10**6
    )
