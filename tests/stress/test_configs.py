from __future__ import annotations

import random
import time
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from seedbed.errors import LimitError, SpecError
from seedbed.models import registry
from seedbed.models.catalogue import build, types
from seedbed.models.catalogue.store import load
from tests.stress.scale import note, sizes

EXTREMES: list[Any] = [
    0, -1, 1, 2, 7, 2**31, 2**53, 2**53 + 1, 2**63, -(2**63), 10**400, -(10**400), 0.0, -0.0, 0.5,
    1e308, -1e308, 5e-324, float("inf"), float("-inf"), float("nan"), True, None, "", "1", "gelu",
    [], [0], [2**53] * 4000, [10**400], ["full_attention"] * 70, [[1]], {}, {"a": 1},
    {"0": 10**400},
]  # fmt: skip

FEW = 200
"""Tensors at the most: enough for every pattern of names, and quickly built."""


def _configs(model_type: str, random_: random.Random, count: int) -> Iterator[dict[str, Any]]:
    """Configs of a type, each with an extreme value or two in some field, at any depth."""
    data = load(model_type)
    for _ in range(count):
        config = {
            "model_type": model_type,
            "architectures": [random_.choice([*data["classes"]])],
        }
        for _ in range(random_.choice((1, 1, 1, 2, 5))):
            _put(config, data["defaults"], random_)
        yield config


def _put(config: dict[str, Any], defaults: Mapping[str, Any], random_: random.Random) -> None:
    name = random_.choice([*defaults])
    value = defaults[name]
    if isinstance(value, Mapping) and value and random_.random() < 0.8:
        inner = config.setdefault(name, {})
        if isinstance(inner, dict):
            _put(inner, value, random_)
        return
    config[name] = random_.choice(EXTREMES)


@pytest.mark.parametrize("each", sizes(2, 10, 40))
def test_extreme_values_in_every_type(each: int) -> None:
    """Whatever a config says, of whatever type, it is a model or an error that says where.

    Nor does any take long: a second of processor at the most.
    """
    random_ = random.Random(14)
    tried = built = 0
    slowest = (0.0, "")
    wrong = []
    for model_type, classes in types().items():
        if not any(state["status"] == "exact" for state in classes.values()):
            continue
        for config in _configs(model_type, random_, each):
            tried += 1
            began = time.thread_time()
            try:
                registry.require_bounded(config)
                build(config, most=FEW)
                built += 1
            except (SpecError, LimitError):
                pass
            except Exception as error:  # noqa: BLE001
                wrong.append(f"{str(config)[:300]}: {error!r}"[:500])
            slowest = max(slowest, (time.thread_time() - began, model_type))
    note("extreme_configs", tried=tried, built=built, slowest_s=round(slowest[0], 2))
    assert wrong == []
    assert tried > 300
    assert slowest[0] < 5
