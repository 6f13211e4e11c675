"""What the real library saves, in tests/golden/models, held against every family."""

from __future__ import annotations

import gzip
import json
import math
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from seedbed.files import Checkpoint, CheckpointSpec
from seedbed.models.transformers import of_config
from tests.oracles import load

GOLDEN = Path(__file__).parents[2] / "golden" / "models"

SIGMAS = 5.0

Doubles = NDArray[np.float64]


@cache
def golden(name: str) -> dict[str, Any]:
    """What the library saved for an entry."""
    found: dict[str, Any] = json.loads(gzip.decompress((GOLDEN / f"{name}.json.gz").read_bytes()))
    return found


ENTRIES = tuple(
    path.name.removesuffix(".json.gz")
    for path in sorted(GOLDEN.glob("*.json.gz"))
    if not path.name.startswith("tv-")
)

MEASURED = tuple(name for name in ENTRIES if golden(name)["mode"] == "init")

REORDERED = {"mixtral-small"}
"""Where experts that share memory were moved behind the others when they were cut into shards."""


def test_there_are_entries() -> None:
    """The goldens of transformers are where they are looked for."""
    assert len(ENTRIES) == 43
    assert len(MEASURED) == 35


@pytest.mark.parametrize("source", ["config", "config_json"])
@pytest.mark.parametrize("name", ENTRIES)
def test_names_shapes_dtypes_and_order_are_the_librarys(name: str, source: str) -> None:
    """Fields as given and all fields as saved mean the tensors that the library saved."""
    entry = golden(name)
    parameters = of_config(entry[source]).parameters
    found = {
        one.name: {"shape": list(one.shape), "dtype": one.dtype or "F32"} for one in parameters
    }
    assert len(found) == len(parameters)
    assert found == {
        key: {"shape": one["shape"], "dtype": one["dtype"]} for key, one in entry["tensors"].items()
    }
    if name not in REORDERED:
        assert list(found) == list(entry["tensors"])


@pytest.mark.parametrize("name", ENTRIES)
def test_the_written_config_is_that_of_the_library(name: str) -> None:
    """What config.json says agrees with what the library wrote, and means the same model.

    But for the version, since these were written by an earlier one.
    """
    entry = golden(name)
    model = of_config(entry["config"])
    assert model.config is not None
    written = {**model.config, "transformers_version": "5.23.0"}
    real = entry["config_json"]
    assert _as_saved(written, real).items() <= real.items()
    assert of_config(written).digest == model.digest


def _as_saved(written: Any, real: dict[str, Any]) -> dict[str, Any]:
    """The fields that both have, those of a part likewise, defaults as the library fills them."""
    found = {}
    for key, value in written.items():
        if key not in real or value == "auto":
            continue
        if isinstance(value, dict) and key.endswith("_config"):
            assert _as_saved(value, real[key]).items() <= real[key].items()
            found[key] = real[key]
        else:
            found[key] = value
    return found


@pytest.mark.parametrize("name", MEASURED)
def test_what_is_drawn_is_distributed_as_measured(name: str) -> None:
    """Each tensor's values agree with those of the library's own, fresh models."""
    entry = golden(name)
    spec = CheckpointSpec.model_validate({"model": {"config": entry["config"]}, "seed": 7})
    whole = Checkpoint(spec).whole
    arrays = load(bytes(whole.read(0, whole.size)))
    for key, tensor in entry["tensors"].items():
        check(f"{name}: {key}", arrays[key].astype(np.float64), tensor["init"])


def check(what: str, values: Doubles, init: dict[str, Any]) -> None:
    """Compare values with a measurement."""
    rows = init.get("zero_rows", [])
    if values.ndim == 2 and values.std() > 0:
        assert [int(row) for row in np.flatnonzero(~values.any(axis=1))] == rows, what
        values = np.delete(values, rows, axis=0)
    kind = init["kind"]
    if kind in ("zeros", "ones", "constant"):
        wanted = {"zeros": 0.0, "ones": 1.0}.get(kind, init.get("value"))
        np.testing.assert_allclose(values, wanted, rtol=1e-6, err_msg=what)
    elif init.get("deterministic"):
        flat = values.ravel()
        known = init.get("values") or [*init["head"], *init["tail"]]
        same = flat if "values" in init else np.concatenate([flat[:8], flat[-8:]])
        np.testing.assert_allclose(same, known, rtol=2e-6, atol=2e-6, err_msg=what)
        np.testing.assert_allclose(flat.std(ddof=1), init["std"], rtol=1e-4, err_msg=what)
    else:
        spread(what, values, init)


def spread(what: str, values: Doubles, init: dict[str, Any]) -> None:
    """Compare drawn values with the moments and bounds of other draws."""
    count = values.size
    of_spread = SIGMAS * math.sqrt(1 / (2 * count) + 1 / (2 * init["n"]))
    if count > 1:
        assert values.std() == pytest.approx(init["std"], rel=of_spread), what
    of_mean = SIGMAS * init["std"] * math.sqrt(1 / count + 1 / init["n"])
    assert values.mean() == pytest.approx(init["mean"], abs=of_mean), what
    if init["kind"] == "uniform":
        low, high = init.get("low", -init.get("bound", 0.0)), init.get("high", init.get("bound"))
        slack = 20 * (high - low) / init["n"]
        assert low - slack <= values.min() <= values.max() <= high + slack, what
    elif init["kind"] == "normal" and count >= 1000:
        assert abs(((values / values.std()) ** 4).mean() - 3) < SIGMAS * math.sqrt(24 / count), what
