"""Every snippet of README and docs runs as it was copied, page by page and in the page's order."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes import PATIENCE_SECONDS, environment, run
from tests.serving import Server, free_port, serving

pytestmark = pytest.mark.interop

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^( *)```(\w*)\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)
ADDRESS = "http://127.0.0.1:8000"

ELSEWHERE = {
    "docs/own-models.md": "tests/interop/recording/test_examples.py runs it, and compares",
    "CONTRIBUTING.md": "its classes are those of the app: tests/test_contributing.py",
}
"""Pages whose Python is held to more than running."""

LEFT_OUT = {
    "make": "this run; verbs are held to the Makefile by tests/test_claims.py",
    "docker": "no engine; scripts/replay_dockerfile.py carries out the Dockerfile",
    "sudo": "debootstrap as root",
    "openapi-python-client": "tests/interop/test_generated_clients.py",
    "pip": "what is installed here",
    "seedbed serve": "what every test here talks to",
}
"""Beginnings of shell blocks that are run in another way, or cannot be here."""

PREPARED = "import tests.interop.torchvision_side\n"
"""What lets torchvision be imported beside a torch without CUDA."""


def pages() -> list[str]:
    """All pages, by their place in the repository."""
    found = [
        *ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("examples/**/*.md"),
    ]  # fmt: skip
    return sorted(str(page.relative_to(ROOT)) for page in found)


def blocks(page: str) -> list[tuple[str, str]]:
    """Language and text of a page's blocks, without the indent of the list that they are in."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return [
        (language, re.sub(rf"^{indent}", "", body, flags=re.MULTILINE))
        for indent, language, body in BLOCK.findall(text)
    ]


def commands(page: str) -> Iterator[tuple[str, list[str]]]:
    """Each block of a page that is to be run, as a command's words and its text."""
    exported = ""
    for language, text in blocks(page):
        if language == "sh" and not any(text.startswith(f"{word} ") for word in LEFT_OUT):
            # Who follows a page does it in one terminal.
            yield "sh", ["bash", "-euo", "pipefail", "-c", exported + text]
            exported += "".join(re.findall(r"^export .*\n", text, re.MULTILINE))
        elif language == "js":
            yield "js", ["node", "--input-type=module", "-e", text]
        elif language == "python" and page not in ELSEWHERE:
            yield "python", [sys.executable, "program.py", text]


RUN = [page for page in pages() if list(commands(page))]


def test_every_block_says_what_it_is() -> None:
    """Blocks have a language that some test knows: what is run here, and JSON and what is shown."""
    known = {"sh", "python", "js", "json", "console", "text"}
    assert {language for page in pages() for language, _ in blocks(page)} <= known


def test_nothing_is_left_out_for_a_reason_that_is_gone() -> None:
    """Each exception is still needed."""
    shells = [text for page in pages() for language, text in blocks(page) if language == "sh"]
    assert all(any(text.startswith(f"{word} ") for text in shells) for word in LEFT_OUT)
    assert all("python" in dict(blocks(page)) for page in ELSEWHERE)


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service where nobody has given names yet, as who follows one page has it."""
    with serving(tmp_path_factory.mktemp("service"), published_ids=True) as fresh:
        yield fresh


@pytest.mark.parametrize("page", RUN)
def test_snippets_run(page: str, server: Server, tmp_path: Path) -> None:
    """Each block ends without an error, in a folder that has of the repository what is shown."""
    for name in ("examples", "openapi"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("node_modules"))
    (tmp_path / ".curlrc").write_text("fail\nsilent\nshow-error\n")  # an error is not a file
    others = [str(Path(sys.prefix) / folder) for folder in ("torchvision", "recorded")]
    variables = {
        "HOME": str(tmp_path),
        "PATH": f"{Path(sys.executable).parent}:{environment()['PATH']}",
        "KERAS_BACKEND": "jax",
        "SEEDBED_REGISTRY_URL": "none",
    }
    for language, command in commands(page):
        *words, text = (part.replace(ADDRESS, server.url) for part in command)
        more = {}
        if language == "python":
            if "torchvision" in text:
                text = PREPARED + text
                more["PYTHONPATH"] = ":".join([*others, str(ROOT)])
            if "init_process_group" in text:
                port = f"--master-port={free_port()}"
                words[1:1] = ["-m", "torch.distributed.run", "--nproc-per-node=2", port]
            (tmp_path / "program.py").write_text(text)
        else:
            words.append(text)
        done = run(
            *words, cwd=tmp_path, env=environment(**variables, **more),
            stderr=subprocess.STDOUT, capture_output=False, stdout=subprocess.PIPE,
            timeout=PATIENCE_SECONDS,
        )  # fmt: skip
        assert done.returncode == 0, f"{text}\n{done.stdout.decode(errors='replace')[-3000:]}"
