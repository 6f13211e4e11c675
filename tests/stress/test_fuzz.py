from __future__ import annotations

import base64
import contextlib
import copy
import json
import random
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote_from_bytes

import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seedbed.files import CheckpointSpec
from tests.serving import Server
from tests.strategies import untimed
from tests.stress.scale import note, sizes
from tests.web.local import MIB, Raw

SPEC: dict[str, Any] = {
    "seed": 7,
    "dtype": "BF16",
    "tensors": [
        {"name": "a.weight", "shape": [4, 3, 2, 2], "init": {"scheme": "he_normal", "gain": 1.5}},
        {"name": "a.bias", "shape": [4], "init": "zeros", "dtype": "F32"},
    ],
    "layers": [{"type": "linear", "name": "fc", "in_features": 3, "out_features": 2}],
    "rules": [{"match": "*.bias", "init": {"scheme": "constant", "value": 0.5}}],
    "metadata": {"note": "größe 𝛼"},
}

TOKEN = CheckpointSpec.model_validate_json(json.dumps(SPEC)).token

SECRETS = re.compile(rb"Traceback|site-packages|/app/seedbed|object at 0x|\bFile \"")
"""What an answer never has in it."""


def exchange(server: Server, *parts: bytes) -> bytes:
    """What comes back for these bytes, until the service ends the connection."""
    with Raw(server.port) as raw:
        with contextlib.suppress(ConnectionError):  # it has refused already
            raw.send(*parts)
        return raw.rest()


def statuses_of(server: Server, requests: Iterable[bytes]) -> Counter[int]:
    """How often there was which status, 0 for no answer, to requests that are sent side by side."""

    def status(sent: bytes) -> int:
        return check(exchange(server, sent), head=b"HEAD" in sent)

    with ThreadPoolExecutor(16) as pool:
        return Counter(pool.map(status, requests))


def check(said: bytes, *, head: bool = False) -> int:
    """Hold the first answer to what an answer to bad input is; gives its status, 0 if none."""
    assert not SECRETS.search(said)
    if not said:
        return 0
    top, _, body = said.partition(b"\r\n\r\n")
    line, *lines = top.decode("latin-1").split("\r\n")
    # 501 is the right answer to a transfer coding that is not known (RFC 9112, section 6.1).
    match = re.fullmatch(r"HTTP/1\.1 ([1-4]\d\d|501) [A-Za-z -]*", line)
    assert match, line
    status = int(match[1])
    fields = {name.lower(): value for name, _, value in (x.partition(": ") for x in lines)}
    length = int(fields.get("content-length", len(body)))
    if not head and status >= 400:
        # The Hub's clients read plain JSON only; what they are told is a problem all the same.
        of_hub = "x-error-code" in fields
        expected = "application/json" if of_hub else "application/problem+json"
        assert fields["content-type"] == expected, said[:300]
        problem = json.loads(body[:length])
        assert problem["status"] == status
        assert problem["detail"].strip()
    if not head and status not in (304, 100):
        assert len(body) >= length
    return status


def request(method: str, target: str | bytes, *lines: bytes, body: bytes = b"") -> bytes:
    """A request that ends its connection."""
    target = target.encode() if isinstance(target, str) else target
    length = [b"Content-Length: %d" % len(body)] if body else []
    head = (b"%s %s HTTP/1.1" % (method.encode(), target), b"Host: here", b"Connection: close")
    return b"\r\n".join((*head, *lines, *length, b"", body))


JSON = b"Content-Type: application/json"

CORPUS = [
    request("GET", "/v1/tensors/he_normal/8x4.safetensors?seed=3&gain=2", b"Range: bytes=0-9"),
    request("HEAD", f"/v1/checkpoints/{TOKEN}/model.safetensors", b'If-None-Match: "x"'),
    request("POST", "/v1/describe", JSON, body=json.dumps(SPEC).encode()),
    request("POST", "/v1/checkpoints", JSON, b"Expect: 100-continue", body=b'{"tensors":[]}'),
    request("POST", "/v1/describe", JSON, b"Transfer-Encoding: chunked")
    + b"3\r\n{}\n\r\n0\r\nTrailer: x\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\nGET /readyz HTTP/1.1\r\nHost: h\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n",
    b"GET http://elsewhere/v1/schemes HTTP/1.1\r\nHost: h\r\n\r\n",
    b"CONNECT h:80 HTTP/1.1\r\nHost: h\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
]

