"""Small things over HTTP: first bytes, last bytes, and how many small requests a second."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from itertools import count
from pathlib import Path

from benchmarks import servers
from benchmarks.harness import Bench, Measured, Table, Target, number, targets_table
from seedbed.files import CheckpointSpec, VirtualFile

ROUNDS = 40
RATE_ROUNDS = 5
CONNECTIONS = (1, 8, 32)

TENSORS = 1000
SHAPE = [8192, 8545]
"""1,000 of them in BF16 are 140 GB."""

BIG = "/v1/tensors/he_normal/500000x500000.safetensors"
"""1 TB in F32."""

SMALL = "/v1/tensors/he_normal/64x64.safetensors"

_CHANGING_SEEDS = """\
seed = 0
request = function()
  seed = seed + 1
  return wrk.format("GET", "{path}?seed=" .. seed)
end
"""

_RECEIVE_BYTES = 1 << 20

Timed = tuple[float, float]
"""Seconds to the first byte of a body, and to as many as were asked for."""


def run(bench: Bench) -> Iterator[Table]:
    """Times to first bytes, rates of small requests, targets."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        own = stack.enter_context(servers.seedbed(directory))
        empty = stack.enter_context(servers.empty_app())
        samples = bench.alternate(_requests(own.port, empty.port), ROUNDS)
        first = {name: Measured.of(s[0] * 1e3 for s in values) for name, values in samples.items()}
        all_of_it = {
            name: Measured.of(s[1] * 1e3 for s in values) for name, values in samples.items()
        }
        yield Table(
            "Milliseconds until bytes of a body are there",
            ("", "the first byte", "all that is named"),
            [[name, first[name].text(2), all_of_it[name].text(2)] for name in samples],
        )
        targets = [*_judge(first, all_of_it)]
        if shutil.which("wrk"):
            rates = _rates(own, empty, directory, bench)
            yield _rates_table(rates)
            targets += _judge_rates(rates)
        else:
            print("small requests: left out, since wrk is not installed (apt-get install wrk)\n")
    yield targets_table(targets)


_PARSE = "in process: that body parsed, by Pydantic"
_POST = "140 GB of 1,000 tensors by POST: the header"
_LINK = "the same by its link, for the first time: the header"
_LINK_AGAIN = "the same link again: the header"
_LAST_NEW = "the last 1 KB of a new 1 TB file, new connection"
_LAST_KEPT = "the last 1 KB of a new 1 TB file, kept connection"
_LAST_AGAIN = "the same file again, kept connection"
_EMPTY_NEW = "empty FastAPI route: the head, new connection"
_EMPTY_KEPT = "empty FastAPI route: the head, kept connection"


def _requests(port: int, empty_port: int) -> dict[str, Callable[[], Timed]]:
    """What is asked for; each seed is asked for once, so that nothing is remembered."""
    seeds = count(1)
    tensors = [
        {"name": f"model.layers.{i // 10}.block.{i % 10}.weight", "shape": SHAPE, "init": HE}
        for i in range(TENSORS)
    ]
    spec = CheckpointSpec.model_validate({"dtype": "BF16", "tensors": tensors})
    head = len(VirtualFile(spec).header)
    kept, kept_empty = _connect(port), _connect(empty_port)
    last = b"Range: bytes=-1024\r\n"

    def body() -> bytes:
        return json.dumps({"seed": next(seeds), "dtype": "BF16", "tensors": tensors}).encode()

    def link(seed: int) -> bytes:
        return f"/v1/checkpoints/{spec.with_seed(seed).token}/model.safetensors".encode()

    def parse() -> Timed:
        text = body()
        began = time.perf_counter()
        CheckpointSpec.model_validate_json(text)
        took = time.perf_counter() - began
        return took, took

    def cut(request: bytes) -> Timed:
        """The start of a body whose rest is not wanted."""
        with _connect(port) as connection:
            return _exchange(connection, request, head)

    def get_anew(port: int, path: bytes, field: bytes, wanted: int) -> Timed:
        began = time.perf_counter()
        with _connect(port) as connection:
            connecting = time.perf_counter() - began
            first, stop = _exchange(connection, _get(path, field), wanted)
        return connecting + first, connecting + stop

    def big() -> bytes:
        return f"{BIG}?seed={next(seeds)}".encode()

    known = link(0)
    return {
        _PARSE: parse,
        _POST: lambda: cut(_post(b"/v1/checkpoints", body())),
        _LINK: lambda: cut(_get(link(next(seeds)))),
        _LINK_AGAIN: lambda: cut(_get(known)),
        _LAST_NEW: lambda: get_anew(port, big(), last, 1024),
        _LAST_KEPT: lambda: _exchange(kept, _get(big(), last), 1024),
        _LAST_AGAIN: lambda: _exchange(kept, _get(f"{BIG}?seed=0".encode(), last), 1024),
        _EMPTY_NEW: lambda: get_anew(empty_port, b"/", b"", 0),
        _EMPTY_KEPT: lambda: _exchange(kept_empty, _get(b"/"), 0),
    }


