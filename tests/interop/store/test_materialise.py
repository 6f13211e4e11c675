from __future__ import annotations

import hashlib
import itertools
import json
import signal
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from seedbed.cli import program
from seedbed.files import CHUNK_BYTES, Checkpoint, CheckpointSpec
from seedbed.materialise import open_target
from seedbed.materialise.plan import SMALLEST_PART_BYTES
from tests.interop.store.s3 import BUCKET, Store, between
from tests.processes import PATIENCE_SECONDS, SCRIPT, run, start, wait_until

pytestmark = pytest.mark.interop

INDEX = "model.safetensors.index.json"

SPEC: dict[str, Any] = {
    "seed": 42,
    "max_shard_size": "10MB",
    "tensors": [{"name": name, "shape": [1200, 1900], "init": "he_normal"} for name in ("a", "b")],
}
"""Two shards of 9 MB, so of two parts each; an index and a card."""


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The spec as a file."""
    path = tmp_path_factory.mktemp("spec") / "spec.json"
    path.write_text(json.dumps(SPEC))
    return path


@pytest.fixture(scope="module")
def sums() -> dict[str, str]:
    """SHA-256 of the files that the core makes of it."""
    files = Checkpoint(CheckpointSpec.model_validate(SPEC)).files()
    return {file.name: hashlib.sha256(file.read(0, file.size)).hexdigest() for file in files}


def _command(spec: Path, prefix: str, *more: str) -> tuple[str, ...]:
    target = f"s3://{BUCKET}/{prefix}"
    return (SCRIPT, "materialise", str(spec), "-o", target, "--json", *more)


def _end(done: subprocess.CompletedProcess[bytes], code: int = 0) -> dict[str, Any]:
    """The last line of a run that has ended with this code."""
    assert done.returncode == code, done.stderr.decode()
    end: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return end


def _sums(store: Store, prefix: str) -> dict[str, str]:
    return {
        name: hashlib.sha256(store.read(prefix + name)).hexdigest()
        for name in store.objects(prefix)
    }


def test_written_and_left_alone(store: Store, spec: Path, sums: dict[str, str]) -> None:
    """Each object is the file, with its ETag beside it; a second run reads back and writes none."""
    end = _end(run(*_command(spec, "whole/"), env=store.told()))
    assert (end["written"], end["kept"]) == (4, 0)
    assert _sums(store, "whole/") == sums
    for file in Checkpoint(CheckpointSpec.model_validate(SPEC)).files():
        head = store.client.head_object(Bucket=BUCKET, Key=f"whole/{file.name}")
        assert head["Metadata"] == {"seedbed": file.etag}
        parts = head["ETag"].strip('"').partition("-")[2]
        assert parts == ("2" if file.name.endswith(".safetensors") else "")
    again = run(*_command(spec, "whole/", "--verify"), env=store.told())
    assert (_end(again)["written"], _end(again)["kept"]) == (0, 4)
    told = [json.loads(line) for line in again.stdout.splitlines()]
    assert {line["name"]: line["sha256"] for line in told if line["event"] == "file"} == sums
    assert store.uploads() == []


def test_a_store_that_fails_every_third_request(
    store: Store, spec: Path, sums: dict[str, str]
) -> None:
    """What is answered by 503 is asked again."""
    count, lock = itertools.count(1), threading.Lock()
    refused: list[str] = []

    def hook(method: str, target: str) -> int:
        with lock:
            if next(count) % 3:
                return 0
            refused.append(f"{method} {target}")
            return 503

    with between(store, hook) as url:
        assert _end(run(*_command(spec, "third/"), env=store.told(url)))["whole"]
    assert len(refused) > 3
    assert _sums(store, "third/") == sums


def test_an_upload_that_expired(store: Store, spec: Path, sums: dict[str, str]) -> None:
    """Its file is missing and said to be, so is the index; the next run writes these two alone."""
    victims: list[str] = []
    lock = threading.Lock()

    def hook(method: str, target: str) -> int:
        with lock:
            if method == "PUT" and "partNumber=2" in target and not victims:
                name = target.partition("?")[0].rpartition("/")[2]
                victims.append(name)
                for upload in store.uploads():
                    if upload["Key"] == f"expired/{name}":
                        store.client.abort_multipart_upload(
                            Bucket=BUCKET, Key=upload["Key"], UploadId=upload["UploadId"]
                        )
        return 0

    with between(store, hook) as url:
        end = _end(run(*_command(spec, "expired/"), env=store.told(url)), 1)
    assert [failed["name"] for failed in end["failed"]] == victims
    assert "expired" in end["failed"][0]["error"]
    assert sums.keys() - store.objects("expired/").keys() == {*victims, INDEX}
    end = _end(run(*_command(spec, "expired/"), env=store.told()))
    assert (end["written"], end["kept"]) == (2, 2)
    assert _sums(store, "expired/") == sums


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGKILL])
def test_ended_in_mid_upload(
    store: Store, spec: Path, sums: dict[str, str], by: signal.Signals
) -> None:
    """Nothing half-written is to be seen, and the next run does not redo what is whole.

    A process that is told to end leaves no upload behind; one that is killed does, unseen.
    """
    prefix = f"{by.name.lower()}/"
    reached, go_on = threading.Event(), threading.Event()

    def hook(method: str, target: str) -> int:
        if method == "PUT" and "partNumber=2" in target and "00002-of" in target:
            reached.set()
            go_on.wait(PATIENCE_SECONDS)
        return 0

    first = "model-00001-of-00002.safetensors"
    with between(store, hook) as url:
        process = start(*_command(spec, prefix), env=store.told(url), stdout=subprocess.DEVNULL)
        try:
            assert reached.wait(PATIENCE_SECONDS)
            wait_until(lambda: first in store.objects(prefix), "the other shard")
            process.send_signal(by)
            if by is signal.SIGTERM:
                go_on.set()
            code = process.wait(PATIENCE_SECONDS)
        finally:
            go_on.set()
            process.kill()
            process.wait(PATIENCE_SECONDS)
    assert code == (128 + by if by is signal.SIGTERM else -by)
    there = _sums(store, prefix)
    assert there.items() < sums.items()
    assert INDEX not in there
    assert bool(store.uploads()) == (by is signal.SIGKILL)
    end = _end(run(*_command(spec, prefix), env=store.told()))
    assert end["kept"] == len(there)
    assert end["written"] == len(sums) - len(there)
    assert _sums(store, prefix) == sums
    store.abort_all()


def test_given_up(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """An upload that ends in the middle is aborted: there is neither an object nor an upload."""
    for name, value in store.told().items():
        monkeypatch.setenv(name, value)
    file = Checkpoint(CheckpointSpec.model_validate({**SPEC, "max_shard_size": "1GB"})).whole
    calls = itertools.count()

    def at(done: int) -> None:
        next(calls)
        if done > 2 * SMALLEST_PART_BYTES:
            raise KeyboardInterrupt

    bucket = open_target(f"s3://{BUCKET}/given-up/", 2)
    with pytest.raises(KeyboardInterrupt):
        bucket.write(file, at, replace=False)
    assert next(calls) == 2 * SMALLEST_PART_BYTES // CHUNK_BYTES + 1
    assert store.uploads() == []
    assert bucket.sizes() == {}


def test_what_else_is_listed(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The marker of a folder is nothing, nor is what lies deeper; everything else is told of."""
    for name, value in store.told().items():
        monkeypatch.setenv(name, value)
    for key in ("made/by/", "made/by/deeper/x", "made/by/deeper/", "made/bystander"):
        store.client.put_object(Bucket=BUCKET, Key=key, Body=b"")
    for url in (f"s3://{BUCKET}/made/by/", f"s3://{BUCKET}/made/by"):
        assert open_target(url, 1).sizes() == {}
    store.client.put_object(Bucket=BUCKET, Key="made/by/a b%ü", Body=b"xy")
    assert open_target(f"s3://{BUCKET}/made/by/", 1).sizes() == {"a b%ü": 2}


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({}, "there is no such bucket"),
        ({"AWS_ALLOW_HTTP": "false"}, "AWS_ALLOW_HTTP=true"),
        (
            {"AWS_ACCESS_KEY_ID": "", "AWS_METADATA_ENDPOINT": "http://127.0.0.1:1"},
            "no credentials",
        ),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}, "cannot be reached"),
    ],
)
def test_what_a_store_says(store: Store, spec: Path, told: dict[str, str], words: str) -> None:
    """Before anything is written, exit code 2 and one line that says what to do."""
    variables: dict[str, str | None] = {**store.told(), **told}
    if not variables["AWS_ACCESS_KEY_ID"]:
        variables |= {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}
    words_of_it = ["materialise", str(spec), "-o", "s3://no-bucket/x/"]
    done = CliRunner().invoke(program.app, words_of_it, env=variables)
    assert done.exit_code == 2
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
