"""From nothing to a model's weights in a file: each in a process that has just been started."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

from benchmarks import processes, servers
from benchmarks.harness import Bench, Measured, Table, Target, ratio, targets_table
from benchmarks.processes import Run

ROUNDS = 5
MODELS = {"resnet50": "ResNet-50", "gpt2": "GPT-2"}

_TRANSFORMERS = {
    "resnet50": "from transformers import ResNetConfig as Config, "
    "ResNetForImageClassification as Model",
    "gpt2": "from transformers import GPT2Config as Config, GPT2LMHeadModel as Model",
}
_TRANSFORMERS_SAVE = """\
import sys
{imports}
Model(Config()).save_pretrained(sys.argv[1])
"""
_TORCHVISION_SAVE = """\
import sys
from torchvision.models import resnet50
from safetensors.torch import save_file
save_file(resnet50().state_dict(), sys.argv[1])
"""

CURL, COMMAND = "curl, from a running Seedbed", "seedbed generate"


def run(bench: Bench) -> Iterator[Table]:
    """A table a model; targets."""
    if bench.torchvision_python is None:
        print("torchvision: left out; --torchvision-python names an interpreter that has it\n")
    targets = []
    with ExitStack() as stack:
        room = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=room)))
        server = stack.enter_context(servers.seedbed(directory))
        for model, title in MODELS.items():
            rivals = _rivals(model, server.url, directory, bench.torchvision_python)
            samples = bench.alternate(rivals, ROUNDS)
            seconds = {name: Measured.of(s.seconds for s in runs) for name, runs in samples.items()}
            yield _table(title, samples, seconds)
            others = [name for name in seconds if name not in (CURL, COMMAND)]
            targets += [
                Target(
                    f"{title}: {own}",
                    f"faster than {other}",
                    ratio(seconds[other].median / seconds[own].median),
                    met=seconds[own].median < seconds[other].median,
                )
                for own in (CURL, COMMAND)
                for other in others
            ]
    yield targets_table(targets)


def _rivals(
    model: str, url: str, directory: Path, torchvision_python: Path | None
) -> dict[str, Callable[[], Run]]:
    out = str(directory / "out.safetensors")
    link = f"{url}/v1/models/{model}/model.safetensors"
    curl = ["curl", "-sS", "--fail", "-o", out, link]
    generate = [sys.executable, "-m", "seedbed.cli", "generate", model, "-o", out, "--force", "-q"]
    script = _TRANSFORMERS_SAVE.format(imports=_TRANSFORMERS[model])
    offline = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"}
    save = [sys.executable, "-c", script, str(directory / model)]
    rivals = {
        CURL: lambda: processes.run(curl),
        COMMAND: lambda: processes.run(generate),
        "transformers: import, construct, save": lambda: processes.run(save, offline),
    }
    if model == "resnet50" and torchvision_python is not None:
        other = [str(torchvision_python), "-c", _TORCHVISION_SAVE, out]
        rivals["torchvision: import, construct, save"] = lambda: processes.run(other)
    return rivals


def _table(title: str, samples: dict[str, list[Run]], seconds: dict[str, Measured]) -> Table:
    rows = []
    for name, runs in samples.items():
        cpu = Measured.of(r.cpu_seconds for r in runs)
        peak = max(r.peak_bytes for r in runs) / 1e6
        times = ratio(seconds[name].median / seconds[CURL].median) if name != CURL else ""
        rows.append([name, seconds[name].text(), times, cpu.text(2), f"{peak:,.0f}"])
    return Table(
        f"{title}'s weights in a file, from a cold process",
        ("", "seconds", "curl's time", "its CPU s", "its peak MB"),
        rows,
    )
