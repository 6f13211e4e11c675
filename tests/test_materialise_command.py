from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from seedbed.cli import program
from seedbed.cli.materialise import with_address
from seedbed.materialise_command import _Lines
from tests.processes import SCRIPT, environment, start, wait_until

TINY = ("tiny-llama", "--seed", "3", "--set", "max_shard_size=100KB")


def _run(*arguments: str | Path) -> tuple[int, list[Any], str]:
    """Exit code, lines of standard output as JSON where they are, and standard error."""
    words = ["materialise", *map(str, arguments)]
    result = CliRunner().invoke(program.app, words, env={"SEEDBED_REGISTRY_URL": "none"})
    lines = [json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")]
    return result.exit_code, lines, result.stderr


def test_a_folder_and_again(tmp_path: Path) -> None:
    """JSON names every file, a second run keeps all, and a difference is exit code 3."""
    code, lines, _ = _run(*TINY, "-o", f"{tmp_path}/", "--json", "--verify")
    *files, end = lines
    assert code == 0
    assert end["event"] == "end"
    assert end["whole"]
    assert end["written"] == len(files) == len(list(tmp_path.iterdir()))
    assert all(file["written"] and len(file["sha256"]) == 64 for file in files)
    code, lines, _ = _run(*TINY, "-o", tmp_path, "--json")
    assert (code, lines[-1]["written"], lines[-1]["kept"]) == (0, 0, len(files))
    victim = tmp_path / "model-00001-of-00005.safetensors"
    victim.write_bytes(victim.read_bytes()[:-1] + b"!")
    code, lines, said = _run(*TINY, "-o", tmp_path, "--json", "--verify")
    assert code == lines[-1]["exit_code"] == 3
    assert [failed["name"] for failed in lines[-1]["failed"]] == [victim.name]
    assert victim.name in said


def test_refusals(tmp_path: Path) -> None:
    """What is refused is exit code 2, says what would be right, and writes nothing."""
    (tmp_path / "notes.txt").write_text("mine")
    for arguments, words in (
        ((*TINY, "-o", tmp_path), "--overwrite"),
        ((*TINY, "-o", "s4://bucket/"), "s3://bucket/prefix/"),
        (("he_normal", "3000000000000x1", "-o", "s3://bucket/", "--dry-run"), "max_shard_size"),
        (("http://127.0.0.1/nothing", "-o", tmp_path), "/v1/checkpoints/"),
        (("team/nothing", "-o", tmp_path), "no file"),
    ):
        code, _, said = _run(*arguments)
        assert code == 2, arguments
        assert words in said.replace("\n", " "), said
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_plan_asks_nobody(tmp_path: Path) -> None:
    """A dry run says tasks, bytes and parts of a store that is not there, and writes nothing."""
    code, (plan,), _ = _run("llama-3-8b", "--dtype", "BF16", "--set", "max_shard_size=5GB",
        "-o", "s3://no-such-bucket/x/", "--dry-run", "--json")  # fmt: skip
    assert code == 0
    assert plan["tasks"] == 9
    assert 16e9 < plan["bytes"] < 16.1e9
    assert plan["parts"] == 594 + 597 + 587 + 140 + 5
    assert plan["drawing_bytes_per_second"] > 0
    assert _run(*TINY, "-o", tmp_path, "--dry-run")[0] == 0
    assert list(tmp_path.iterdir()) == []


def test_ray_may_come_without_an_address() -> None:
    """The word behind --ray is an address unless it is another option."""
    assert with_address(["x", "--ray"]) == ["x", "--ray=auto-or-new"]
    assert with_address(["--ray", "-o", "y"]) == ["--ray=auto-or-new", "-o", "y"]
    assert with_address(["--ray", "host:1", "x"]) == ["--ray", "host:1", "x"]


def test_lines_of_progress() -> None:
    """Where there is no terminal a line comes every ten seconds, with rate and what remains."""
    said: list[str] = []
    times = iter([0.0, 1.0, 10.0, 11.0, 20.0])
    lines = _Lines(said.append, 4_000_000, lambda: next(times))
    for done in (0, 1_000_000, 1_500_000, 2_000_000):
        lines.at(done)
    assert said == [
        "1.0 MB of 4.0 MB, 100.0 kB/s, 30 s left",
        "2.0 MB of 4.0 MB, 100.0 kB/s, 20 s left",
    ]


def test_terminated_and_resumed(tmp_path: Path) -> None:
    """SIGTERM leaves no half file under a name, and the same command goes on."""
    words = (SCRIPT, "materialise", "he_normal", "16384x16384", "--seed", "1", "-o", tmp_path)
    told = environment(SEEDBED_THREADS="1", SEEDBED_REGISTRY_URL="none")
    process = start(*map(str, words), env=told)
    try:
        wait_until(lambda: any(tmp_path.iterdir()), "it to begin")
        process.send_signal(signal.SIGTERM)
        assert process.wait(300) == 128 + signal.SIGTERM
    finally:
        process.kill()
        process.wait(300)
    assert not (tmp_path / "model.safetensors").exists()
