"""Expressions for inits, solved from inits that a library was seen to give."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from scripts.catalogue.fitting import Fitter, Row, condition, nice, taken_apart

ENTRY = ["l.*.weight", "True", ["width", "2 * inner"], "", 0]
ONE = {"tensors": [ENTRY], "loops": {"l.": ["0", "layers"]}}
CONFIGS = [
    {
        "width": width, "inner": inner, "layers": layers, "init_std": std, "tied": bool(n % 3),
        "pad": None if n % 2 else 1, "kinds": ["a", "b"] * 4,
    }
    for n, (width, inner, layers, std) in enumerate([
        (24, 40, 2, 0.02), (48, 56, 3, 0.013), (72, 40, 5, 0.031), (96, 88, 4, 0.0175),
        (24, 104, 7, 0.027), (120, 72, 6, 0.011), (48, 40, 8, 0.0222),
    ])
]  # fmt: skip


def rows(init: Callable[[Mapping[str, Any]], Any]) -> list[Row]:
    """A tensor in each of the configs and layers."""
    return [
        Row(n, scope, init(scope), (scope["width"], 2 * scope["inner"]))
        for n, config in enumerate(CONFIGS)
        for i in range(config["layers"])
        for scope in [{**config, "i": i}]
    ]


def normal(std: float) -> dict[str, Any]:
    """A recorded init."""
    return {"scheme": "normal", "mean": 0.0, "std": std}


@pytest.mark.parametrize(
    ("init", "cases"),
    [
        (lambda _: "ones", [{"scheme": "ones"}]),
        (lambda c: normal(c["init_std"]), [{"scheme": "normal", "with": {"std": "=init_std"}}]),
        (
            lambda c: normal(c["init_std"] / math.sqrt(2 * c["layers"])),
            [{"scheme": "normal", "with": {"std": "=sqrt(1 / 2) * init_std / sqrt(layers)"}}],
        ),
        (
            lambda c: {"scheme": "uniform", "low": -1 / (2 * c["inner"]) ** 0.5, "high": 0.5},
            [{"scheme": "uniform", "with": {"low": "=-1 / sqrt((2 * inner))", "high": 0.5}}],
        ),
        (
            lambda c: normal(c["init_std"]) if c["i"] else "zeros",
            [
                {"scheme": "zeros", "when": "i == 0"},
                {"scheme": "normal", "with": {"std": "=init_std"}},
            ],
        ),
        (
            lambda c: normal(0.5 if c["kinds"][c["i"]] == "b" else c["init_std"]),
            [{"scheme": "normal", "with": {"std": "=init_std if kinds[i] == 'a' else (0.5)"}}],
        ),
        (
            lambda c: (
                normal(c["init_std"])
                if c["pad"] is None
                else {
                    "scheme": "parts", "init": normal(c["init_std"]),
                    "parts": [{"box": [[c["pad"], c["pad"] + 1], None], "init": "zeros"}],
                }
            ),
            [{"scheme": "normal", "with": {"std": "=init_std"}, "row": "pad"}],
        ),
        (
            lambda c: {
                "scheme": "chain", "of": {"scheme": "uniform", "low": 0.0, "high": c["init_std"]},
                "steps": [["log"]],
            },
            [
                {
                    "scheme": "chain",
                    "with": {
                        "of": {"scheme": "uniform", "low": 0.0, "high": "=init_std"},
                        "steps": [["log"]],
                    },
                }
            ],
        ),
    ],
)  # fmt: skip
def test_laws_are_solved(init: Callable[[Any], Any], cases: list[Any]) -> None:
    """Constants, fields, roots of dimensions and of depths, conditions, padding, nested schemes."""
    assert Fitter(ONE).fit(ENTRY, rows(init)) == cases


def test_what_nothing_explains_is_said_to_be() -> None:
    """Numbers that follow from no field, structures that no condition tells, tables."""
    odd = {n: math.sin(n + 1.0) for n in range(len(CONFIGS))}
    found = Fitter(ONE).fit(ENTRY, rows(lambda c: normal(abs(odd[CONFIGS.index(_bare(c))]))))
    assert isinstance(found, str)
    assert "number" in found
    assert Fitter(ONE).fit(ENTRY, rows(lambda _: None)) == "cannot be said"
    mixed = [Row(n, r.scope, ("ones", "arange")[n % 2], r.shape) for n, r in enumerate(rows(len))]
    assert isinstance(Fitter(ONE).fit(ENTRY, mixed), str)


def _bare(scope: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in scope.items() if key != "i"}


def test_a_condition_is_true_of_exactly_what_is_asked() -> None:
    """One literal, or two together."""
    some = rows(lambda _: "zeros")
    wanted = [bool(r.scope["tied"] and r.scope["pad"] is None) for r in some]
    text = condition(some, wanted)
    assert text is not None
    assert " and " in text
    assert condition(some, [n % 5 == 3 for n in range(len(some))]) is None


def test_constants_are_written_as_what_they_are() -> None:
    """Fractions and their roots, also of a float32."""
    assert [nice(value) for value in (2.0, 0.5, math.sqrt(2), 0.70710677, -0.25, 0.1234567)] == [
        "2", "(1 / 2)", "sqrt(2)", "sqrt(1 / 2)", "-(1 / 4)", "0.1234567",
    ]  # fmt: skip
    assert taken_apart("zeros").numbers == (0.0,)
