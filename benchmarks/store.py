"""A model of 1 GB into a folder and into an S3 server, beside transformers and `aws s3 cp`."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from benchmarks import processes
from benchmarks.harness import Bench, Measured, Table
from benchmarks.processes import Run
from seedbed.files import Checkpoint, spec_of_preset
from tests.interop.store.s3 import BUCKET, Store, storing

PRESET, QUICK_PRESET = "qwen2.5-0.5b", "tiny-llama"
SHARD = "200MB"
ROUNDS = 2

_SEEDBED = (sys.executable, "-m", "seedbed.cli")
_TRANSFORMERS = """\
import json, sys
import torch
from transformers import AutoConfig, AutoModelForCausalLM
config = AutoConfig.for_model(**json.loads(sys.argv[1]))
model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
model.save_pretrained(sys.argv[3], max_shard_size=sys.argv[2])
"""
_AWS = """\
import sys
sys.path.insert(0, sys.prefix + "/s3-clients")
from awscli.clidriver import main
sys.exit(main())
"""
_RAY = {"RAY_memory_monitor_refresh_ms": "0", "RAY_USAGE_STATS_ENABLED": "0"}
_WORKER = "ray::seedbed:"
_LOOK_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Sample:
    """A command, and those of its workers that are not its own processes.

    Attributes:
        run: of the command.
        worker_bytes: peak of the largest worker; 0 without workers.
    """

    run: Run
    worker_bytes: int = 0


def run(bench: Bench) -> Iterator[Table]:
    """One table: whole commands, imports and planning included."""
    preset = QUICK_PRESET if bench.quick else PRESET
    options = {"dtype": "BF16", "seed": "42", "max_shard_size": SHARD}
    checkpoint = Checkpoint(spec_of_preset(preset, options))
    total = sum(file.size for file in checkpoint.files())
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        store = stack.enter_context(storing(folder))
        stack.enter_context(_environment({**store.told(), **_RAY}))
        clusters = [stack.enter_context(_cluster(workers)) for workers in (1, 2)]
        saved = (sys.executable, "-c", _TRANSFORMERS, _config(checkpoint), SHARD)
        processes.run([*saved, str(folder / "saved")])
        rivals = _rivals(preset, folder, store, clusters, saved)
        samples = bench.alternate(rivals, ROUNDS)
    rows = []
    for name, runs in samples.items():
        seconds = Measured.of(sample.run.seconds for sample in runs)
        peak = max(sample.run.peak_bytes for sample in runs) / 1e6
        worker = max(sample.worker_bytes for sample in runs) / 1e6
        rate = f"{total / seconds.median / 1e9:.2f}"
        rows.append(
            [name, seconds.text(), rate, f"{peak:,.0f}", f"{worker:,.0f}" if worker else ""]
        )
    yield Table(
        f"{preset} in BF16, {total / 1e9:.2f} GB in shards of {SHARD}",
        ("", "seconds", "GB/s", "peak MB", "of a worker"),
        rows,
    )


def _rivals(
    preset: str, folder: Path, store: Store, clusters: list[str], saved: tuple[str, ...]
) -> dict[str, Callable[[], Sample]]:
    out, bucket = folder / "out", f"s3://{BUCKET}/out/"
    words = (preset, "--dtype", "BF16", "--seed", "42", "--set", f"max_shard_size={SHARD}", "-q")
    disk = (*_SEEDBED, "materialise", *words, "-o", f"{out}/")
    s3 = (*_SEEDBED, "materialise", *words, "-o", bucket)
    aws = (sys.executable, "-c", _AWS, "--endpoint-url", store.url, "s3", "cp", "--recursive")
    commands = {
        "seedbed generate, to disk": (*_SEEDBED, "generate", *words, "-o", f"{out}/"),
        "seedbed materialise, to disk": disk,
        "seedbed materialise, to S3": s3,
        "… --ray, 1 worker, to disk": (*disk, "--ray", clusters[0]),
        "… --ray, 2 workers, to disk": (*disk, "--ray", clusters[1]),
        "… --ray, 2 workers, to S3": (*s3, "--ray", clusters[1]),
        "transformers, construct and save_pretrained": (*saved, str(out)),
        "… then aws s3 cp": (*aws, "--only-show-errors", str(folder / "saved"), bucket),
    }
    return {name: partial(_sample, command, out, store) for name, command in commands.items()}


def _sample(command: tuple[str, ...], out: Path, store: Store) -> Sample:
    """Run a command that writes into a folder or into a bucket, which are empty before."""
    shutil.rmtree(out, ignore_errors=True)
    for name in store.objects("out/"):
        store.client.delete_object(Bucket=BUCKET, Key=f"out/{name}")
    with _workers() as peak:
        measured = processes.run(command)
    return Sample(measured, peak[0])


@contextlib.contextmanager
def _workers() -> Iterator[list[int]]:
    """The peak of the largest process that writes a file for Ray; known when the block ends."""
    peak, stop = [0], threading.Event()

    def look() -> None:
        while not stop.wait(_LOOK_SECONDS):
            for process in psutil.process_iter():
                with contextlib.suppress(psutil.Error, OSError):
                    if "".join(process.cmdline()[:1]).startswith(_WORKER):
                        peak[0] = max(peak[0], processes.peak_rss(process.pid))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield peak
    finally:
        stop.set()
        thread.join()


@contextlib.contextmanager
def _cluster(workers: int) -> Iterator[str]:
    """The address of a Ray cluster with so many processors, which nobody else uses."""
    from ray.cluster_utils import Cluster

    cluster: Any = Cluster()
    try:
        cluster.add_node(num_cpus=workers, object_store_memory=80 << 20, include_dashboard=False)
        yield cluster.address
    finally:
        cluster.shutdown()


@contextlib.contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    """These variables, for this process and those that it starts, until the block ends."""
    before = dict(os.environ)
    os.environ.update({
        **variables, "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_VERBOSITY": "error", "AWS_EC2_METADATA_DISABLED": "true",
    })  # fmt: skip
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _config(checkpoint: Checkpoint) -> str:
    """Its config.json, without the dtype."""
    file = checkpoint.file("config.json")
    assert file is not None
    given = json.loads(bytes(file.read(0, file.size)))
    return json.dumps({k: v for k, v in given.items() if k not in ("dtype", "torch_dtype")})
