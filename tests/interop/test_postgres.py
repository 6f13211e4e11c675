"""The registry in a real PostgreSQL, which each run makes, starts, kills and ends itself."""

from __future__ import annotations

import itertools
import os
import pwd
import secrets
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from seedbed.errors import UnavailableError
from tests.registry.suite import ANY, NET, REPLACE, StoreSuite, clear, opened, put, text_of
from tests.serving import PATIENCE_SECONDS, free_port, serving, wait_until

pytestmark = pytest.mark.interop

_OPTIONS = (
    "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=",
    "-c", "fsync=off",  # processes are killed here, not the machine
)  # fmt: skip

_SUPERUSER = "seed"


def _binaries() -> Path:
    """Where Debian's package keeps the newest PostgreSQL that is installed."""
    versions = Path("/usr/lib/postgresql").iterdir()
    return max(versions, key=lambda path: int(path.name)) / "bin"


class Cluster:
    """A server of its own, by a user that is not root, on a free port of the loopback interface."""

    def __init__(self, directory: Path) -> None:
        self._data = directory / "data"
        self._log = directory / "log"
        self._port = free_port()
        self._password = secrets.token_hex(8)
        self._user: dict[str, Any] = {}
        if os.geteuid() == 0:  # which PostgreSQL refuses
            owner = pwd.getpwnam("postgres")
            self._user = {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}
            os.chown(directory, owner.pw_uid, owner.pw_gid)
        self._process: subprocess.Popen[bytes] | None = None
        secret = directory / "password"
        secret.write_text(self._password)
        secret.chmod(0o644)
        subprocess.run(
            [
                _binaries() / "initdb", "--pgdata", self._data, "--username", _SUPERUSER,
                "--auth", "scram-sha-256", "--pwfile", secret, "--locale", "C.UTF-8",
            ],
            check=True, capture_output=True, timeout=PATIENCE_SECONDS, cwd=directory, **self._user,
        )  # fmt: skip
        self._names = (f"registry_{n}" for n in itertools.count())

    def start(self) -> None:
        """Start it and wait until it takes connections."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    _binaries() / "postgres", "-D", self._data, "-p", str(self._port),
                    *_OPTIONS,
                ],
                stdout=log, stderr=log, cwd=self._data.parent, **self._user,
            )  # fmt: skip
        wait_until(self._answers, "PostgreSQL to answer")

    def end(self, by: signal.Signals = signal.SIGINT) -> None:
        """End it; SIGINT breaks its connections off in order, SIGQUIT at once."""
        if self._process is not None:
            self._process.send_signal(by)
            self._process.wait(PATIENCE_SECONDS)
            self._process = None

    def new_database(self) -> str:
        """The URL of an empty database whose order of letters is a language's."""
        name = next(self._names)
        with psycopg.connect(self._url("postgres"), autocommit=True) as connection:
            connection.execute(
                f"CREATE DATABASE {name} TEMPLATE template0 LOCALE_PROVIDER icu "
                "ICU_LOCALE 'de-DE' LOCALE 'C.UTF-8'"
            )
        return self._url(name)

    def _url(self, name: str) -> str:
        return f"postgresql://{_SUPERUSER}:{self._password}@127.0.0.1:{self._port}/{name}"

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self._log.read_text()
        try:
            psycopg.connect(self._url("postgres")).close()
        except psycopg.OperationalError:
            return False
        return True


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A PostgreSQL that is ready."""
    # Not in tmp_path: if the tests are root's, nobody else may pass through its parents.
    with tempfile.TemporaryDirectory(prefix="seedbed-postgres-") as directory:
        running = Cluster(Path(directory))
        try:
            running.start()
            yield running
        finally:
            running.end()


@pytest.fixture
def url(cluster: Cluster) -> str:
    """Of an empty database."""
    return cluster.new_database()


class TestPostgres(StoreSuite):
    """The suite of every registry, in PostgreSQL."""


def test_gone_and_back(cluster: Cluster, url: str) -> None:
    """While the database is gone, calls fail and say so; then they go on by themselves."""
    with opened(url) as store:
        put(store, NET, text_of(1), ANY)
        cluster.end(signal.SIGQUIT)
        try:
            for _ in range(2):
                with pytest.raises(UnavailableError) as caught:
                    store.get(NET)
                assert caught.value.retry_seconds
        finally:
            cluster.start()
        assert store.get(NET).text == text_of(1)


def test_a_writer_that_holds_everyone_up(url: str) -> None:
    """Another's lock ends in an error after the bound on waiting, and reading goes on meanwhile."""
    with opened(url) as store:
        put(store, NET, text_of(1), ANY)
        with psycopg.connect(url) as connection:
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (0x5EEDBED,))
            with opened(url, seconds=0.5) as hasty:
                with pytest.raises(UnavailableError):
                    put(hasty, NET, text_of(2), REPLACE)
                assert hasty.get(NET).text == text_of(1)


