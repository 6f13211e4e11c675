"""Record many models of transformers, timm and diffusers, and hold each against a real build.

    python scripts/recording_sweep.py transformers --count 150 --log build/recording.jsonl
    PYTHONPATH=… python scripts/recording_sweep.py timm --count 100
    PYTHONPATH=… python scripts/recording_sweep.py diffusers

Types and configs are drawn with `--seed`; those of transformers are small, by the sampler of
scripts/catalogue, or with `--defaults` as their config class has them. timm's models have their
full size. What the log has already is not done again. A line for each is printed and appended to
the log, the counts at the end are of the whole log.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import gc
import importlib
import itertools
import json
import math
import os
import random
import sys
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parent / "catalogue"), str(Path(__file__).parents[1])]
os.environ.update(
    HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="error", TOKENIZERS_PARALLELISM="false"
)

import torch  # noqa: E402

from scripts.resumable import logged  # noqa: E402
from seedbed.torch import record  # noqa: E402
from tests.interop.recording.checking import check  # noqa: E402

Case = tuple[str, Callable[[], torch.nn.Module] | str | None]
"""A name, and how to build it; None if that has been done, or why there is nothing to build."""

BUILD_SECONDS = 300

SMALL = 5_000_000
"""Elements of a model of transformers at a sampled config, at most."""

DEFAULT = 1_000_000_000
"""Elements at its default config, where the sampler finds none that builds."""

_CSM = {"hidden_size": 128, "intermediate_size": 128, "num_hidden_layers": 2, "head_dim": 32,
        "num_attention_heads": 4, "num_key_value_heads": 4}  # fmt: skip
GIVEN: dict[str, dict[str, Any]] = {
    "csm": {**_CSM, "depth_decoder_config": {**_CSM, "backbone_hidden_size": 128}},
    "laguna": {
        "num_hidden_layers": 2, "num_attention_heads_per_layer": [8, 8], "num_experts": 8,
        "hidden_size": 128, "intermediate_size": 128,
    },
    "vits": {},
}  # fmt: skip
"""Configs of types for which the sampler finds none that is valid and small."""


def of_transformers(choice: random.Random, skip: Callable[[str], bool]) -> Iterator[Case]:
    """Types in a random order, each with its first class that builds, at a sampled size."""
    with contextlib.suppress(ImportError):  # for backbones of timm, before transformers looks
        importlib.import_module("tests.interop.torchvision_side")
    building: Any = importlib.import_module("building")
    importlib.import_module("transformers").utils.logging.disable_progress_bar()
    classes = building.architectures()
    for kind in choice.sample(sorted(classes), len(classes)):
        seed = choice.randrange(1 << 30)
        yield kind, None if skip(kind) else _of_type(kind, classes[kind][:3], seed)


def _of_type(kind: str, names: list[str], seed: int) -> Callable[[], torch.nn.Module] | str:
    """How to build a type of model, or why it does not build."""
    sampling: Any = importlib.import_module("sampling")
    studying: Any = importlib.import_module("studying")
    errors: Counter[str] = Counter()
    for name in names:
        try:
            builder = studying.Builder(kind, name)
            if kind in GIVEN:
                return _model(builder, GIVEN[kind])
            sampler = sampling.Sampler(builder.config_class, seed=seed)
            end = time.process_time() + 10
            walk = sampler.walk(builder.build, lambda end=end: time.process_time() > end)
            found = any(_size(builder.last) < SMALL for _ in walk)
        except Exception as error:  # noqa: BLE001  another class of this type may be whole
            errors[f"{name}: {type(error).__name__}: {str(error)[:100]}"] += 1
            continue
        errors.update({f"{name}: {text}": n for text, n in builder.errors.items()})
        if found:
            return _model(builder, builder.last.given)
        if builder.build({}, 60.0) and _size(builder.last) < DEFAULT:
            return _model(builder, {})
    return f"no config builds: {errors.most_common(2)}"


def of_transformers_defaults(choice: random.Random, skip: Callable[[str], bool]) -> Iterator[Case]:
    """Types in a random order, each with its first class that its defaults build."""
    building: Any = importlib.import_module("building")
    studying: Any = importlib.import_module("studying")
    importlib.import_module("transformers").utils.logging.disable_progress_bar()
    classes = building.architectures()
    for kind in choice.sample(sorted(classes), len(classes)):
        if skip(kind):
            yield kind, None
            continue
        builder: Any = None
        for name in classes[kind][:3]:
            builder = studying.Builder(kind, name)
            if builder.build({}, 60.0):
                yield kind, _model(builder, {})
                break
        else:
            yield kind, f"the defaults do not build: {builder.errors}"


def _model(builder: Any, given: dict[str, Any]) -> Callable[[], torch.nn.Module]:
    """How to build a class at a config."""
    building: Any = importlib.import_module("building")

    def build() -> torch.nn.Module:
        config = building.make_config(builder.config_class, given)
        model: torch.nn.Module = builder.architecture(config)
        return model

    return build


def _size(build: Any) -> int:
    """Elements of all tensors of a build on meta."""
    return sum(math.prod(shape) for shape, _ in build.tensors.values())


def of_timm(choice: random.Random, _skip: Callable[[str], bool]) -> Iterator[Case]:
    """Models in a random order, those with too many parameters left out."""
    importlib.import_module("tests.interop.torchvision_side")  # for a wheel that wants CUDA
    timm = importlib.import_module("timm")
    names = timm.list_models()
    for name in choice.sample(names, len(names)):
        if not any(word in name for word in ("giant", "gigantic", "enormous", "_g_", "huge", "7b")):
            yield name, functools.partial(timm.create_model, name)


_DOWN2, _UP2 = ("CrossAttnDownBlock2D", "DownBlock2D"), ("UpBlock2D", "CrossAttnUpBlock2D")
_DOWN3, _UP3 = ("CrossAttnDownBlock3D", "DownBlock3D"), ("UpBlock3D", "CrossAttnUpBlock3D")
_NARROW: dict[str, Any] = {"block_out_channels": (32, 64)}
_CROSS: dict[str, Any] = {**_NARROW, "cross_attention_dim": 32}

DIFFUSERS: dict[str, dict[str, Any]] = {
    "UNet2DModel": {
        **_NARROW, "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
        "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
    },
    "UNet2DConditionModel": {**_CROSS, "down_block_types": _DOWN2, "up_block_types": _UP2},
    "UNet1DModel": {},
    "UNet3DConditionModel": {
        **_CROSS, "down_block_types": _DOWN3, "up_block_types": _UP3, "attention_head_dim": 8,
    },
    "AutoencoderKL": {},
    "AutoencoderTiny": {},
    "VQModel": {},
    "AsymmetricAutoencoderKL": {},
    "DiTTransformer2DModel": {"num_layers": 2},
    "PixArtTransformer2DModel": {"num_layers": 2},
    "SD3Transformer2DModel": {"num_layers": 2},
    "FluxTransformer2DModel": {"num_layers": 1, "num_single_layers": 1, "num_attention_heads": 4},
    "CogVideoXTransformer3DModel": {"num_layers": 2, "num_attention_heads": 4},
    "PriorTransformer": {"num_layers": 2},
    "ControlNetModel": {**_CROSS, "down_block_types": _DOWN2},
    "MotionAdapter": _NARROW,
    "LuminaNextDiT2DModel": {
        "num_layers": 2, "hidden_size": 64, "num_attention_heads": 4, "num_kv_heads": 2,
    },
    "AuraFlowTransformer2DModel": {
        "num_mmdit_layers": 1, "num_single_dit_layers": 1, "num_attention_heads": 4,
        "attention_head_dim": 16, "joint_attention_dim": 32, "caption_projection_dim": 64,
    },
    "AutoencoderOobleck": {"encoder_hidden_size": 16, "decoder_channels": 16},
    "T5FilmDecoder": {"num_layers": 1, "d_model": 64, "d_ff": 64},
    "CogView3PlusTransformer2DModel": {"num_layers": 1, "num_attention_heads": 4},
    "LTXVideoTransformer3DModel": {"num_layers": 1, "num_attention_heads": 4},
    "MochiTransformer3DModel": {"num_layers": 1, "num_attention_heads": 2},
    "Kandinsky3UNet": {"block_out_channels": (32, 32, 32, 32), "groups": 8},
}  # fmt: skip
"""Classes of diffusers, and arguments that make them small."""


def of_diffusers(_choice: random.Random, _skip: Callable[[str], bool]) -> Iterator[Case]:
    """Those above."""
    importlib.import_module("tests.interop.torchvision_side")
    diffusers = importlib.import_module("diffusers")
    for name, arguments in DIFFUSERS.items():
        yield name, functools.partial(getattr(diffusers, name), **arguments)


LIBRARIES = {
    "transformers": of_transformers,
    "transformers-defaults": of_transformers_defaults,
    "timm": of_timm,
    "diffusers": of_diffusers,
}


def attempt(
    name: str, build: Callable[[], torch.nn.Module] | str, most: int, builds: int
) -> dict[str, Any]:
    """What comes of one model; nothing, if it has more elements."""
    studying: Any = importlib.import_module("studying")
    started = time.time()
    line: dict[str, Any] = {"name": name}
    if isinstance(build, str):
        return {**line, "failed": build}
    try:
        with studying.limited(BUILD_SECONDS), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            recording = record(build, looks=True)
            if recording.report.elements > most:
                return {}
            recording, findings = check(build, builds, recording)
    except studying.Timeout:
        return {**line, "failed": "too slow"}
    except Exception as error:  # noqa: BLE001  counted
        where = traceback.extract_tb(error.__traceback__)[-1]
        text = f"{type(error).__name__}: {str(error)[:300]} ({where.filename}:{where.lineno})"
        return {**line, "failed": text}
    return {
        **line,
        "tensors": recording.report.tensors,
        "elements": recording.report.elements,
        "counts": dict(findings.counts),
        "refused": dict(list(recording.report.refused.items())[:4]),
        "looked": dict(recording.report.looked),
        "tests": findings.tests,
        "wrong": findings.wrong[:4],
        "seconds": round(time.time() - started, 1),
    }


def summary(lines: list[dict[str, Any]]) -> str:
    """The counts of a log."""
    built = [line for line in lines if "failed" not in line]
    kinds: Counter[str] = Counter()
    only: Counter[str] = Counter()
    for line in built:
        kinds.update(line["counts"])
        others = sorted(line["counts"].keys() - {"said"})
        only["+".join(others) or "said"] += 1
    return "\n".join(
        (
            f"{len(lines)} tried, {len(built)} recorded and built",
            f"{sum(bool(line['wrong']) for line in built)} with a wrong law",
            f"{sum(line['tensors'] for line in built):,} tensors: {dict(kinds.most_common())}",
            f"models by what they need: {dict(only.most_common())}",
            f"{sum(bool(line['looked']) for line in built)} look at what they cannot know",
            f"{sum(line['tests'] for line in built):,} statistical tests",
        )
    )


def main() -> None:
    """Go through models, and say what came of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("library", choices=LIBRARIES)
    parser.add_argument("--count", type=int, default=150)
    parser.add_argument("--most", type=int, default=400_000_000, help="Elements of a model.")
    parser.add_argument("--builds", type=int, default=1, help="Real ones, each with its seed.")
    parser.add_argument("--seed", type=int, default=20_261_130)
    parser.add_argument("--name", action="append", help="These alone; may be repeated.")
    parser.add_argument("--log", type=Path, default=Path("build/recording-sweep.jsonl"))
    given = parser.parse_args()
    torch.set_num_threads(1)
    done = {line["name"] for line in logged(given.log)}

    def skip(name: str) -> bool:
        return name in done or bool(given.name and name not in given.name)

    cases = LIBRARIES[given.library](random.Random(given.seed), skip)
    wanted = (case for case in cases if not given.name or case[0] in given.name)
    for name, build in itertools.islice(wanted, given.count):
        if build is None or skip(name):
            continue
        line = attempt(name, build, given.most, given.builds)
        if not line:
            print(f"{name}: too large")
            continue
        print(json.dumps(line), flush=True)
        with given.log.open("a", encoding="utf-8") as log:
            log.write(json.dumps(line) + "\n")
        gc.collect()
    lines = [json.loads(line) for line in given.log.read_text(encoding="utf-8").splitlines()]
    print(summary(lines))


if __name__ == "__main__":
    main()
