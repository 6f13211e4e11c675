from __future__ import annotations

import gzip
import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seedbed.errors import LimitError, SpecError
from seedbed.files import CheckpointSpec, VirtualFile
from seedbed.init import MatrixCache, Parameter, Source
from seedbed.models import presets
from seedbed.models.vision import PRESETS
from seedbed.stream import DTYPES, get_engine
from tests.models.vision.cases import ARGUMENTS, CASES

GOLDEN = Path(__file__).parents[2] / "golden"

DIGESTS = json.loads((GOLDEN / "torchvision-0.28.0.json").read_text())
"""Of every case, what the real torchvision has; tests/interop/torchvision_side.py wrote it."""

SAVED = sorted((GOLDEN / "models").glob("tv-*.json.gz"))
"""What the real torchvision saves, with its values measured over several builds."""

POOL = 4096
"""Values that a distribution is told from, if seeds enough are drawn."""

SEEDS_MAX = 48


def built(name: str, arguments: Mapping[str, Any]) -> tuple[Parameter, ...]:
    """The parameters of a preset."""
    return presets()[name].build(arguments).parameters


def test_the_cases_are_those_of_the_golden_file() -> None:
    """Every preset is in it, and every family's arguments; none is hidden by another library's."""
    assert all(presets()[preset.name] is preset for preset in PRESETS)
    assert [(one["name"], one["arguments"]) for one in DIGESTS] == list(CASES)
    families = {preset.architecture for preset in PRESETS}
    assert {presets()[name].architecture for name, _ in ARGUMENTS} == families


@pytest.mark.parametrize("known", DIGESTS, ids=lambda one: f"{one['name']}{one['arguments'] or ''}")
def test_names_dtypes_and_shapes_in_order(known: dict[str, Any]) -> None:
    """They are those of torchvision's `state_dict`, for every preset and argument."""
    parameters = built(known["name"], known["arguments"])
    lines = [f"{one.name} {one.dtype or 'F32'} {list(one.shape)}" for one in parameters]
    assert len(lines) == known["tensors"]
    assert hashlib.sha256("\n".join(lines).encode()).hexdigest() == known["sha256"]


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("alexnet-2012", 60_965_224),  # of Caffe's bvlc_reference_caffenet and bvlc_alexnet
        ("lenet5", 61_706),  # of PyTorch's tutorial
        ("resnet50", 25_557_032),  # from here on torchvision's published num_params
        ("vgg16", 138_357_544),
        ("densenet161", 28_681_000),
        ("efficientnet_b7", 66_347_960),
        ("regnet_y_128gf", 644_812_894),
        ("vit_l_16", 304_326_632),
        ("swin_v2_b", 87_930_848),
        ("maxvit_t", 30_919_624),
        ("convnext_large", 197_767_336),
    ],
)
def test_published_sizes(name: str, parameters: int) -> None:
    """What can be trained is as much as is published; buffers do not count."""
    buffers = ("running_mean", "running_var", "num_batches_tracked", "relative_position_index",
               "relative_coords_table")  # fmt: skip
    found = sum(math.prod(one.shape) for one in built(name, {}) if not one.name.endswith(buffers))
    assert found == parameters