PIECES = [
    b"", b"\0", b"\r", b"\n", b"\r\n", b"\r\n\r\n", b" ", b"\t", b"%", b"%00", b"%2e%2e%2f",
    b"%ff", b"../", b"\xff", b"\xf0\x9d\x9b\xbc", b":", b",", b"Content-Length: 5\r\n",
    b"Host: x\r\n", b"Transfer-Encoding: chunked\r\n", b"0\r\n\r\n", b"9" * 20, b"-1", b"{",
    b"[" * 300, b'"', b"\\", b"\\ud800", b"1e999", b"NaN", b"A" * 5000,
]  # fmt: skip


def mutated(text: bytes, choice: random.Random) -> bytes:
    """A text with a few pieces put in, taken out or doubled."""
    for _ in range(choice.randint(1, 4)):
        start = choice.randrange(len(text) + 1)
        stop = min(len(text), start + choice.choice((0, 0, 1, 1, 2, 8, 40)))
        piece = choice.choice((*PIECES, text[start:stop] * 2, bytes([choice.randrange(256)])))
        text = text[:start] + piece + text[stop:]
    return text


def quiet(server: Server) -> None:
    """Whether the service runs, and has logged no failure."""
    assert check(exchange(server, request("GET", "/readyz"))) == 200
    log = server.log.read_text()
    assert "Traceback" not in log
    assert '"failure"' not in log


@pytest.mark.parametrize("count", sizes(200, 2000, 20_000))
def test_mutated_requests(impatient: Server, count: int) -> None:
    """Requests with bytes put in, taken out or doubled get 4xx or 501 at worst, or no answer."""
    choice = random.Random(count)
    process = psutil.Process(impatient.pid)
    before = process.memory_info().rss
    sent = [mutated(choice.choice(CORPUS), choice) for _ in range(count)]
    statuses = statuses_of(impatient, sent)
    grown = process.memory_info().rss - before
    quiet(impatient)
    assert statuses.keys() >= {200, 400, 408, 422}
    assert grown < 40 * MIB
    note("mutated_requests", count=count, grown_mb=round(grown / 1e6, 1), statuses=statuses)


NUMBERS = [
    0, -1, 1, 2**31, 2**53, 2**63, 2**64, -(2**63) - 1, 10**30, 10**400, 1e308, -0.0, 5e-324, 0.1,
    float("nan"), float("inf"),
]  # fmt: skip
STRINGS = [
    "", " ", "\0", "\x7f", "\u202e", "\ufeff", "𝛼", "a\u0301", "\n", '"', "\\", "/", "..", "~1",
    "*", "[", "a" * 5000, "%s%n", "{}", "he_normal", "F32", "__class__", "\ud800",
]  # fmt: skip


def hostile(choice: random.Random, depth: int = 0) -> Any:
    """A value of any kind that somebody might send instead of the right one."""
    simple = choice.choice((*NUMBERS, *STRINGS, None, True, False, [], {}, [2, 2], "F16"))
    kind = choice.randrange(8)
    if kind == 0 and depth < 3:
        return [hostile(choice, depth + 1) for _ in range(choice.randrange(4))]
    if kind == 1 and depth < 3:
        return {choice.choice(STRINGS): hostile(choice, depth + 1) for _ in range(3)}
    if kind == 2:
        return [simple] * choice.choice((1, 40, 3000))
    if kind == 3 and depth == 0:
        for _ in range(choice.choice((5, 150, 250, 900))):
            simple = [simple] if choice.random() < 0.5 else {"a": simple}
    return simple


def places(value: Any) -> list[tuple[Any, Any]]:
    """Each container in a value, with each of its keys."""
    keys = value if isinstance(value, dict) else range(len(value)) if type(value) is list else ()
    return [x for key in keys for x in ((value, key), *places(value[key]))]


