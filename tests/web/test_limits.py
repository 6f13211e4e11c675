from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from seedbed.init import Limits
from tests.processes import PATIENCE_SECONDS, attempts, wait_until
from tests.web.local import TERABYTE, CountingEngine, Local, Raw

FILE = "/v1/tensors/normal/300x300.safetensors"
"""Large enough to need a slot to be sent."""

LIMITS: dict[str, Any] = {
    "max_tensors": 3,
    "max_rank": 2,
    "max_rules": 1,
    "max_shards": 2,
    "max_rule_work": 158,
    "max_name_bytes": 8,
    "max_metadata_bytes": 10,
    "max_header_bytes": 700,
    "max_file_bytes": 4000,
    "max_dense_elements": 100,
    "max_dense_bytes": 8000,
    "max_literal_elements": 3,
}
"""Small enough for a test to pass each of them on its own."""


def named(*names: str, shape: Any = (1,), **more: Any) -> dict[str, Any]:
    """A spec of tensors with these names."""
    tensors = [{"name": name, "shape": list(shape), "init": "zeros"} for name in names]
    return {"tensors": tensors, **more}


def listed(count: int) -> dict[str, Any]:
    """An init that lists so many numbers."""
    return {"scheme": "literal", "values": [1] * count}


RULE = {"match": "*", "init": "ones"}

