from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from seedbed.files import VirtualFile
from seedbed.files.one_tensor import spec_of_one
from tests.files.suite import BODY, Reader, ReaderSuite
from tests.processes import PATIENCE_SECONDS, attempts, wait_until
from tests.serving import Server
from tests.web.local import MIB, TERABYTE, CountingEngine, Local, Raw, bytes_of, parts_of

SMALL = "/v1/tensors/he_normal/16x9.safetensors?seed=42"
FILE = VirtualFile(spec_of_one("he_normal", "16x9", {"seed": "42"}))
WHOLE = bytes_of(FILE)
SIZE = len(WHOLE)
ETAG = f'"{FILE.etag}"'

ABORTED = "seedbed_aborted_responses_total"
TENSORS = "/v1/tensors/{scheme}/{shape}.safetensors"


class HttpReader:
    """A file behind a URL, by ranges."""

    def __init__(self, client: httpx.Client, url: str) -> None:
        self._client = client
        self._url = url
        self.size = int(client.head(url).headers["content-length"])

    def read(self, start: int, stop: int) -> bytes:
        """One range; what cannot be asked for over HTTP is seen to be refused."""
        if stop <= start:
            return b""
        response = self._client.get(self._url, headers={"range": f"bytes={start}-{stop - 1}"})
        if start >= self.size:
            assert response.status_code == 416
            assert response.headers["content-range"] == f"bytes */{self.size}"
            return b""
        last = min(stop, self.size) - 1
        assert response.status_code == 206
        assert response.headers["content-range"] == f"bytes {start}-{last}/{self.size}"
        return response.content


class TestOverHttp(ReaderSuite):
    """The behaviour suite, over HTTP."""

    @pytest.fixture(scope="class")
    @classmethod
    def reader(cls, client: httpx.Client) -> Reader:
        """The file that POST made, by its link."""
        posted = client.post("/v1/checkpoints", json=BODY)
        return HttpReader(client, posted.headers["content-location"])


def get(client: httpx.Client, method: str = "GET", **headers: str) -> httpx.Response:
    """A request for the small file."""
    return client.request(
        method, SMALL, headers={name.replace("_", "-"): text for name, text in headers.items()}
    )


def test_whole(client: httpx.Client) -> None:
    """A plain GET has the whole file, its length, a strong ETag, and leave to keep it for ever."""
    response = get(client)
    assert response.status_code == 200
    assert response.content == WHOLE
    assert {
        "content-type": "application/octet-stream",
        "content-length": str(SIZE),
        "etag": ETAG,
        "accept-ranges": "bytes",
        "cache-control": "public, max-age=31536000, immutable",
        "content-disposition": 'attachment; filename="he_normal-16x9-seed42.safetensors"',
        "x-content-type-options": "nosniff",
    }.items() <= response.headers.items()
    assert "transfer-encoding" not in response.headers


RANGES = {
    "first-last": ("bytes=3-20", slice(3, 21)),
    "open": ("bytes=100-", slice(100, None)),
    "suffix": ("bytes=-7", slice(-7, None)),
    "suffix longer than the file": ("bytes=-999999", slice(None)),
    "last past the end": ("bytes=5-999999", slice(5, None)),
    "one of several past the end": ("bytes=999999-,0-3", slice(4)),
}


@pytest.mark.parametrize(("text", "cut"), RANGES.values(), ids=RANGES)
def test_range(client: httpx.Client, text: str, cut: slice) -> None:
    """A range is 206 with its bytes, where they lie, and the headers of the whole."""
    response = get(client, range=text)
    start, stop, _ = cut.indices(SIZE)
    assert response.status_code == 206
    assert response.content == WHOLE[cut]
    assert response.headers["content-range"] == f"bytes {start}-{stop - 1}/{SIZE}"
    assert response.headers["content-length"] == str(stop - start)
    for name in ("etag", "cache-control", "content-type", "content-disposition", "accept-ranges"):
        assert response.headers[name] == get(client).headers[name]


@pytest.mark.parametrize(
    "text",
    [
        "items=0-5", "bytes=5-4", "bytes=a-b", "bytes=", "bytes=0-1;2-3", "bytes=0-,0-",
        "bytes=" + ",".join(["0-0"] * 17), "bytes=٣-٤", "bytes=0-1,2-3,x",
    ],
)  # fmt: skip
def test_range_that_is_ignored(client: httpx.Client, text: str) -> None:
    """Another unit, bad syntax, too many ranges or too many bytes: the whole file, 200."""
    response = client.get(SMALL, headers={b"range": text.encode()})
    assert response.status_code == 200
    assert response.content == WHOLE
    assert "content-range" not in response.headers