def hostile_specs(count: int) -> Iterator[bytes]:
    """Requests with specs of which a place or two have been replaced."""
    choice = random.Random(count)
    for _ in range(count):
        spec = copy.deepcopy(SPEC)
        for container, key in choice.sample(places(spec), choice.randint(1, 2)):
            more = isinstance(container, dict) and choice.random() < 0.3
            container[choice.choice(STRINGS) if more else key] = hostile(choice)
        escaped = choice.random() < 0.5
        with contextlib.suppress(ValueError):  # more digits than Python spells
            body = json.dumps(spec, ensure_ascii=escaped).encode("utf-8", "surrogatepass")
            path = choice.choice(("/v1/describe", "/v1/checkpoints"))
            yield request("POST", path, JSON, body=body)


@pytest.mark.parametrize("count", sizes(200, 2000, 20_000))
def test_hostile_specs(target: Server, count: int) -> None:
    """A spec with some of it replaced by whatever there is, is a file or a clear 4xx."""
    statuses = statuses_of(target, hostile_specs(count))
    quiet(target)
    assert {200, 422} <= statuses.keys() <= {200, 400, 408, 422}
    note("hostile_specs", count=count, statuses=statuses)


def hostile_tokens(count: int) -> Iterator[bytes]:
    """Links that were damaged, compress damaged JSON, or are nothing."""
    choice = random.Random(count)
    for _ in range(count):
        token = choice.choice(
            (
                mutated(TOKEN.encode(), choice),
                packed(mutated(json.dumps(SPEC).encode(), choice)),
                base64.urlsafe_b64encode(choice.randbytes(choice.randrange(60))),
            )
        )
        path = f"/v1/checkpoints/{quote_from_bytes(token, safe='')}/model.safetensors"
        yield request("GET", path)


@pytest.mark.parametrize("count", sizes(200, 2000, 20_000))
def test_hostile_tokens(target: Server, count: int) -> None:
    """A link that was damaged, or made up, leads to a file or is 404, 414 or 422."""
    statuses = statuses_of(target, hostile_tokens(count))
    quiet(target)
    assert {200, 404} <= statuses.keys() <= {200, 404, 414, 422}
    note("hostile_tokens", count=count, statuses=statuses)


def packed(text: bytes) -> bytes:
    """Text as a token has it."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return base64.urlsafe_b64encode(packer.compress(text) + packer.flush()).rstrip(b"=")


def test_decompression_bombs(target: Server) -> None:
    """A link that inflates a thousandfold is refused, and takes no memory."""
    bomb = packed(b'{"tensors":[' + b" " * (45 << 20))
    assert len(bomb) < 2**16
    before = psutil.Process(target.pid).memory_info().rss
    for _ in range(20):
        said = exchange(target, request("GET", b"/v1/checkpoints/%s/model.safetensors" % bomb))
        assert check(said) == 404
    grown = psutil.Process(target.pid).memory_info().rss - before
    quiet(target)
    assert grown < 16 * MIB
    note("decompression_bombs", inflates_mb=45, grown_mb=round(grown / 1e6, 1))


SEGMENTS = st.one_of(
    st.sampled_from(
        ["..", ".", "", "%2e%2e", "%2F", "%00", "%", "%zz", "%ff%fe", "\\", "v1", "tensors", "docs"]
    ),
    st.text(max_size=12).map(
        lambda text: quote_from_bytes(text.encode("utf-8", "replace"), safe="")
    ),
    st.binary(max_size=6).map(lambda data: quote_from_bytes(data, safe="")),
)
PATHS = st.one_of(
    st.lists(SEGMENTS, max_size=6).map("/".join),
    st.tuples(SEGMENTS, SEGMENTS).map("v1/tensors/{0[0]}/{0[1]}.safetensors".format),
    SEGMENTS.map("v1/tensors/normal/{}.safetensors".format),
    SEGMENTS.map("v1/tensors/normal/2x2.safetensors?{}=1".format),
    st.tuples(st.sampled_from(["seed", "dtype", "name", "mean", "std"]), SEGMENTS).map(
        "v1/tensors/normal/2x2.safetensors?{0[0]}={0[1]}".format
    ),
    SEGMENTS.map("v1/schemes/{}".format),
    SEGMENTS.map("v1/layers/{}".format),
    SEGMENTS.map("docs/assets/{}".format),
    st.tuples(SEGMENTS, SEGMENTS).map("v1/checkpoints/{0[0]}/{0[1]}".format),
)


@pytest.mark.parametrize("count", sizes(150, 1500, 10_000))
def test_paths(target: Server, count: int) -> None:
    """Whatever characters are in a path or query, and however encoded, it is found or clear 4xx."""

    @settings(untimed, max_examples=count, database=None)
    @given(PATHS, st.sampled_from(["GET", "HEAD", "PUT", "DELETE", "OPTIONS"]))
    def run(path: str, method: str) -> None:
        status = check(exchange(target, request(method, f"/{path}")), head=method == "HEAD")
        assert status in (200, 204, 304, 307, 400, 401, 404, 405, 412, 413, 415, 422, 428)

    run()
    quiet(target)
    note("paths", count=count)


FRAGMENTS = st.sampled_from(
    [
        "bytes",
        "=",
        "-",
        ",",
        " ",
        "\t",
        "0",
        "7",
        "99",
        "9" * 40,
        "-9",
        '"',
        "W/",
        "*",
        "x",
        '"x"',
        ";",
    ]
)
VALUES = st.lists(FRAGMENTS, max_size=12).map("".join) | st.text(
    st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=20
)


@pytest.mark.parametrize("count", sizes(150, 1500, 10_000))
def test_conditions(target: Server, count: int) -> None:
    """Whatever Range and conditions say, the answer is one of HTTP's, and as long as it says."""
    path = "/v1/tensors/normal/20x20.safetensors"
    names = st.sampled_from(["Range", "If-Range", "If-Match", "If-None-Match", "If-Modified-Since"])

    @settings(untimed, max_examples=count, database=None)
    @given(st.lists(st.tuples(names, VALUES), max_size=4))
    def run(lines: list[tuple[str, str]]) -> None:
        fields = [f"{name}: {value}".encode("latin-1") for name, value in lines]
        status = check(exchange(target, request("GET", path, *fields)))
        assert status in (200, 206, 304, 412, 416)

    run()
    quiet(target)
    note("conditions", count=count)


