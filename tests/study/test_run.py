from __future__ import annotations

import gzip
import json
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from study import RESULTS
from study.__main__ import app
from study.data import MissingDataError, load
from study.design import EXPERIMENTS
from study.run import choose, digest_of, read, write


def test_result_file_is_written_as_it_is_read(tmp_path: Path) -> None:
    """The committed file is what `write` makes of it: small lines, the same JSON."""
    copy = tmp_path / "results.json"
    found = read(RESULTS)
    write(found, copy)
    assert copy.read_text(encoding="utf-8") == RESULTS.read_text(encoding="utf-8")
    odd = {"a": [1, "x", None], "b": [-1.5, 2e-7, None], "c": [], "d": [[1], [{"e": [2]}]]}
    write(odd, copy)
    assert json.loads(copy.read_text(encoding="utf-8")) == odd


def test_result_file_is_of_this_design() -> None:
    """What is committed was made by the experiments as they stand, all arms of all networks."""
    found = read(RESULTS)
    for experiment in EXPERIMENTS:
        kept = found["experiments"][experiment.name]
        assert kept["digest"] == digest_of(experiment)
        assert set(kept["cells"]) == {a.name for a in experiment.architectures}
        for cells in kept["cells"].values():
            assert set(cells) == {arm.name for arm in experiment.arms}
            for outcome in cells.values():
                sizes = {len(row) for row in outcome["accuracy"]}
                assert sizes == {experiment.seeds}


def test_what_to_install_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without PyTorch the command says what to install, and ends with 2."""
    monkeypatch.setitem(sys.modules, "torch", None)
    answer = CliRunner().invoke(app, ["--quick"])
    assert answer.exit_code == 2
    assert "pip install torch" in answer.output


def test_unknown_experiment() -> None:
    """A name that is none lists those that are."""
    answer = CliRunner().invoke(app, ["--only", "gird"])
    assert answer.exit_code == 2
    assert "grid, resnet, keras, scale" in answer.output.replace("\n", " ")
    assert [e.name for e in choose(None)] == [e.name for e in EXPERIMENTS]


def _idx(path: Path, values: np.ndarray[Any, Any]) -> None:
    head = struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape)
    path.write_bytes(gzip.compress(head + values.astype(np.uint8).tobytes(), 1))


def test_fashion_is_read_from_its_files(tmp_path: Path) -> None:
    """IDX files become standardised images and their classes; without them it is said how."""
    with pytest.raises(MissingDataError, match="dataset-fashion-mnist"):
        load("fashion", tmp_path)
    rng = np.random.Generator(np.random.Philox(0))
    for part, count in (("train", 60_000), ("t10k", 10_000)):
        small = rng.integers(0, 256, (100, 28, 28))
        images = np.resize(small, (count, 28, 28))
        _idx(tmp_path / f"{part}-images-idx3-ubyte.gz", images)
        _idx(tmp_path / f"{part}-labels-idx1-ubyte.gz", np.resize(np.arange(10), count))
    data = load("fashion", tmp_path)
    assert data.train.shape == (6000, 1, 14, 14)
    assert data.train.mean() == pytest.approx(0.0, abs=1e-4)
    assert data.train.std() == pytest.approx(1.0, abs=1e-4)
    assert data.test_classes[:12].tolist() == [*range(10), 0, 1]
    flat = load("fashion_flat", tmp_path)
    assert (flat.train.shape, flat.test.shape) == ((37_800, 784), (4_200, 784))
    assert flat.train.max() == 1.0