@pytest.mark.parametrize(
    ("text", "cuts"),
    [
        ("bytes=0-0,-1", [(0, 1), (SIZE - 1, SIZE)]),
        ("bytes=200-299, 0-99,150-249", [(200, 300), (0, 100), (150, 250)]),
        ("bytes=0-0,999999-,5-5", [(0, 1), (5, 6)]),
        ("bytes=" + ",".join(f"{i}-{i}" for i in range(16)), [(i, i + 1) for i in range(16)]),
    ],
)
def test_several_ranges(client: httpx.Client, text: str, cuts: list[tuple[int, int]]) -> None:
    """Several ranges come as the parts of one body of known length, in the order asked for."""
    response = get(client, range=text)
    assert response.status_code == 206
    assert "content-range" not in response.headers
    assert int(response.headers["content-length"]) == len(response.content)
    assert list(parts_of(response)) == [
        (f"bytes {start}-{stop - 1}/{SIZE}", WHOLE[start:stop]) for start, stop in cuts
    ]


@pytest.mark.parametrize("text", [f"bytes={SIZE}-", "bytes=999999999999-", "bytes=-0"])
def test_range_past_the_end(client: httpx.Client, text: str) -> None:
    """A range without bytes is 416, a problem that says how many there are."""
    response = get(client, range=text)
    assert response.status_code == 416
    assert response.headers["content-range"] == f"bytes */{SIZE}"
    assert response.headers["content-type"] == "application/problem+json"
    assert str(SIZE) in response.json()["detail"]


@pytest.mark.parametrize(
    ("condition", "status"),
    [(ETAG, 206), (f"W/{ETAG}", 200), ('"other"', 200), ("Tue, 15 Nov 2044 08:12:31 GMT", 200)],
)
def test_if_range(client: httpx.Client, condition: str, status: int) -> None:
    """If-Range lets a range through for our strong ETag alone, not for a weak one or a date."""
    response = get(client, range="bytes=10-19", if_range=condition)
    assert response.status_code == status
    assert response.content == (WHOLE[10:20] if status == 206 else WHOLE)


@pytest.mark.parametrize("condition", [ETAG, f"W/{ETAG}", "*", f'"a", {ETAG}'])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_not_modified(client: httpx.Client, method: str, condition: str) -> None:
    """304 has no body, and the headers that a cache may need to refresh what it has (§15.4.5)."""
    response = get(client, method, if_none_match=condition)
    assert response.status_code == 304
    assert response.content == b""
    assert response.headers["etag"] == ETAG
    assert response.headers["cache-control"] == get(client).headers["cache-control"]
    assert "content-length" not in response.headers
    assert "content-type" not in response.headers


def test_conditions_on_several_lines(client: httpx.Client) -> None:
    """If-None-Match on two lines is one list."""
    lines = [("if-none-match", '"a"'), ("if-none-match", ETAG)]
    assert client.get(SMALL, headers=lines).status_code == 304


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_precondition_failed(client: httpx.Client, method: str) -> None:
    """412 comes before everything else, as a problem that says what the ETag is."""
    response = get(client, method, if_match='"other"', if_none_match=ETAG, range="bytes=999999-")
    assert response.status_code == 412
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["etag"] == ETAG
    if method == "GET":
        assert ETAG in response.json()["detail"]


@pytest.mark.parametrize(
    "headers",
    [{}, {"range": "bytes=1-2"}, {"range": "bytes=1-2", "if-range": ETAG}, {"if-match": ETAG}],
)
def test_head_is_get_without_a_body(client: httpx.Client, headers: dict[str, str]) -> None:
    """HEAD has the headers of a GET of the whole, and Range does not change that."""
    head = client.head(SMALL, headers=headers)
    full = get(client)
    assert head.status_code == 200
    assert head.content == b""
    changing = {"date", "x-request-id"}
    assert {k: v for k, v in head.headers.items() if k not in changing} == {
        k: v for k, v in full.headers.items() if k not in changing
    }


def test_head_draws_nothing() -> None:
    """HEAD of a terabyte has its length and draws nothing at all."""
    with Local(engine="numpy") as local, local.client() as client:
        engine = CountingEngine().install(local.service)
        response = client.head(TERABYTE)
        assert int(response.headers["content-length"]) > 10**12
        assert engine.calls == 0