BODIES = {
    "deep arrays": b"[" * 100_000,
    "deep objects": b'{"a":' * 100_000,
    "balanced": b"[" * 5000 + b"]" * 5000,
    "a long number": b'{"seed":' + b"9" * 1_000_000 + b"}",
    "a long string": b'{"dtype":"' + b"a" * 1_000_000 + b'"}',
    "backslashes": b'{"dtype":"' + b"\\" * 1_000_000,
    "many keys": b"{" + b",".join(b'"%d":0' % i for i in range(200_000)) + b"}",
    "many metadata": b'{"metadata":{' + b",".join(b'"%d":0' % i for i in range(200_000)) + b"}}",
    "many tensors": b'{"tensors":['
    + b'{"name":"a","shape":[1],"init":"zeros"},' * 250_000
    + b"{}]}",
    "many rules": b'{"rules":[' + b'{"match":"*","init":"ones"},' * 201_000 + b"{}]}",
    "many lists": b'{"tensors":[' + b"[]," * 4_000_000 + b"[]]}",
    "a wide shape": b'{"tensors":[{"name":"a","init":"ones","shape":[' + b"1," * 900_000 + b"1]}]}",
    "no UTF-8": b'{"seed":"\xff"}',
    "UTF-16": '{"seed":1}'.encode("utf-16"),
    "half a character": b'{"metadata":{"a":"\\ud800"}}',
    "a mark": b"\xef\xbb\xbf{}",
    "nothing": b" ",
    "not a number": b'{"tensors":[{"name":"a","shape":[1],"init":{"scheme":"normal","std":NaN}}]}',
    "infinity": b'{"tensors":[{"name":"a","shape":[1],"init":{"scheme":"normal","std":1e999}}]}',
}


@pytest.mark.parametrize("name", BODIES)
def test_hostile_bodies(target: Server, name: str) -> None:
    """Bodies that are deep, wide, long or no text are a clear 4xx, and memory comes back."""
    process = psutil.Process(target.pid)
    before = process.memory_info().rss
    said = exchange(target, request("POST", "/v1/describe", JSON, body=BODIES[name]))
    assert check(said) in (400, 422)
    quiet(target)
    grown = process.memory_info().rss - before
    assert grown < 150 * MIB
    note("hostile_bodies", body=name, grown_mb=round(grown / 1e6, 1))
