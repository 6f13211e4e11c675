from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from scripts import audit, locks
from tests.serving import PATIENCE_SECONDS, free_port

ROOT = Path(__file__).parent.parent


def test_locks_agree() -> None:
    """What the image installs has the versions of constraints.txt, and all that is asked for."""
    assert locks.wrong() == []
    service = locks.locked(locks.SERVICE.read_text())
    assert {"seedbed", "pytest", "torch"} & service.keys() == set()
    assert service.keys() >= {"fastapi", "uvloop", "httptools", "psycopg-binary", "certifi"}


def test_locks_say_no_place() -> None:
    """A lock has hashes and no address of an index, and no machine's path."""
    for path in (locks.SERVICE, locks.BUILD):
        text = path.read_text()
        assert not re.search(
            r"://|--(extra-)?index|--find-links|/\w+/", text.removeprefix(locks.HEAD)
        )


_FASTAPI = r"(?m)^fastapi==(\S+) \\\n(?:    --hash=\S+(?: \\)?\n)+"

MISTAKES = {
    "another version": lambda text: text.replace("\nfastapi==", "\nfastapi==9"),
    "one missing": lambda text: re.sub(_FASTAPI, "", text),
    "no hashes": lambda text: re.sub(_FASTAPI, r"fastapi==\1" + "\n", text),
    "one unknown": lambda text: f"{text}evil==1 \\\n    --hash=sha256:{'0' * 64}\n",
    "an address": lambda text: f"--index-url https://index.example/\n{text}",
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_locks_that_do_not_agree(
    mistake: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lock that was changed by hand, or not written anew, is noticed."""
    changed = tmp_path / "requirements.lock"
    text = locks.SERVICE.read_text()
    changed.write_text(MISTAKES[mistake](text))
    assert changed.read_text() != text
    monkeypatch.setattr(locks, "SERVICE", changed)
    assert len(locks.wrong()) >= 1


@contextmanager
def database(vulnerable: str, knows: int = 1000) -> Iterator[str]:
    """A database of advisories as OSV has it, with one finding; past so many questions it fails."""
    asked = 0

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            nonlocal asked
            asked += 1
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            name = body["package"]["name"]
            found = {"vulns": [ADVISORY]} if name == vulnerable else {}
            answer = json.dumps(found).encode()
            self.send_response(200 if asked <= knows else 500)
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1/query"
    finally:
        server.shutdown()
        thread.join(PATIENCE_SECONDS)
        server.server_close()


ADVISORY = {
    "id": "GHSA-0000-0000-0000", "modified": "2026-01-01T00:00:00Z",
    "published": "2026-01-01T00:00:00Z", "summary": "provoked", "details": "provoked",
    "affected": [{"package": {"ecosystem": "PyPI", "name": "fastapi"},
                  "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}]}]}],
}  # fmt: skip


def audited(url: str, *more: str) -> subprocess.CompletedProcess[str]:
    """What the audit says, by this database."""
    return subprocess.run(
        [sys.executable, "-m", "scripts.audit", "--osv-url", url, *more],
        cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False,
        env={name: text for name, text in os.environ.items() if "proxy" not in name.lower()},
    )  # fmt: skip


def test_an_audit_with_nothing_against() -> None:
    """If all are known and nothing is against them, that is said, and no more."""
    with database("") as url:
        done = audited(url)
    assert done.returncode == 0, done
    count = len({*locks.pinned(), *locks.locked(locks.SERVICE.read_text())})
    assert done.stdout == f"{count} of {count} packages looked up, 0 findings\n"
    assert done.stderr == ""


def test_an_audit_that_finds_something() -> None:
    """A finding is an error, also where an audit is only wanted if it is possible."""
    with database("fastapi") as url:
        done = audited(url, "--if-possible")
    assert done.returncode == 1
    assert "GHSA-0000-0000-0000" in done.stdout


@pytest.mark.parametrize("more", [(), ("--if-possible",)])
def test_an_audit_that_could_look_nothing_up(more: tuple[str, ...]) -> None:
    """Without a database nothing is claimed, loudly; that is an error unless it may be so."""
    done = audited(f"http://127.0.0.1:{free_port()}/v1/query", *more)
    assert done.returncode == (0 if more else 2)
    assert "!! NOT AUDITED" in done.stderr
    assert "No vulnerability has been ruled out" in done.stderr


def test_an_audit_of_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer without a package is no audit."""
    empty = subprocess.CompletedProcess([], 0, '{"dependencies": []}', "")
    monkeypatch.setattr(audit.subprocess, "run", lambda *_, **__: empty)
    assert audit.main([]) == 2
    assert "NOT AUDITED" in capsys.readouterr().err