@pytest.mark.parametrize("shape", ["scalar", "0", "3x0x5", "1"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_files_with_little_or_nothing_in_them(
    client: httpx.Client, method: str, shape: str
) -> None:
    """Scalars and tensors without elements are files like others, by ranges too."""
    url = f"/v1/tensors/normal/{shape}.safetensors"
    whole = bytes_of(VirtualFile(spec_of_one("normal", shape, {})))
    response = client.request(method, url)
    assert response.status_code == 200
    assert response.headers["content-length"] == str(len(whole))
    assert response.content == (whole if method == "GET" else b"")
    assert client.get(url, headers={"range": "bytes=-4"}).content == whole[-4:]


def test_range_means_nothing_for_post(client: httpx.Client) -> None:
    """POST ignores Range and conditions, and does not say that it takes any."""
    response = client.post(
        "/v1/checkpoints",
        json={"seed": 42, "tensors": [{"name": "weight", "shape": [16, 9], "init": "he_normal"}]},
        headers={"range": "bytes=0-9", "if-none-match": ETAG, "if-match": '"other"'},
    )
    assert response.status_code == 200
    assert response.content == WHOLE
    assert "accept-ranges" not in response.headers
    assert response.headers["etag"] == ETAG


def test_last_kilobyte_of_a_terabyte(client: httpx.Client) -> None:
    """The end of a terabyte costs one kilobyte of draws, and is what the file has there."""
    response = client.get(TERABYTE, headers={"range": "bytes=-1024"})
    file = VirtualFile(spec_of_one("normal", "500000x500000", {}))
    assert response.content == file.read(file.size - 1024, file.size)


def test_pipelined_requests(server: Server) -> None:
    """Requests sent in one go are answered in order on one connection, long bodies included."""
    with Raw(server.port) as raw:
        large = "/v1/tensors/uniform/1000x1000.safetensors"
        for target in (large, SMALL, large):
            raw.get(target)
        first, second, third = raw.answer(), raw.answer(), raw.answer()
    assert second.body == WHOLE
    assert (
        first.body == third.body == bytes_of(VirtualFile(spec_of_one("uniform", "1000x1000", {})))
    )


@pytest.fixture(scope="module")
def local() -> Iterator[Local]:
    """A server with one slow thread that draws, whose engine the tests replace."""
    with Local(engine="numpy", threads=1, chunk_bytes=MIB, chunks_ahead=2) as running:
        yield running


@pytest.fixture
def engine(local: Local) -> Iterator[CountingEngine]:
    """Its engine, which counts, until the test is over."""
    yield CountingEngine().install(local.service)
    CountingEngine().install(local.service)


def idle(local: Local) -> None:
    """Wait until no download is being sent."""
    wait_until(lambda: local.service.admission.active == 0, "all downloads to end")


def test_slow_reader_holds_a_few_chunks(local: Local, engine: CountingEngine) -> None:
    """Of a terabyte that nobody reads only a few chunks are made, and others are served."""
    with Raw(local.port, receive_buffer=2**14) as stalled, local.client() as client:
        stalled.get(TERABYTE).head()
        wait_until(lambda: engine.calls >= 3, "the first chunks")
        before = engine.calls
        # The only thread is free for others, one after the other, while the first one waits.
        for seed in range(5):
            url = f"/v1/tensors/normal/100000.safetensors?seed={seed}"
            expected = bytes_of(VirtualFile(spec_of_one("normal", "100000", {"seed": str(seed)})))
            assert client.get(url).content == expected
        # What the kernel and the transport take is a few chunks too.
        assert before <= 16
        assert engine.calls - before <= 16 + 5
        assert local.service.admission.active == 1
    idle(local)


def test_disconnect_stops_the_work(local: Local, engine: CountingEngine) -> None:
    """When a client leaves in the middle, the download ends and no more is drawn."""
    aborted = local.metric(ABORTED, route=TENSORS)
    with Raw(local.port) as raw:
        raw.get(TERABYTE).head()
        raw.take(5 * MIB)
    idle(local)
    wait_until(lambda: local.metric(ABORTED, route=TENSORS) == aborted + 1, "the count")
    calls = engine.calls
    with local.client() as client:  # a draw that was begun may end meanwhile, but none begins
        assert client.get(SMALL).content == WHOLE
    assert engine.calls <= calls + 2


def test_disconnect_with_a_request_behind(local: Local, engine: CountingEngine) -> None:
    """A client that has pipelined another request is noticed to have left all the same."""
    with Raw(local.port) as raw:
        raw.get(TERABYTE).get(TERABYTE).get(SMALL).head()
        raw.take(3 * MIB)
    idle(local)
    calls = engine.calls
    with local.client() as client:
        assert client.get(SMALL).content == WHOLE
    assert engine.calls <= calls + 2


def test_disconnect_while_a_chunk_is_drawn(local: Local, engine: CountingEngine) -> None:
    """A client that leaves before the first chunk is made does not wait for it."""
    begun, go_on = threading.Event(), threading.Event()

    def wait(call: int) -> None:
        if call == 1:
            begun.set()
            go_on.wait(PATIENCE_SECONDS)

    engine.before = wait
    try:
        with Raw(local.port) as raw:
            raw.get(TERABYTE)
            assert begun.wait(PATIENCE_SECONDS)
            assert local.service.admission.active == 1
        idle(local)  # while the thread is still at it
        assert not go_on.is_set()
    finally:
        go_on.set()


@pytest.mark.parametrize(("headers", "calls"), [((), 3), (("Range: bytes=9000000-99999999",), 2)])
def test_failure_in_the_middle_cuts_the_connection(
    local: Local, engine: CountingEngine, headers: tuple[str, ...], calls: int
) -> None:
    """If drawing fails after the head has gone out, the body ends early and so does the connection.

    The client sees fewer bytes than were announced, never a clean end, and nothing else: no error
    text within the file. The metrics count it.
    """

    def fail(call: int) -> None:
        if call > calls:
            raise RuntimeError("provoked")

    engine.before = fail
    aborted = local.metric(ABORTED, route=TENSORS)
    url = "/v1/tensors/normal/10000x10000.safetensors"
    file = VirtualFile(spec_of_one("normal", "10000x10000", {}))
    with Raw(local.port) as raw:
        status, fields = raw.get(url, "Connection: keep-alive", *headers).head()
        body = raw.rest()
    assert status == (206 if headers else 200)
    start = 9_000_000 if headers else 0
    assert 0 < len(body) < int(fields["content-length"])
    assert body == file.read(start, start + len(body))
    wait_until(lambda: local.metric(ABORTED, route=TENSORS) == aborted + 1, "the count")
    idle(local)


def test_failure_in_the_middle_is_an_error_to_clients(local: Local, engine: CountingEngine) -> None:
    """An HTTP client raises on a body that was cut, on a connection that was kept alive."""

    def fail(call: int) -> None:
        if call > 4:
            raise RuntimeError("provoked")

    with local.client() as client:
        assert client.get(SMALL).content == WHOLE
        engine.before = fail
        with pytest.raises(httpx.RemoteProtocolError, match="without sending complete"):
            client.get("/v1/tensors/normal/10000x10000.safetensors")
        engine.before = lambda _: None
        assert client.get("/v1/tensors/normal/2x2.safetensors").status_code == 200
    idle(local)


def test_failure_in_a_part(local: Local, engine: CountingEngine) -> None:
    """A multipart body is cut in the same way."""

    def fail(call: int) -> None:
        if call > 1:
            raise RuntimeError("provoked")

    engine.before = fail
    with Raw(local.port) as raw:
        status, fields = raw.get(
            "/v1/tensors/normal/10000x10000.safetensors",
            "Range: bytes=1000000-1999999,3000000-5999999",
        ).head()
        body = raw.rest()
    assert status == 206
    assert 0 <= len(body) < int(fields["content-length"])
    idle(local)


def test_many_downloads_share_the_threads(local: Local) -> None:
    """A short download that begins behind a long one is served chunk by chunk beside it."""
    got: list[Any] = []

    def fetch(seed: int) -> None:
        with local.client() as client:
            url = f"/v1/tensors/normal/600000.safetensors?seed={seed}"
            got.append((seed, client.get(url).content))

    with Raw(local.port) as long:
        long.get(TERABYTE).head()
        threads = [threading.Thread(target=fetch, args=(seed,)) for seed in range(4)]
        for thread in threads:
            thread.start()
        for _ in attempts("the short downloads"):
            if not any(thread.is_alive() for thread in threads):
                break
            long.take(MIB)
    assert len(got) == 4
    for seed, content in got:
        file = VirtualFile(spec_of_one("normal", "600000", {"seed": str(seed)}))
        assert content == bytes_of(file)
    idle(local)
