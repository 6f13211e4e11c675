"""Two nodes of Ray on this machine write into a real S3 server, and are killed on the way."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.interop.store.s3 import BUCKET, Store, between
from tests.interop.store.test_materialise import INDEX, SPEC, _end, _sums, sums
from tests.processes import PATIENCE_SECONDS, SCRIPT, run, start, wait_until

__all__ = ["sums"]

pytestmark = pytest.mark.interop

ROOT = Path(__file__).parents[3]

FIRST, SECOND = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"


RAY = {
    "RAY_memory_monitor_refresh_ms": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_gcs_server_request_timeout_seconds": f"{PATIENCE_SECONDS:.0f}",
}
"""Ray's own patience is for machines with nothing else to do, and its memory monitor is not."""


class Cluster:
    """Two nodes in a process of their own.

    Args:
        log: what it says on standard error.
        variables: of its environment, and so of the nodes'.
    """

    def __init__(self, log: Path, variables: dict[str, str]) -> None:
        with log.open("wb") as errors:
            self._process = start(
                sys.executable, "-m", "tests.interop.store.ray_side", env=variables,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, cwd=ROOT,
            )  # fmt: skip
        self.address = self._answer("address ")

    def tell(self, word: str) -> None:
        """Have something done."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{word}\n".encode())
        self._process.stdin.flush()
        self._answer("done")

    def _answer(self, beginning: str) -> str:
        """What follows a beginning in the first line that has it; Ray prints lines of its own."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.decode().startswith(beginning):
                return line.decode().removeprefix(beginning).strip()
        raise AssertionError("the cluster has ended")

    def end(self) -> None:
        """End it."""
        try:
            self._process.communicate(timeout=PATIENCE_SECONDS)
        finally:
            self._process.kill()
            self._process.wait(PATIENCE_SECONDS)


class Gate:
    """A hook that holds the second part of each upload until it is opened.

    Attributes:
        held: names of the objects of uploads that wait, or have waited.
        opened: lets them go on.
    """

    def __init__(self) -> None:
        self.held: list[str] = []
        self.opened = threading.Event()
        self._lock = threading.Lock()

    def __call__(self, method: str, target: str) -> int:
        """Hold a request, or let it through."""
        if method == "PUT" and "partNumber=2" in target:
            with self._lock:
                self.held.append(target.partition("?")[0].rpartition("/")[2])
            self.opened.wait(PATIENCE_SECONDS)
        return 0


@pytest.fixture(scope="module")
def gates() -> list[Gate]:
    """The gate that uploads pass now is the last one."""
    return [Gate()]


@pytest.fixture(scope="module")
def gated(store: Store, gates: list[Gate]) -> Iterator[str]:
    """A store behind a gate, which nodes know from their start on."""

    def hook(method: str, target: str) -> int:
        return gates[-1](method, target)  # whichever is the last one then

    with between(store, hook) as url:
        yield url


@pytest.fixture(scope="module")
def cluster(
    store: Store, gated: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cluster]:
    """A head and a node, a processor each."""
    variables = store.told(gated, **RAY)
    made = Cluster(tmp_path_factory.mktemp("ray") / "cluster.log", variables)
    try:
        yield made
    finally:
        made.end()


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The spec as a file."""
    path = tmp_path_factory.mktemp("spec") / "spec.json"
    path.write_text(json.dumps(SPEC))
    return path


def _command(cluster: Cluster, spec: Path, prefix: str) -> tuple[str, ...]:
    target = f"s3://{BUCKET}/{prefix}"
    return (SCRIPT, "materialise", str(spec), "-o", target, "--json", "--ray", cluster.address)


def _workers() -> list[psutil.Process]:
    """Processes that have a shard under way, by the title that Ray gives them."""
    workers = []
    for process in psutil.process_iter():
        try:
            if process.cmdline()[:1] and process.cmdline()[0].startswith("ray::seedbed:model-"):
                workers.append(process)
        except psutil.Error:
            continue
    return workers


def test_a_worker_and_a_node_die(
    store: Store, gated: str, gates: list[Gate], cluster: Cluster, spec: Path, sums: dict[str, str]
) -> None:
    """Each costs the shards that it was at, in mid-upload; in the end every object is the file."""
    gate = gates[-1]
    process = start(*_command(cluster, spec, "ray/"), env=store.told(gated), stdout=subprocess.PIPE)
    try:
        wait_until(lambda: {FIRST, SECOND} <= set(gate.held), "both shards to be under way")
        for worker in _workers()[:1]:
            worker.send_signal(signal.SIGKILL)
        wait_until(lambda: len(gate.held) >= 3, "the killed worker's shard to be begun again")
        cluster.tell("kill")
        assert not {FIRST, SECOND, INDEX} & store.objects("ray/").keys()
        gate.opened.set()
        said, _ = process.communicate(timeout=PATIENCE_SECONDS)
    finally:
        gate.opened.set()
        process.kill()
        process.wait(PATIENCE_SECONDS)
    assert process.returncode == 0
    *_, end = map(json.loads, said.splitlines())  # and nothing of Ray's own between
    # A worker may outlive its node for a moment, and end an upload that its successor then keeps.
    assert (end["whole"], end["written"] + end["kept"]) == (True, len(sums))
    assert _sums(store, "ray/") == sums
    cluster.tell("add")


def test_the_driver_dies(
    store: Store, gated: str, gates: list[Gate], cluster: Cluster, spec: Path, sums: dict[str, str]
) -> None:
    """What it began looks like nothing whole; run again, it writes what is missing alone."""
    gates.append(gate := Gate())
    process = start(*_command(cluster, spec, "driver/"), env=store.told(gated))
    try:
        wait_until(lambda: gate.held, "an upload to be under way")
        process.kill()
        process.wait(PATIENCE_SECONDS)
        wait_until(lambda: not _workers(), "Ray to end what the driver had begun")
    finally:
        gate.opened.set()
        process.kill()
        process.wait(PATIENCE_SECONDS)
    kept = store.objects("driver/").keys()
    assert INDEX not in kept
    end = _end(run(*_command(cluster, spec, "driver/"), env=store.told(gated)))
    assert (end["kept"], end["written"]) == (len(kept), len(sums) - len(kept))
    assert _sums(store, "driver/") == sums
    store.abort_all()
