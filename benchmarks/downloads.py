"""Over HTTP: gigabytes to curl, against constant bytes, nginx, and drawing in memory."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from benchmarks import drawing, servers
from benchmarks.drawing import HE_NORMAL, REUSING, TORCH, in_worker, worker
from benchmarks.harness import Bench, Measured, Table, Target, number, targets_table
from benchmarks.processes import cpu_seconds, peak_rss, reset_peak_rss
from seedbed.files import CheckpointSpec, VirtualFile

CLIENTS = {1: 1, 4: 4, 16: 8}
"""How many, and into how many parts the volume is cut of which each gets one."""

ROUNDS = 5
COLUMNS = 1 << 15

CONSTANTS_IN_MEMORY = f"{REUSING}, constants, 1 core"

F32, BF16, CONSTANT, STATIC = "he_normal F32", "he_normal BF16", "constants F32", "nginx, static"

_SHARE_TARGET = 0.8
_TORCH_TARGET = 2.0
_MEMORY_TARGET = 250e6


class Download(NamedTuple):
    """What all clients together took.

    Attributes:
        seconds: from the first one's start to the last one's end.
        server_cpu: seconds of all threads.
        client_cpu: the same of all clients.
        peak: memory of the server in bytes.
    """

    seconds: float
    server_cpu: float
    client_cpu: float
    peak: int


def run(bench: Bench) -> Iterator[Table]:
    """Rates for each number of clients, what they cost, what bounds them, targets."""
    whole = 1 << (26 if bench.quick else 31)
    if not servers.has_nginx():
        print(f"{STATIC}: left out, since nginx is not installed (apt-get install nginx-light)\n")
    in_memory = _in_memory(bench, whole)
    by_clients: dict[int, dict[str, list[Download]]] = {}
    sizes = {clients: whole // parts for clients, parts in CLIENTS.items()}
    with ExitStack() as stack:
        room = Path("/dev/shm" if os.access("/dev/shm", os.W_OK) else tempfile.gettempdir())
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=room)))
        directory.chmod(0o755)  # nginx's workers are another user
        own = stack.enter_context(servers.seedbed(directory))
        static = None
        if servers.has_nginx():
            for size in set(sizes.values()):
                _write_drawn(directory / f"{size}.bin", size)
            static = stack.enter_context(servers.nginx(directory, directory))
        for clients, size in sizes.items():
            paths = {
                F32: f"/v1/tensors/he_normal/{size // 4 // COLUMNS}x{COLUMNS}.safetensors?seed=1",
                BF16: f"/v1/tensors/he_normal/{size // 2 // COLUMNS}x{COLUMNS}.safetensors"
                "?seed=1&dtype=BF16",
                CONSTANT: f"/v1/tensors/constant/{size // 4 // COLUMNS}x{COLUMNS}.safetensors"
                "?value=1",
            }
            rivals = {name: _download(own, path, clients, size) for name, path in paths.items()}
            if static is not None:
                rivals[STATIC] = _download(static, f"/{size}.bin", clients, size)
            by_clients[clients] = bench.alternate(rivals, ROUNDS)
    yield _rates(by_clients, sizes, in_memory)
    yield _costs(by_clients, sizes)
    yield targets_table(_judge(by_clients, sizes, in_memory))


def _write_drawn(path: Path, size: int) -> None:
    """A file of data bytes, drawn like the others."""
    tensor = {"name": "weight", "shape": [size // 4 // COLUMNS, COLUMNS], "init": HE_NORMAL}
    file = VirtualFile(CheckpointSpec.model_validate({"tensors": [tensor]}))
    with path.open("wb") as out:
        for chunk in file.chunks(len(file.header)):
            out.write(chunk)
    path.chmod(0o644)


def _download(
    server: servers.Address, path: str, clients: int, size: int
) -> Callable[[], Download]:
    """Fetches one path by so many curls at once."""
    command = ["curl", "-sS", "--fail", "-o", "/dev/null", "-w", "%{size_download}"]

    def sample() -> Download:
        reset_peak_rss(server.pid)
        used = cpu_seconds(server.pid)
        began = time.perf_counter()
        running = [
            subprocess.Popen([*command, server.url + path], stdout=subprocess.PIPE)
            for _ in range(clients)
        ]
        client_cpu = 0.0
        for process in running:
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            client_cpu += usage.ru_utime + usage.ru_stime
        took = time.perf_counter() - began
        for process in running:
            with process:
                got = int(process.stdout.read()) if process.stdout else 0
            if process.returncode or got < size:
                raise RuntimeError(f"curl got {got:,} of {size:,} bytes of {path}")
        used = cpu_seconds(server.pid) - used
        return Download(took, used, client_cpu, peak_rss(server.pid))

    return sample


def _in_memory(bench: Bench, whole: int) -> dict[str, Measured]:
    """Gigabytes a second of drawing alone."""
    cores = len(os.sched_getaffinity(0))
    sizes = {"F32": whole // 4, "BF16": whole // 2}
    with worker(1) as one, worker(cores) as all_cores:
        rivals = {
            f"{rival}, {dtype}, {'1 core' if process is one else f'{cores} cores'}": in_worker(
                process, rival, HE_NORMAL, dtype, elements
            )
            for dtype, elements in sizes.items()
            for rival, process in ((REUSING, one), (REUSING, all_cores), (TORCH, all_cores))
        }
        rivals[CONSTANTS_IN_MEMORY] = in_worker(one, REUSING, drawing.CONSTANT, "F32", whole // 4)
        samples = bench.alternate(rivals, ROUNDS)
    return {name: Measured.of(whole / s / 1e9 for s in values) for name, values in samples.items()}


def _rates(
    by_clients: dict[int, dict[str, list[Download]]],
    sizes: dict[int, int],
    in_memory: dict[str, Measured],
) -> Table:
    names = list(next(iter(by_clients.values())))
    rows = [
        [f"HTTP: {name}", *(_rate(by_clients[n][name], n, sizes[n]).text() for n in by_clients)]
        for name in names
    ]
    blank = [""] * (len(by_clients) - 1)
    rows += [[f"in memory: {name}", m.text(), *blank] for name, m in in_memory.items()]
    each = ", ".join(f"{size / 1e9:.2g} GB to each of {n}" for n, size in sizes.items())
    return Table(
        "Gigabytes a second, all clients together",
        ("", *(f"{n} client{'s' if n > 1 else ''}" for n in by_clients)),
        rows,
        f"{each}. Clients run on the same cores as the server.",
    )


def _rate(samples: list[Download], clients: int, size: int) -> Measured:
    return Measured.of(clients * size / sample.seconds / 1e9 for sample in samples)


def _costs(by_clients: dict[int, dict[str, list[Download]]], sizes: dict[int, int]) -> Table:
    rows = []
    for clients, by_rival in by_clients.items():
        gigabytes = clients * sizes[clients] / 1e9
        for name, samples in by_rival.items():
            server = Measured.of(s.server_cpu / gigabytes for s in samples)
            client = Measured.of(s.client_cpu / gigabytes for s in samples)
            peak = max(s.peak for s in samples) / 1e6
            memory = f"{peak:,.0f}" if name != STATIC else "–"
            rows.append([name, str(clients), server.text(2), client.text(2), memory])
    return Table(
        "What it costs",
        ("", "clients", "server, CPU s/GB", "curl, CPU s/GB", "server, peak MB"),
        rows,
    )


def _judge(
    by_clients: dict[int, dict[str, list[Download]]],
    sizes: dict[int, int],
    in_memory: dict[str, Measured],
) -> Iterator[Target]:
    cores = len(os.sched_getaffinity(0))
    for dtype, name in (("F32", F32), ("BF16", BF16)):
        one = {n: _rate(samples, 1, sizes[1]).median for n, samples in by_clients[1].items()}
        on_one = in_memory[f"{REUSING}, {dtype}, 1 core"].median
        on_rest = on_one * max(cores - 1, 1)
        slower = min(one[CONSTANT], on_rest)
        share = one[name] / slower
        yield Target(
            f"{name}, 1 client",
            f"≥ {_SHARE_TARGET:.0%} of the slower of constants ({number(one[CONSTANT])}) and "
            f"drawing on all cores but one ({number(on_rest)})",
            f"{share:.0%}",
            met=share >= _SHARE_TARGET,
        )
        more = 1 / on_one - 1 / in_memory[CONSTANTS_IN_MEMORY].median
        bound = _bound(by_clients[1][CONSTANT], sizes[1], more, cores)
        share = one[name] / bound
        yield Target(
            f"{name}, 1 client",
            f"≥ {_SHARE_TARGET:.0%} of what {cores} cores can do ({number(bound)})",
            f"{share:.0%}",
            met=share >= _SHARE_TARGET,
        )
        torch = in_memory[f"{TORCH}, {dtype}, {cores} cores"].median
        times = one[name] / torch
        yield Target(
            f"{name}, 1 client",
            f"≥ {_TORCH_TARGET:g}× torch drawing in memory ({number(torch)})",
            f"{times:.2f}×",
            met=times >= _TORCH_TARGET,
        )
    most = max(CLIENTS)
    peak = max(s.peak for name in (F32, BF16) for s in by_clients[most][name])
    yield Target(
        f"memory of the server, {most} downloads",
        f"< {_MEMORY_TARGET / 1e6:.0f} MB",
        f"{peak / 1e6:.0f} MB",
        met=peak < _MEMORY_TARGET,
    )


def _bound(constants: list[Download], size: int, more: float, cores: int) -> float:
    """Gigabytes a second if every core did nothing but send, receive and draw.

    Args:
        constants: what they take, server and client together.
        size: of each.
        more: processor seconds that a gigabyte of draws takes more than one of constants.
        cores: that all of it is spread over.
    """
    moving = Measured.of((s.server_cpu + s.client_cpu) * 1e9 / size for s in constants).median
    return cores / (moving + more)
