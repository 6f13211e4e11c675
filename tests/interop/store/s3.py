"""A real S3 server, moto's, in a process of its own; and a proxy before it that can misbehave."""

from __future__ import annotations

import contextlib
import http.client
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import EndpointConnectionError

from tests.processes import PATIENCE_SECONDS, environment, start, wait_until
from tests.serving import free_port

BUCKET = "bucket"

_START = "import sys; from moto.server import main; main(sys.argv[1:])"


class Store:
    """An S3 server.

    Args:
        url: of it.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.client: Any = boto3.client(
            "s3", endpoint_url=url, region_name="us-east-1", aws_access_key_id="key",
            aws_secret_access_key="secret",
            config=Config(retries={"max_attempts": 1}, proxies={}),
        )  # fmt: skip

    def told(self, url: str | None = None, **more: str) -> dict[str, str]:
        """The environment of a program that writes to it."""
        return environment(
            AWS_ENDPOINT_URL=url or self.url,
            AWS_ACCESS_KEY_ID="key",
            AWS_SECRET_ACCESS_KEY="secret",
            AWS_REGION="us-east-1",
            AWS_ALLOW_HTTP="true",
            SEEDBED_REGISTRY_URL="none",
            **more,
        )

    def objects(self, prefix: str) -> dict[str, int]:
        """Sizes of the objects under a prefix, by the rest of their keys."""
        listing = self.client.list_objects_v2(Bucket=BUCKET, Prefix=prefix)
        return {o["Key"].removeprefix(prefix): o["Size"] for o in listing.get("Contents", [])}

    def read(self, key: str) -> bytes:
        """An object."""
        body: bytes = self.client.get_object(Bucket=BUCKET, Key=key)["Body"].read()
        return body

    def uploads(self) -> list[dict[str, str]]:
        """Uploads in parts that nobody has ended."""
        uploads: list[dict[str, str]] = self.client.list_multipart_uploads(Bucket=BUCKET).get(
            "Uploads", []
        )
        return uploads

    def abort_all(self) -> None:
        """End them."""
        for upload in self.uploads():
            self.client.abort_multipart_upload(
                Bucket=BUCKET, Key=upload["Key"], UploadId=upload["UploadId"]
            )


@contextlib.contextmanager
def storing(directory: Path) -> Iterator[Store]:
    """A server with a bucket, until the block ends."""
    port = free_port()
    store = Store(f"http://127.0.0.1:{port}")
    with (directory / "moto.log").open("wb") as log:
        process = start(
            sys.executable, "-c", _START, "-H", "127.0.0.1", "-p", str(port),
            stdout=log, stderr=log,
        )  # fmt: skip
    try:
        wait_until(lambda: _answers(process, store), f"{store.url} to answer")
        store.client.create_bucket(Bucket=BUCKET)
        yield store
    finally:
        store.client.close()
        process.terminate()
        process.wait(PATIENCE_SECONDS)


def _answers(process: subprocess.Popen[bytes], store: Store) -> bool:
    assert process.poll() is None
    try:
        store.client.list_buckets()
    except EndpointConnectionError:
        return False
    return True


def _renamed(headers: Iterable[tuple[str, str]], before: str, after: str) -> dict[str, str]:
    """Headers in small letters, with another beginning where they have this one."""
    names = ((name.lower(), value) for name, value in headers)
    return {
        after + name.removeprefix(before) if name.startswith(before) else name: value
        for name, value in names
    }


Hook = Callable[[str, str], int]
"""Is told method and target of a request: a status to answer it with, or 0 to let it through."""


@contextlib.contextmanager
def between(store: Store, hook: Hook, words: str = "x-amz-") -> Iterator[str]:
    """The URL of a proxy of a store, which asks `hook` about each request.

    Args:
        store: behind it.
        hook: is asked.
        words: what headers begin with before the proxy, that begin with `x-amz-` behind it.
    """
    host = urlsplit(store.url).netloc

    class Proxy(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            if status := hook(self.command, self.path):
                self._answer(status, {}, b"<Error><Code>SlowDown</Code></Error>")
                return
            with contextlib.closing(http.client.HTTPConnection(host, timeout=300)) as upstream:
                upstream.request(
                    self.command, self.path, body, _renamed(self.headers.items(), words, "x-amz-")
                )
                answer = upstream.getresponse()
                content = answer.read()
                hops = {"connection", "transfer-encoding", "date", "server"}
                headers = _renamed(answer.getheaders(), "x-amz-", words)
                kept = {name: value for name, value in headers.items() if name not in hops}
                self._answer(answer.status, kept, content)

        def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response(status)
            for name, value in headers.items():
                if name != "content-length" or self.command == "HEAD":
                    self.send_header(name, value)
            if self.command != "HEAD":
                self.send_header("content-length", str(len(body)))
            elif "content-length" not in headers:
                self.send_header("content-length", "0")
            self.end_headers()
            if self.command != "HEAD":
                with contextlib.suppress(ConnectionError):  # a client that was killed
                    self.wfile.write(body)

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _pass_on  # noqa: N815  its own names

        def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002
            """Say nothing."""

    proxy = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    proxy.daemon_threads = True
    thread = threading.Thread(target=proxy.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{proxy.server_port}"
    finally:
        proxy.shutdown()
        thread.join(PATIENCE_SECONDS)
        proxy.server_close()