HE = "he_normal"


def _connect(port: int) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def _get(path: bytes, fields: bytes = b"") -> bytes:
    return b"GET %b HTTP/1.1\r\nHost: 127.0.0.1\r\n%b\r\n" % (path, fields)


def _post(path: bytes, body: bytes) -> bytes:
    head = b"POST %b HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    return head % path + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


def _exchange(connection: socket.socket, request: bytes, wanted: int) -> Timed:
    """Send a request; time the first byte of the answer's body, and so many of them.

    For no bytes, both are the time to the end of the head.
    """
    began = time.perf_counter()
    connection.sendall(request)
    got, head_ends, first = b"", -1, 0.0
    while head_ends < 0 or len(got) < head_ends + wanted or not first:
        part = connection.recv(_RECEIVE_BYTES)
        now = time.perf_counter() - began
        if not part:
            raise RuntimeError(f"the server hung up after {got[:200]!r}")
        got += part
        if head_ends < 0 and (end := got.find(b"\r\n\r\n")) >= 0:
            head_ends = end + 4
            if not got.startswith((b"HTTP/1.1 200", b"HTTP/1.1 206")):
                raise RuntimeError(f"the server said {got[:200]!r}")
        if not first and head_ends >= 0 and (not wanted or len(got) > head_ends):
            first = now
    return first, now


def _rates(
    own: servers.Address, empty: servers.Address, directory: Path, bench: Bench
) -> dict[int, dict[str, list[float]]]:
    """Requests a second by number of connections."""
    script = directory / "seeds.lua"
    script.write_text(_CHANGING_SEEDS.format(path=SMALL))
    seconds = 1 if bench.quick else 3

    def wrk(connections: int, url: str, *arguments: str) -> float:
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", *arguments, url]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        if "Non-2xx" in said or "Socket errors" in said:
            raise RuntimeError(said)
        found = re.search(r"Requests/sec:\s*([\d.]+)", said)
        if found is None:
            raise RuntimeError(said)
        return float(found[1])

    return {
        connections: bench.alternate(
            {
                _RATE_EMPTY: partial(wrk, connections, f"{empty.url}/"),
                _RATE_SAME: partial(wrk, connections, f"{own.url}{SMALL}?seed=42"),
                _RATE_NEW: partial(wrk, connections, own.url, "-s", str(script)),
            },
            RATE_ROUNDS,
        )
        for connections in CONNECTIONS
    }


_RATE_EMPTY, _RATE_SAME, _RATE_NEW = (
    "empty FastAPI route", "64×64 he_normal, the same", "64×64 he_normal, another seed each",
)  # fmt: skip

_RATE_TARGET = 0.6


def _rates_table(rates: dict[int, dict[str, list[float]]]) -> Table:
    rows = []
    for name in (_RATE_EMPTY, _RATE_SAME, _RATE_NEW):
        cells = []
        for by_name in rates.values():
            measured = Measured.of(by_name[name])
            share = measured.median / Measured.of(by_name[_RATE_EMPTY]).median
            cells.append(measured.text() + (f" ({share:.0%})" if name != _RATE_EMPTY else ""))
        rows.append([name, *cells])
    headings = (f"{n} connection{'s' if n > 1 else ''}" for n in rates)
    return Table(
        "Requests a second", ("", *headings), rows, "In brackets the share of the empty one's."
    )


def _judge(first: dict[str, Measured], all_of_it: dict[str, Measured]) -> Iterator[Target]:
    after_parse = first[_POST].median - first[_PARSE].median
    yield Target(
        "first byte of 140 GB by POST, after parsing", "< 5 ms", f"{number(after_parse, 2)} ms",
        met=after_parse < 5,
    )  # fmt: skip
    for name in (_POST, _LINK):
        took = all_of_it[name].median
        yield Target(name, "< 50 ms", f"{number(took, 2)} ms", met=took < 50)
    for name in (_LAST_NEW, _LAST_KEPT):
        took = all_of_it[name].median
        yield Target(name, "< 10 ms", f"{number(took, 2)} ms", met=took < 10)


def _judge_rates(rates: dict[int, dict[str, list[float]]]) -> Iterator[Target]:
    for connections, by_name in rates.items():
        empty = Measured.of(by_name[_RATE_EMPTY]).median
        for name in (_RATE_SAME, _RATE_NEW):
            share = Measured.of(by_name[name]).median / empty
            yield Target(
                f"{name}, {connections} connection{'s' if connections > 1 else ''}",
                f"≥ {_RATE_TARGET:.0%} of an empty route",
                f"{share:.0%}",
                met=share >= _RATE_TARGET,
            )