BEYOND: dict[str, tuple[dict[str, Any], dict[str, Any], int]] = {
    # Just within, just beyond, and how much is asked for.
    "max_tensors": (named("a", "b", "c"), named("a", "b", "c", "d"), 4),
    "max_rank": (named("a", shape=(1, 1)), named("a", shape=(1, 1, 1)), 3),
    "max_rules": (named("a", rules=[RULE]), named("a", rules=[RULE, RULE]), 2),
    "max_rule_work": (
        named("12345678", rules=[{"match": "*" * 100, "init": "ones"}]),
        named("12345678", rules=[{"match": "*" * 101, "init": "ones"}]),
        159,
    ),
    "max_name_bytes": (named("12345678"), named("1234567é"), 9),
    "max_metadata_bytes": (
        named("a", metadata={"12345": "67890"}), named("a", metadata={"12345": "6789é"}), 11,
    ),
    "max_file_bytes": (named("a", shape=(1000,)), named("a", shape=(1001,)), 4004),
    "max_dense_elements": (
        {"tensors": [{"name": "a", "shape": [10, 10], "init": "orthogonal"}]},
        {"tensors": [{"name": "a", "shape": [10, 11], "init": "orthogonal"}]},
        110,
    ),
    "max_dense_bytes": (
        {"tensors": [{"name": "a", "shape": [10, 10], "init": "orthogonal"}]},
        {"tensors": [{"name": "a", "shape": [40, 1], "init": "orthogonal"}]},
        25_600,
    ),
    "max_literal_elements": (
        {"tensors": [{"name": "a", "shape": [3], "init": listed(3)}]},
        {"tensors": [{"name": "a", "shape": [4], "init": listed(4)}]},
        4,
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def small() -> Iterator[Local]:
    """A service with the limits above."""
    with Local(engine="numpy", **LIMITS) as local:
        yield local


def test_every_limit_of_the_core_is_provoked() -> None:
    """No limit is without its test."""
    assert {*BEYOND, "max_header_bytes", "max_shards"} == LIMITS.keys()
    assert LIMITS.keys() == Limits.__dataclass_fields__.keys()


@pytest.mark.parametrize("name", BEYOND)
def test_limits_of_specs(small: Local, name: str) -> None:
    """A spec just within a limit is served; one beyond it is 422, with the setting and numbers."""
    within, beyond, actual = BEYOND[name]
    with small.client() as client:
        assert client.post("/v1/describe", json=within).status_code == 200
        for path in ("/v1/checkpoints", "/v1/describe"):
            response = client.post(path, json=beyond)
            assert response.status_code == 422, response.text
            problem = response.json()
            assert problem["type"] == "urn:seedbed:problem:limit"
            assert problem["limit"] == f"SEEDBED_{name.upper()}"
            assert (problem["actual"], problem["maximum"]) == (actual, LIMITS[name])
            assert problem["unit"]


def test_limit_of_shards(small: Local) -> None:
    """More shards than the limit are refused where there are shards; one file is made of any."""
    within, beyond = named("a", "b", max_shard_size=4), named("a", "b", "c", max_shard_size=4)
    with small.client() as client:
        files = client.post("/v1/describe", json=within).json()["links"]["files"]
        assert len([file for file in files if "-of-00002" in file]) == 2
        problem = client.post("/v1/describe", json=beyond).json()
        assert (problem["limit"], problem["actual"]) == ("SEEDBED_MAX_SHARDS", 3)
        whole = client.post("/v1/checkpoints", json=beyond)
        assert whole.status_code == 200
        link = whole.headers["content-location"]
        assert client.get(link).content == whole.content
        index = client.get(link.replace("model.safetensors", "model.safetensors.index.json"))
        assert (index.status_code, index.json()["limit"]) == (422, "SEEDBED_MAX_SHARDS")


def test_limit_of_headers() -> None:
    """A file whose header would be longer than the limit is refused like that."""
    body = {"tensors": [{"name": c * 8, "shape": [1, 1], "init": "zeros"} for c in "abc"]}
    padded = {**body, "rules": [{"match": "*" * 240, "init": "ones"}]}
    most = LIMITS["max_header_bytes"]
    with Local(engine="numpy", max_header_bytes=most) as local, local.client() as client:
        header = client.post("/v1/describe", json=named("a")).json()["header_bytes"]
        assert header <= most + 8
        problem = client.post("/v1/describe", json=padded).json()
    assert problem["limit"] == "SEEDBED_MAX_HEADER_BYTES"
    assert problem["actual"] > problem["maximum"] == LIMITS["max_header_bytes"]


@pytest.mark.parametrize(
    ("path", "limit"),
    [
        ("normal/1x1x1", "MAX_RANK"),
        ("normal/1001", "MAX_FILE_BYTES"),
        ("normal/1.safetensors?name=123456789", "MAX_NAME_BYTES"),
        ("orthogonal/10x11", "MAX_DENSE_ELEMENTS"),
    ],
)
def test_limits_hold_for_one_tensor(small: Local, path: str, limit: str) -> None:
    """The one-line GET and HEAD have the same limits."""
    url = f"/v1/tensors/{path}" + ("" if "?" in path else ".safetensors")
    with small.client() as client:
        response = client.get(url)
        assert response.status_code == 422
        assert response.json()["limit"] == f"SEEDBED_{limit}"
        assert client.head(url).status_code == 422


def test_limits_hold_for_links(small: Local) -> None:
    """A link that a service with larger limits made is held to this one's."""
    with Local(engine="numpy") as large, large.client() as client:
        described = client.post("/v1/describe", json=named("a", "b", "c", "d"))
    with small.client() as client:
        response = client.get(described.json()["links"]["file"])
    assert response.status_code == 422
    assert response.json()["limit"] == "SEEDBED_MAX_TENSORS"


def test_tokens_that_inflate() -> None:
    """A link that inflates to more than the limit is refused before it does."""
    body = named("a" * 1000)
    with Local(engine="numpy") as local, local.client() as client:
        link = client.post("/v1/describe", json=body).json()["links"]["file"]
    with Local(engine="numpy", max_token_bytes=500) as local, local.client() as client:
        response = client.get(link)
    assert response.status_code == 404
    assert "500 bytes" in response.json()["detail"]
    assert len(link) < 200


@pytest.fixture(scope="module")
def bodies() -> Iterator[Local]:
    """A service that takes bodies of 1,000 bytes."""
    with Local(engine="numpy", max_body_bytes=1000) as local:
        yield local


@pytest.fixture(scope="module")
def hasty() -> Iterator[Local]:
    """A service that waits a quarter of a second for a body."""
    with Local(engine="numpy", body_seconds=0.25) as local:
        yield local


HEAD = b"POST /v1/describe HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\n"


def test_body_that_is_announced_too_large(bodies: Local) -> None:
    """A length past the limit is 413 before anything of the body is read."""
    with Raw(bodies.port) as raw:
        answer = raw.send(HEAD, b"Content-Length: 1001\r\n\r\n").answer()
        assert answer.status == 413
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["connection"] == "close"
        assert "SEEDBED_MAX_BODY_BYTES" in json.loads(answer.body)["detail"]
        assert raw.has_ended()


def test_body_that_is_announced_far_too_large(bodies: Local) -> None:
    """A length that no number of 64 bits holds is refused as well."""
    with Raw(bodies.port) as raw:
        answer = raw.send(HEAD, b"Content-Length: 9999999999999999999999\r\n\r\n").answer()
    assert answer.status in (400, 413)
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("extra", [1, 10_000, 3_000_000])
def test_body_that_grows_too_large(bodies: Local, extra: int) -> None:
    """A body without a length is 413 as soon as it is past the limit, and the client sees that."""
    parts = (b" " * min(extra + 1000 - i, 1000) for i in range(0, 1000 + extra, 1000))
    with bodies.client() as client:
        response = client.post(
            "/v1/describe", content=parts, headers={"content-type": "application/json"}
        )
    assert response.status_code == 413
    assert response.json()["type"] == "urn:seedbed:problem:content-too-large"


def test_large_body_that_is_announced_and_sent(bodies: Local) -> None:
    """A client that sends its large body all the same gets to read why it was refused."""
    with bodies.client() as client:
        response = client.post(
            "/v1/describe", content=b" " * 3_000_000, headers={"content-type": "application/json"}
        )
    assert response.status_code == 413


def test_body_just_small_enough(bodies: Local) -> None:
    """A body of exactly the limit is read."""
    text = json.dumps(named("a")).encode()
    with bodies.client() as client:
        response = client.post(
            "/v1/describe",
            content=text + b" " * (1000 - len(text)),
            headers={"content-type": "application/json"},
        )
    assert response.status_code == 200


@pytest.mark.parametrize(
    "head", [b"Content-Length: 100\r\n\r\n{", b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n"]
)
def test_body_that_does_not_come(hasty: Local, head: bytes) -> None:
    """A body that has not come in time is 408, and the connection is closed."""
    with Raw(hasty.port) as raw:
        answer = raw.send(HEAD, head).answer()
        assert answer.status == 408
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["connection"] == "close"
        assert "SEEDBED_BODY_SECONDS" in json.loads(answer.body)["detail"]
        assert raw.has_ended()


def test_body_that_drips(hasty: Local) -> None:
    """It is the whole body that must come in time: a byte now and then does not help."""
    with Raw(hasty.port) as raw:
        raw.send(HEAD, b"Content-Length: 900\r\n\r\n")
        raw.socket.setblocking(False)  # noqa: FBT003
        for _ in attempts("an answer"):
            with contextlib.suppress(BlockingIOError):
                raw.socket.send(b" ")
                time.sleep(0.02)
                status = raw.socket.recv(20)
                break
    assert status.startswith(b"HTTP/1.1 408 ")


def test_client_that_leaves_within_its_body(bodies: Local) -> None:
    """A client that leaves before its body is complete is no failure, and is counted as gone."""
    labels = {"method": "POST", "route": "/v1/describe", "status": "499"}
    before = bodies.metric("seedbed_requests_total", **labels)
    with Raw(bodies.port) as raw:
        raw.send(HEAD, b"Content-Length: 100\r\n\r\n{")
    wait_until(lambda: bodies.metric("seedbed_requests_total", **labels) == before + 1, "the count")


def test_ranges_past_the_limit() -> None:
    """More ranges than allowed are answered by the whole file."""
    with Local(engine="numpy", max_ranges=2) as local, local.client() as client:
        two = client.get(FILE, headers={"range": "bytes=0-0,9-9"})
        three = client.get(FILE, headers={"range": "bytes=0-0,9-9,20-20"})
    assert (two.status_code, three.status_code) == (206, 200)


def test_links_past_the_limit() -> None:
    """Where links must be short a spec that needs a longer one has none."""
    with Local(engine="numpy", max_url_token_chars=0) as local, local.client() as client:
        response = client.post("/v1/checkpoints", json=named("a"))
    assert response.status_code == 200
    assert "content-location" not in response.headers


def hold(local: Local, count: int) -> list[Raw]:
    """So many downloads that stay where they are."""
    held = [Raw(local.port, receive_buffer=2**14).get(TERABYTE) for _ in range(count)]
    wait_until(
        lambda: local.service.admission.active + local.service.admission.waiting >= count,
        "the downloads to begin or wait",
    )
    return held


def test_streams_past_the_limit() -> None:
    """With all slots and places taken, one more is 429 at once, told when to come again."""
    with (
        Local(
            engine="numpy", max_streams=2, max_queued=1, queue_seconds=3600, retry_after_seconds=9
        ) as local,
        local.client() as client,
    ):
        held = hold(local, 3)
        response = client.get(FILE)
        assert response.status_code == 429
        assert response.headers["retry-after"] == "9"
        assert response.json()["type"] == "urn:seedbed:problem:busy"
        posted = client.post("/v1/checkpoints", json=named("a", shape=(300, 300)))
        assert posted.status_code == 429
        # What is at once made, or sends no file, needs no slot.
        assert client.get("/v1/tensors/normal/8.safetensors").status_code == 200
        assert client.get(FILE, headers={"range": "bytes=-9"}).status_code == 206
        assert client.head(FILE).status_code == 200
        assert client.get("/v1/schemes").status_code == 200
        assert client.post("/v1/describe", json=named("a")).status_code == 200
        etag = client.head(FILE).headers["etag"]
        assert client.get(FILE, headers={"if-none-match": etag}).status_code == 304
        for raw in held:
            raw.socket.close()
        wait_until(lambda: local.service.admission.active == 0, "the downloads to end")
        assert client.get(FILE).status_code == 200


def test_queue_is_a_wait_and_not_a_refusal() -> None:
    """Who waits is served as soon as a slot is free, in the order of coming."""
    with Local(engine="numpy", max_streams=1, max_queued=5, queue_seconds=3600) as local:
        (held,) = hold(local, 1)
        waiting = []
        for seed in range(3):
            waiting.append(Raw(local.port).get(f"{FILE}?seed={seed}"))
            wait_until(lambda: local.service.admission.waiting == len(waiting), "it to wait")
        held.socket.close()
        for raw in waiting:
            assert raw.answer().status == 200
            raw.socket.close()
        assert local.service.admission.waiting == 0


@pytest.mark.parametrize("requests", [1, 3])
def test_queue_is_left_on_disconnect(requests: int) -> None:
    """Who waits and leaves gives up the place at once, also with requests pipelined behind."""
    with Local(engine="numpy", max_streams=1, max_queued=1, queue_seconds=3600) as local:
        engine = CountingEngine().install(local.service)
        (held,) = hold(local, 1)
        with Raw(local.port) as raw:
            raw.get(FILE)
            wait_until(lambda: local.service.admission.waiting == 1, "it to wait")
            for _ in range(requests - 1):
                raw.get(FILE)
        wait_until(lambda: local.service.admission.waiting == 0, "it to leave")
        drawn = engine.calls
        with Raw(local.port) as raw:  # the place is free again
            raw.get(FILE)
            wait_until(lambda: local.service.admission.waiting == 1, "another to wait")
            held.socket.close()
            assert raw.answer().status == 200
        assert engine.calls <= drawn + 8


def test_patience_has_an_end() -> None:
    """Who has waited as long as one may is refused with Retry-After."""
    with (
        Local(engine="numpy", max_streams=1, queue_seconds=0.05) as local,
        local.client() as client,
    ):
        (held,) = hold(local, 1)
        response = client.get(FILE)
        assert response.status_code == 429
        assert response.headers["retry-after"] == "2"
        held.socket.close()


def test_client_that_obeys_succeeds() -> None:
    """A client that comes again when Retry-After says so is served in the end."""
    with (
        Local(
            engine="numpy", max_streams=1, max_queued=0, queue_seconds=0, retry_after_seconds=1
        ) as local,
        local.client() as client,
    ):
        (held,) = hold(local, 1)
        refused = 0
        while (response := client.get(FILE)).status_code == 429:
            refused += 1
            assert refused < PATIENCE_SECONDS
            held.socket.close()
            time.sleep(int(response.headers["retry-after"]))
        assert response.status_code == 200
        assert refused >= 1


def test_chunks_of_any_size(client: httpx.Client) -> None:
    """The size of chunks, how many are made ahead and the number of threads do not show."""
    url = "/v1/tensors/normal/300x1001.safetensors?dtype=F16"
    whole = client.get(url).content
    for chunk_bytes, chunks_ahead, threads in ((4096, 1, 1), (4097, 64, 3), (2**26, 2, 2)):
        with (
            Local(
                engine="numpy", chunk_bytes=chunk_bytes, chunks_ahead=chunks_ahead, threads=threads
            ) as local,
            local.client() as other,
        ):
            assert other.get(url).content == whole
            part = other.get(url, headers={"range": "bytes=1001-400007"})
            assert part.content == whole[1001:400008]


def test_too_much_json() -> None:
    """A body with too much in it to be parsed is 422, by the setting that says how much."""
    with Local(engine="numpy", max_json_values=1000, max_json_members=64) as local:
        many = {"tensors": [{"name": "a", "shape": [1] * 20_000, "init": "zeros"}]}
        wide = {"metadata": {f"{i:0500}": "" for i in range(65)}, **named("a")}
        with local.client() as client:
            for body, limit in ((many, "VALUES"), (wide, "MEMBERS")):
                response = client.post("/v1/describe", json=body)
                assert response.status_code == 422
                assert response.json()["limit"] == f"SEEDBED_MAX_JSON_{limit}"


@pytest.mark.parametrize("padding", [0, 2**15])
def test_keys_given_twice(client: httpx.Client, padding: int) -> None:
    """A key given twice is 422, with its place, in short bodies and in long ones."""
    body = b'{"tensors":[{"name":"a","shape":[1],"init":"zeros"},{"name":"b","name":"c"}]}'
    response = client.post(
        "/v1/describe",
        content=body + b" " * padding,
        headers={"content-type": "application/json"},
    )
    assert response.status_code == 422
    (finding,) = response.json()["errors"]
    assert finding["pointer"] == "#/tensors/1/name"
    assert finding["detail"] == "the key 'name' is given twice in one object"