def drawn(parameter: Parameter, seeds: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """A parameter's elements, one row a seed; of a large one those of one seed."""
    fill = parameter.fill(parameter.init, parameter.name)
    dtype = DTYPES[parameter.dtype or "F32"]
    count = math.prod(parameter.shape)
    rows = []
    for seed in range(seeds):
        out = bytearray(min(count, 4 * POOL) * dtype.size_bytes)
        source = Source(get_engine(), seed, parameter.name, dtype, MatrixCache(0, 1))
        fill.write(source, 0, memoryview(out))
        rows.append(np.frombuffer(out, dtype.storage).astype(np.float64))
    return np.stack(rows)


def golden(path: Path) -> dict[str, Any]:
    """A golden file."""
    found: dict[str, Any] = json.loads(gzip.decompress(path.read_bytes()))
    return found


@pytest.fixture(scope="module", params=SAVED, ids=lambda path: path.name.removesuffix(".json.gz"))
def saved(request: pytest.FixtureRequest) -> dict[str, Any]:
    """One golden file."""
    return golden(request.param)


def test_the_tensors_of_golden_files(saved: dict[str, Any]) -> None:
    """Names, shapes and dtypes are those that torchvision saves."""
    found = {
        one.name: {"shape": list(one.shape), "dtype": one.dtype or "F32"}
        for one in built(saved["architecture"], saved["config"])
    }
    assert found == {
        name: {key: one[key] for key in ("shape", "dtype")}
        for name, one in saved["tensors"].items()
    }


def kinds(saved: dict[str, Any]) -> Iterator[tuple[Parameter, dict[str, Any]]]:
    """Parameters that differ in scheme, fan or what was measured, one of each."""
    seen = set()
    for parameter in built(saved["architecture"], saved["config"]):
        init = saved["tensors"][parameter.name]["init"]
        fixed = init["kind"] in ("zeros", "ones", "constant", "other")
        key = (parameter.init.spelling, parameter.shape, init["kind"] if fixed else None)
        if key not in seen:
            seen.add(key)
            yield parameter, init


def test_the_bytes_have_the_distributions_of_golden_files(saved: dict[str, Any]) -> None:
    """What Seedbed draws cannot be told from what torchvision's networks start from."""
    for parameter, init in kinds(saved):
        name, kind = parameter.name, init["kind"]
        count = math.prod(parameter.shape)
        if kind in ("zeros", "ones", "constant"):
            value = {"zeros": 0.0, "ones": 1.0}.get(kind, init.get("value"))
            assert np.allclose(drawn(parameter, 1), value, rtol=1e-7, atol=0.0), name
            continue
        if init.get("deterministic"):
            assert_equal_to_table(parameter, init)
            continue
        values = drawn(parameter, min(max(2, -(-POOL // count)), SEEDS_MAX)).ravel()
        assert_drawn_alike(name, values, init)
        if kind == "uniform":
            low, high = parameter.fill(parameter.init, name).reach
            assert -low == high == pytest.approx(init["bound"], rel=12 / init["n"] + 2e-5), name


def assert_equal_to_table(parameter: Parameter, init: dict[str, Any]) -> None:
    """Some elements and the moments of a table are those of the library's."""
    values = drawn(parameter, 1).ravel()
    assert values[:8] == pytest.approx(init["head"], rel=1e-6), parameter.name
    assert values.size == init["n"]
    assert values[-8:] == pytest.approx(init["tail"], rel=1e-6), parameter.name
    for moment in ("mean", "std", "min", "max"):
        found = values.std(ddof=1) if moment == "std" else getattr(values, moment)()
        assert found == pytest.approx(init[moment], rel=1e-4, abs=1e-7), parameter.name


def assert_drawn_alike(name: str, values: np.ndarray[Any, Any], init: dict[str, Any]) -> None:
    """Mean and standard deviation agree within five errors of both, the kind as well."""
    assert init["kind"] in ("normal", "uniform", "other"), name
    few = init["kind"] == "other"
    assert not few or "too few" in init["why"], name
    std, n = init["std"], values.size
    error = math.sqrt(1 / n + 1 / init["n"])
    assert abs(values.std() / std - 1) < 5 * error / math.sqrt(2) + 2e-5, name
    assert abs(values.mean() - init["mean"]) < 6 * std * error, name
    if few:
        return
    fourth = float(np.mean(((values - values.mean()) / values.std()) ** 4)) - 3
    expected = -1.2 if init["kind"] == "uniform" else 0.0
    assert abs(fourth - expected) < 0.15 + 6 * math.sqrt(24 / n), name


def test_a_file_of_a_preset() -> None:
    """Its bytes are those of the parameters alone, whatever file they are in."""
    spec = CheckpointSpec.model_validate({"seed": 3, "model": {"preset": "tiny-swin_v2"}})
    file = VirtualFile(spec)
    header_size = len(file.header)
    tensors = json.loads(file.header[8:])
    content = file.read(header_size, file.size)
    for parameter in built("tiny-swin_v2", {}):
        start, stop = tensors[parameter.name]["data_offsets"]
        dtype = DTYPES[parameter.dtype or "F32"]
        out = bytearray(math.prod(parameter.shape) * dtype.size_bytes)
        source = Source(get_engine(), 3, parameter.name, dtype, MatrixCache(0, 1))
        parameter.fill(parameter.init, parameter.name).write(source, 0, memoryview(out))
        assert content[start:stop] == out, parameter.name


@pytest.mark.parametrize(
    ("name", "arguments", "path"),
    [
        ("resnet50", {"num_clases": 3}, ("num_clases",)),
        ("resnet50", {"num_classes": 0}, ("num_classes",)),
        ("resnet50", {"num_classes": "10"}, ("num_classes",)),
        ("resnet50", {"num_classes": True}, ("num_classes",)),
        ("resnet50", {"layers": [3, 4, 6]}, ("layers", 3)),
        ("resnet50", {"block": "Block"}, ("block",)),
        ("resnet18", {"groups": 2}, ("groups",)),
        ("resnet34", {"width_per_group": 128}, ("width_per_group",)),
        ("resnet50", {"inplanes": 4, "width_per_group": 8}, ("width_per_group",)),
        ("vit_b_16", {"image_size": 225}, ("image_size",)),
        ("vit_b_16", {"num_heads": 7}, ("num_heads",)),
        ("swin_t", {"num_heads": [3, 6]}, ("num_heads",)),
        ("swin_t", {"num_heads": [3, 6, 12, 25]}, ("num_heads", 3)),
        ("swin_v2_t", {"window_size": [8, 1]}, ("window_size",)),
        ("maxvit_t", {"input_size": [224, 200]}, ("input_size",)),
        ("maxvit_t", {"block_layers": [1]}, ("block_layers",)),
        ("maxvit_t", {"head_dim": 48}, ("block_channels", 0)),
        ("maxvit_t", {"expansion_ratio": 0.01}, ("expansion_ratio",)),
        ("convnext_tiny", {"block_setting": [[8, 16, 1], [8, None, 1]]}, ("block_setting", 1, 0)),
        ("regnet_y_400mf", {"w_0": 20}, ("w_0",)),
        ("regnet_y_400mf", {"w_m": 1.0}, ("w_m",)),
        ("regnet_y_400mf", {"stem_width": 1}, ("se_ratio",)),
        ("regnet_y_400mf", {"bottleneck_multiplier": 0.7}, ("group_width",)),
        ("regnet_y_400mf", {"w_a": math.nan}, ("w_a",)),
        ("mobilenet_v2", {"width_mult": -1.0}, ("width_mult",)),
        ("mlp", {"hidden_channels": []}, ("hidden_channels",)),
        ("shufflenet_v2_x1_0", {"stages_out_channels": [24, 115, 232, 464, 1024]},
         ("stages_out_channels", 1)),
    ],
)  # fmt: skip
def test_arguments_that_are_refused(
    name: str, arguments: dict[str, Any], path: tuple[str | int, ...]
) -> None:
    """What no builder takes is refused, with the place among the arguments."""
    with pytest.raises(SpecError) as caught:
        built(name, arguments)
    assert caught.value.path == path


def test_depth_without_end_is_refused_at_once() -> None:
    """A model of more tensors than a file may have is not built to the end."""
    with pytest.raises(LimitError):
        built("resnet50", {"layers": [65536] * 4})


def test_what_is_allowed_is_said() -> None:
    """An unknown argument is answered with those that there are, a wrong one with what fits."""
    with pytest.raises(SpecError) as caught:
        built("googlenet", {"aux": True})
    assert list(caught.value.allowed) == ["num_classes", "aux_logits", "init_weights"]
    with pytest.raises(SpecError) as caught:
        built("convnext_tiny", {"block_setting": [[8, 16, 1], [8, None, 1]]})
    assert list(caught.value.allowed) == ["16"]


@pytest.mark.parametrize("name", [one.name for one in PRESETS if one.name.startswith("tiny-")])
def test_tiny_presets_are_small(name: str) -> None:
    """They are for tests: below 600 kB, whatever else is in them."""
    size = VirtualFile(CheckpointSpec.model_validate({"model": {"preset": name}})).size
    assert 50_000 < size < 600_000