def test_replicas_share_records(tmp_path: Path, url: str) -> None:
    """What one has recorded of a library another serves that has none, beside files of a spec."""
    config = {
        "model_type": "clip_vision_model", "architectures": ["CLIPVisionModelWithProjection"],
        "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1,
        "num_attention_heads": 2, "projection_dim": 8, "image_size": 12, "patch_size": 4,
    }  # fmt: skip
    release = {"library": "transformers", "version": version("transformers")}
    body = {"model": {"config": config, "recorded": release}, "files": {"notes.md": "ä\n"}}
    options = {"registry_url": url, "published_ids": True}
    with (
        serving(tmp_path, **options) as first,
        serving(tmp_path, **options, recorders=0) as second,
        httpx.Client(timeout=PATIENCE_SECONDS) as client,
    ):
        alone = client.post(f"{second.url}/v1/checkpoints", json=body)
        assert alone.status_code == 409, alone.text
        put = client.put(f"{first.url}/v1/specs/openai-community/gpt2", json=body)
        assert put.status_code == 201, put.text
        for path in (
            "openai-community/gpt2/resolve/seed-3/model.safetensors",
            "openai-community/gpt2/resolve/main/notes.md",
            "s3/openai-community/gpt2/seed-3/model.safetensors",
            "s3/",
            "s3/openai-community?list-type=2",
        ):
            answers = [client.get(f"{at.url}/{path}").raise_for_status() for at in (first, second)]
            assert answers[0].content == answers[1].content
            assert answers[0].headers.get("etag") == answers[1].headers.get("etag")
    clear(url)


def test_replicas_share_it(tmp_path: Path, cluster: Cluster, url: str) -> None:
    """What one replica stores another serves; without a database specs are 503, tensors are not."""
    name = "/v1/specs/team/net"
    body = {"tensors": [{"name": "w", "shape": [3], "init": "uniform"}]}
    with (
        serving(tmp_path, registry_url=url, registry_seconds=2) as first,
        serving(tmp_path, registry_url=url, registry_seconds=2) as second,
        ThreadPoolExecutor(8) as pool,
    ):
        new = {"if-none-match": "*"}
        targets = [f"{(first, second)[i % 2].url}{name}" for i in range(8)]
        put_all = pool.map(lambda at: httpx.put(at, json=body, headers=new, timeout=60), targets)
        assert sorted(answer.status_code for answer in put_all) == [201] + 7 * [412]
        files = [httpx.get(f"{at.url}{name}/model.safetensors?seed=3") for at in (first, second)]
        assert files[0].content == files[1].content
        assert files[0].status_code == 200
        cluster.end()
        try:
            gone = httpx.get(f"{second.url}{name}", timeout=60)
            assert (gone.status_code, gone.headers["retry-after"]) == (503, "2")
            assert gone.json()["type"] == "urn:seedbed:problem:registry-unavailable"
            assert httpx.get(f"{second.url}/v1/tensors/ones/2.safetensors").status_code == 200
            assert httpx.get(f"{second.url}/readyz").status_code == 200
        finally:
            cluster.start()
        assert httpx.get(f"{second.url}{name}").json() == body
        password = url.split(":")[2].partition("@")[0]
        logs = first.log.read_text() + second.log.read_text()
        assert "registry cannot be asked" in logs
        assert password not in logs + gone.text
    clear(url)
