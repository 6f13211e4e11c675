from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from seedbed.models.vision import PRESETS
from tests.models.vision.cases import CASES
from tests.serving import Server

pytestmark = pytest.mark.interop

SIDE = Path(__file__).parent / "torchvision_side.py"

PACKAGES = Path(sys.prefix) / "torchvision"
"""Where `make` puts torchvision, out of sight of transformers, which would import it."""

HANG_SECONDS = 1800

Ask = Callable[[str, list[dict[str, Any]]], list[Any]]

ALSO_MEASURED: tuple[tuple[str, dict[str, Any]], ...] = (
    ("alexnet-2012", {"num_classes": 10}),
    ("vgg11_bn", {"num_classes": 10}),
    ("googlenet", {"num_classes": 10}),
    ("inception_v3", {"num_classes": 10}),
    ("squeezenet1_1", {"num_classes": 10}),
    ("resnet18", {"num_classes": 10, "zero_init_residual": True}),
    ("resnext50_32x4d", {"num_classes": 10}),
    ("mnasnet0_5", {"num_classes": 10}),
    ("shufflenet_v2_x0_5", {"num_classes": 10}),
    ("efficientnet_v2_s", {"num_classes": 10}),
    ("vit_b_32", {"num_classes": 10, "representation_size": 64}),
    ("tiny-vit_b", {"conv_stem_configs": [{"out_channels": 8, "kernel_size": 3, "stride": 2}]}),
    ("tiny-swin_v2", {"window_size": [3, 5]}),
    ("tiny-maxvit", {"head_dim": 4}),
)

MEASURED = (
    *((preset.name, {}) for preset in PRESETS if preset.name.startswith(("tiny-", "lenet", "mlp"))),
    *ALSO_MEASURED,
)
"""Of every family at least one, and every way of initialisation that arguments choose."""

SMALL_BYTES = 200_000_000
BATCH_BYTES = 4 << 30
"""Of files that lie on the disk together."""


@pytest.fixture(scope="module")
def ask() -> Ask:
    """Ask torchvision, in a process where nothing else imports it."""

    def ask(question: str, cases: list[dict[str, Any]]) -> list[Any]:
        done = subprocess.run(
            [sys.executable, str(SIDE), question],
            input=json.dumps(cases),
            capture_output=True,
            text=True,
            check=False,
            timeout=HANG_SECONDS,
            env={**os.environ, "PYTHONPATH": str(PACKAGES)},
        )
        assert done.returncode == 0, done.stderr
        answers: list[Any] = json.loads(done.stdout)
        return answers

    return ask


def test_names_dtypes_and_shapes(ask: Ask) -> None:
    """Those of every preset and its arguments are those of `state_dict`, in its order."""
    answers = ask("describe", [{"name": name, "arguments": given} for name, given in CASES])
    by_name = {preset.name: preset for preset in PRESETS}
    for (name, given), answer in zip(CASES, answers, strict=True):
        found = [
            [one.name, one.dtype or "F32", list(one.shape)]
            for one in by_name[name].build(given).parameters
        ]
        assert found == answer["tensors"], (name, given)


def test_initial_distributions(ask: Ask) -> None:
    """Mean, spread and reach of what the networks start from are those of the fills."""
    by_name = {preset.name: preset for preset in PRESETS}
    cases = [{"name": name, "arguments": given, "seeds": 3} for name, given in MEASURED]
    for case, answer in zip(cases, ask("measure", cases), strict=True):
        for parameter in by_name[case["name"]].build(case["arguments"]).parameters:
            where = f"{case['name']} {case['arguments']}: {parameter.name}"
            summary = parameter.fill(parameter.init, parameter.name).summary()
            real = answer[parameter.name]
            n = real["count"]
            kurtosis = 0.0 if summary.excess_kurtosis is None else summary.excess_kurtosis
            error = summary.std / math.sqrt(n)
            if real["fixed"]:  # nothing is drawn
                assert summary.excess_kurtosis is None, where
                error = 1e-6 * max(abs(real["low"]), abs(real["high"]))
            assert abs(real["mean"] - summary.mean) <= 6 * error, where
            spread = math.sqrt((kurtosis + 2) / (4 * n))
            # float32 rounds means near 0 and the bounds of a uniform.
            few = 6 * spread if not real["fixed"] else 1e-4
            assert abs(real["std"] - summary.std) <= (few + 1e-5 + 1 / n) * summary.std, where
            if summary.lower is not None and summary.upper is not None:
                room = 1e-6 * max(abs(summary.lower), abs(summary.upper))
                assert summary.lower - room <= real["low"], where
                assert real["high"] <= summary.upper + room, where


def batches() -> Iterator[list[tuple[str, dict[str, Any], int]]]:
    """Presets with arguments and sizes, as many as fit on the disk together.

    Of each family all that are small, and the smallest: others differ in numbers alone, which are
    compared above.
    """
    sizes = {
        preset.name: sum(4 * math.prod(one.shape) for one in preset.build({}).parameters)
        for preset in PRESETS
    }
    families: dict[type, list[int]] = {}
    for preset in PRESETS:
        families.setdefault(preset.architecture, []).append(sizes[preset.name])
    batch: list[tuple[str, dict[str, Any], int]] = []
    for preset in PRESETS:
        size = sizes[preset.name]
        if size > max(SMALL_BYTES, min(families[preset.architecture])):
            continue
        if batch and sum(one[2] for one in batch) + size > BATCH_BYTES:
            yield batch
            batch = []
        batch.append((preset.name, {}, size))
    yield batch


def input_of(name: str) -> list[int]:
    """The shape of an image that a network takes."""
    if name == "mlp":
        return [1, 784]
    side = 299 if name == "inception_v3" else 32 if name.startswith(("tiny-", "lenet")) else 224
    return [1, 1 if name == "lenet5" else 3, side, side]


@pytest.mark.parametrize("batch", list(batches()), ids=lambda batch: f"{batch[0][0]} …")
def test_files_load_strictly(
    batch: list[tuple[str, dict[str, Any], int]], server: Server, ask: Ask, tmp_path: Path
) -> None:
    """What the service sends for a preset is the whole network: it loads, and computes numbers."""
    cases = []
    for name, arguments, _ in batch:
        path = tmp_path / f"{name}.safetensors"
        body = {"model": {"preset": name, **arguments}, "seed": 5}
        with (
            httpx.stream("POST", f"{server.url}/v1/checkpoints", json=body, timeout=600) as answer,
            path.open("wb") as file,
        ):
            answer.raise_for_status()
            for chunk in answer.iter_bytes():
                file.write(chunk)
        image = input_of(name)
        cases.append({"name": name, "arguments": arguments, "path": str(path), "input": image})
    try:
        for case, answer in zip(cases, ask("load", cases), strict=True):
            classes = 10 if case["name"].startswith(("tiny-", "lenet", "mlp")) else 1000
            assert answer == {"finite": True, "shape": [1, classes]}, case
    finally:
        for case in cases:
            Path(case["path"]).unlink()
