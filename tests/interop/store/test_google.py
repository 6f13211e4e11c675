"""`gs://` by obstore's client of Google's store.

No emulator that can be installed has uploads in parts by Google's XML API, which is S3's protocol
with headers of another name. So the server is the one of S3, behind a proxy that renames them.
"""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from seedbed.errors import StoreError
from seedbed.files import Checkpoint, CheckpointSpec
from seedbed.materialise import open_target
from seedbed.materialise.plan import SMALLEST_PART_BYTES
from tests.interop.store.s3 import BUCKET, Store, between
from tests.interop.store.test_materialise import SPEC, _end, _sums, spec, sums
from tests.processes import SCRIPT, environment, run

__all__ = ["spec", "sums"]

pytestmark = pytest.mark.interop


class Requests:
    """A hook that lets all requests through, but for every third one while it is told to."""

    def __init__(self) -> None:
        self.refusing = False
        self.refused: list[str] = []
        self._count = itertools.count(1)
        self._lock = threading.Lock()

    def __call__(self, method: str, target: str) -> int:
        """Refuse a request, or let it through."""
        with self._lock:
            if not self.refusing or next(self._count) % 3:
                return 0
            self.refused.append(f"{method} {target}")
            return 503


@pytest.fixture(scope="module")
def requests() -> Requests:
    """Who is asked about each."""
    return Requests()


@pytest.fixture(scope="module")
def google(store: Store, requests: Requests) -> Iterator[str]:
    """A store that speaks as Google's does."""
    with between(store, requests, "x-goog-") as url:
        yield url


def _told(url: str) -> dict[str, str]:
    """The environment of a program that writes to it."""
    return environment(
        GOOGLE_BASE_URL=url, GOOGLE_BEARER_TOKEN="any", SEEDBED_REGISTRY_URL="none"
    )  # fmt: skip


def test_written_verified_and_left_alone(
    store: Store, google: str, requests: Requests, spec: Path, sums: dict[str, str]
) -> None:
    """Each object is the file, in parts, though the store fails; then nothing is written again."""
    command = (SCRIPT, "materialise", str(spec), "-o", f"gs://{BUCKET}/google/", "--json")
    requests.refusing = True
    try:
        end = _end(run(*command, env=_told(google)))
    finally:
        requests.refusing = False
    assert (end["written"], end["kept"]) == (4, 0)
    assert len(requests.refused) > 3
    assert _sums(store, "google/") == sums
    for file in Checkpoint(CheckpointSpec.model_validate(SPEC)).files():
        head = store.client.head_object(Bucket=BUCKET, Key=f"google/{file.name}")
        assert head["Metadata"] == {"seedbed": file.etag}
        parts = head["ETag"].strip('"').partition("-")[2]
        assert parts == ("2" if file.name.endswith(".safetensors") else "")
    again = run(*command, "--verify", env=_told(google))
    assert (_end(again)["written"], _end(again)["kept"]) == (0, 4)
    told = [json.loads(line) for line in again.stdout.splitlines()]
    assert {line["name"]: line["sha256"] for line in told if line["event"] == "file"} == sums
    other = run(*command, "--seed", "43", env=_told(google))
    assert other.returncode == 2
    assert b"has something else: README.md, model-00001" in other.stderr
    assert _sums(store, "google/") == sums
    assert store.uploads() == []


def test_given_up(store: Store, google: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An upload that ends in the middle is aborted: there is neither an object nor an upload."""
    for name, value in _told(google).items():
        monkeypatch.setenv(name, value)
    file = Checkpoint(CheckpointSpec.model_validate({**SPEC, "max_shard_size": "1GB"})).whole

    def at(done: int) -> None:
        if done > 2 * SMALLEST_PART_BYTES:
            raise KeyboardInterrupt

    bucket = open_target(f"gs://{BUCKET}/google-given-up/", 2)
    with pytest.raises(KeyboardInterrupt):
        bucket.write(file, at, replace=False)
    assert store.uploads() == []
    assert bucket.sizes() == {}
    with pytest.raises(StoreError, match="there is no such bucket"):
        open_target("gs://no-bucket/x/", 2).sizes()
