from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors import safe_open
from typer.testing import CliRunner

from seedbed import disk
from seedbed.cli import program
from seedbed.files import Checkpoint, CheckpointSpec, VirtualFile
from seedbed.files.one_tensor import OneTensor, scheme_parameters, spec_of_one
from seedbed.init import SCHEMES, is_scheme
from seedbed.models import presets
from seedbed.stream import NUMPY, get_engine
from seedbed.web import listed_settings
from seedbed.web.schemas import properties_of
from seedbed.web.settings import Settings
from tests import processes
from tests.files.suite import BODY, ReaderSuite
from tests.processes import PATIENCE_SECONDS, SCRIPT, attempts, environment, start, wait_until
from tests.strategies import REQUIRED, in_query
from tests.test_disk import FileOnDisk

SPEC: dict[str, Any] = {
    "seed": 42,
    "dtype": "BF16",
    "tensors": [
        {"name": "fc.weight", "shape": [256, 784], "init": "he_normal"},
        {"name": "fc.bias", "shape": [256], "init": "zeros", "dtype": "F32"},
    ],
}


def run(
    *arguments: str | Path, stdin: bytes = b"", command: tuple[str, ...] = (SCRIPT,), **more: str
) -> subprocess.CompletedProcess[bytes]:
    """A command line in a process of its own; `more` is its environment beside the usual."""
    return processes.run(*command, *arguments, stdin=None, input=stdin, env=told(**more))


def told(**more: str) -> dict[str, str]:
    """The environment of a command line."""
    return environment(**{"SEEDBED_ENGINE": NUMPY, **more})


def expected(spec: CheckpointSpec) -> bytes:
    """The bytes of a spec's file."""
    file = VirtualFile(spec, engine=get_engine(NUMPY))
    return bytes(file.read(0, file.size))


def refused(done: subprocess.CompletedProcess[bytes], code: int = 2) -> str:
    """What a command that was refused says: in words, on standard error alone."""
    said = done.stderr.decode()
    assert done.returncode == code, said
    assert done.stdout == b""
    assert "Traceback" not in said
    assert "\x1b" not in said
    return said


@pytest.fixture
def invoke(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """The same command line in this process, for what does not need a real one."""
    monkeypatch.setenv("SEEDBED_ENGINE", NUMPY)

    def call(*arguments: str | Path, stdin: str | None = None) -> Any:
        return CliRunner().invoke(program.app, [str(part) for part in arguments], input=stdin)

    return call


# generate


class TestGenerated(ReaderSuite):
    """What the command line wrote is the file."""

    @pytest.fixture(scope="class")
    @classmethod
    def reader(cls, tmp_path_factory: pytest.TempPathFactory) -> Any:
        """What is tested."""
        target = tmp_path_factory.mktemp("generated") / "suite.safetensors"
        done = run("generate", "-", "-o", target, stdin=json.dumps(BODY).encode())
        assert done.returncode == 0, done.stderr
        reader = FileOnDisk(target)
        yield reader
        reader.close()


@pytest.mark.parametrize(
    "command", [(SCRIPT,), (sys.executable, "-W", "error", "-m", "seedbed.cli")]
)
def test_a_spec_from_a_file(tmp_path: Path, command: tuple[str, ...]) -> None:
    """The script and the module write the bytes of a JSON file's spec, which loaders read."""
    source, target = tmp_path / "spec.json", tmp_path / "out.safetensors"
    source.write_text(json.dumps(SPEC), encoding="utf-8")
    done = run("generate", source, "--output", target, command=command)
    assert done.returncode == 0, done.stderr
    assert done.stdout == b""
    assert target.read_bytes() == expected(CheckpointSpec.model_validate(SPEC))
    with safe_open(target, "np") as loaded:
        assert set(loaded.keys()) == {"fc.weight", "fc.bias"}
        assert loaded.metadata()["format"] == "pt"
    assert sorted(tmp_path.iterdir()) == [target, source]


def test_to_standard_output() -> None:
    """With `-o -` the bytes, and nothing else, are on standard output, also from standard input."""
    done = run("generate", "-", "-o", "-", stdin=json.dumps(SPEC).encode())
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == expected(CheckpointSpec.model_validate(SPEC))


def test_a_seed_over_a_spec(invoke: Callable[..., Any]) -> None:
    """--seed replaces the seed of a spec, and is all that can be given beside one."""
    text = json.dumps(SPEC)
    done = invoke("generate", "-", "-o", "-", "--seed", 2**64 - 1, stdin=text)
    assert done.stdout_bytes == expected(CheckpointSpec.model_validate({**SPEC, "seed": 2**64 - 1}))
    for option, value in (("--dtype", "F32"), ("--std", "1")):
        done = invoke("generate", "-", "-o", "-", option, value, stdin=text)
        assert done.exit_code == 2
        assert option[2:] in done.stderr
        assert "--seed" in done.stderr
    done = invoke("generate", "-", "-o", "-", "--seed", "-1", stdin=text)
    assert done.exit_code == 2
    assert done.stderr.startswith("seed: ")


VALUES = {"gain": "3", "upper": "null", "value": "-0.5", "convention": "keras", "base": "100",
          "mode": "fan_out", "nonlinearity": "tanh", "r_max": "0.95",
          "r_min": "0.25", "groups": "2", "high": "8",
          "in_axis": "0", "out_axis": "1", "batch_axis": "0", "fan_out": "9", "axis": "0",
          "init": "ones", "parts": '[{"box": [[0, 2]], "init": "ones"}]', "dt_min": "0.01",
          "values": ",".join("12" * 12), "theta": "100", "max_phase": "1.5", "floor": "0.05",
          "of": '{"scheme": "uniform", "low": 0.5}', "steps": '[["exp"]]'}  # fmt: skip
"""Values of parameters for which `another` has none."""


def another(name: str, parameter: str) -> str:
    """Some value of a scheme's parameter that is neither its default nor its example's."""
    if parameter in VALUES:
        return VALUES[parameter]
    scheme = SCHEMES[name]
    usual = scheme.example.get(parameter, scheme.model_fields[parameter].default)
    kind = properties_of(scheme)[parameter]
    kind = kind.get("anyOf", [kind])[0]
    if "enum" in kind:
        return next(word for word in kind["enum"] if word != usual)
    return str((usual or 0) + 9) if kind["type"] == "integer" else str((usual or 0.25) / 2)


SHAPES = {"batch_axis": "2x6x4"}
"""Shapes for parameters that a matrix has no room for."""


@pytest.mark.parametrize(
    ("name", "parameter"),
    [(name, p) for p, takers in scheme_parameters().items() for name in takers],
)
def test_every_parameter_is_an_option(
    invoke: Callable[..., Any], name: str, parameter: str
) -> None:
    """Each parameter of each scheme can be given, and is what the same text is elsewhere."""
    shape = SHAPES.get(parameter, "6x4")
    required = in_query(REQUIRED.get(name, {}))
    texts = {**required, parameter: another(name, parameter), "seed": "7", "dtype": "F64"}
    texts["name"] = "ö"
    mode = {"mode": "fan_out"} if name in scheme_parameters()["mode"] else {}
    if parameter == "fan_out":
        texts |= mode  # else it would be without effect
    options = [f"--{key.replace('_', '-')}={value}" for key, value in texts.items()]
    done = invoke("generate", name, shape, "-o", "-", *options)
    scheme = SCHEMES[name].model_validate({**SCHEMES[name].example, **mode})
    if parameter == "fan_out" and parameter not in getattr(scheme, "needs", ()):
        assert (done.exit_code, done.stdout_bytes) == (2, b"")
        assert "does not use fan_out" in done.stderr
        return
    assert done.exit_code == 0, done.stderr
    assert done.stdout_bytes == expected(spec_of_one(name, shape, texts))
    assert done.stdout_bytes != expected(
        spec_of_one(name, shape, {**texts, **dict.fromkeys([parameter], "1"), **required})
        if parameter in required
        else spec_of_one(name, shape, {k: v for k, v in texts.items() if k != parameter})
    )


def test_help_has_what_a_source_takes(invoke: Callable[..., Any]) -> None:
    """The help of both commands has the options of all sources, and those of the named scheme."""
    fields = scheme_parameters().keys() - OneTensor.model_fields.keys()
    for command in ("generate", "inspect"):
        said = invoke(command, "--help").output
        assert all(f"--{name.replace('_', '-')} " in said for name in OneTensor.model_fields)
        assert not any(f"--{name.replace('_', '-')} " in said for name in fields)
        assert "he_normal --help" in " ".join(said.split())
        for alias, name in (("kaiming_normal_", "he_normal"), ("normal", "normal")):
            said = invoke(command, alias, "--help").output
            shown = {option for option in fields if f"--{option.replace('_', '-')} " in said}
            assert shown == SCHEMES[name].model_fields.keys() - {"scheme"}
        assert "num_classes" in invoke(command, "tiny-resnet", "--help").output


def test_the_list_of_commands_says_what_their_help_says(invoke: Callable[..., Any]) -> None:
    """Each line of `--help` is the first of the command's help, which has an example."""
    listed = invoke("--help").output
    for name, entry in program.COMMANDS.items():
        assert name in listed
        said = invoke(name, "--help").output
        assert " ".join(said.split()).partition(entry.summary)[1], name
        assert f"  seedbed {name}" in said or f" seedbed {name}" in said
    assert "Did you mean 'generate'?" in invoke("generat").output


HEAVY = {"numpy", "pydantic", "rich", "fastapi", "sqlalchemy", "numba", "cryptography"}


@pytest.mark.parametrize(
    ("argument", "absent"),
    [("--version", {*HEAVY, "typer", "importlib.metadata"}), ("--help", HEAVY)],
)
def test_what_needs_no_drawing_imports_none_of_it(argument: str, absent: set[str]) -> None:
    """Commands that only speak of the program start without what draws, plans or serves."""
    code = (
        "import sys, atexit; from seedbed.cli import app;"
        "atexit.register(lambda: print(*sys.modules, file=sys.stderr)); app()"
    )
    done = processes.run(sys.executable, "-c", code, argument)
    assert done.returncode == 0
    assert b"eedbed" in done.stdout
    assert not absent & set(done.stderr.decode().split())


def test_inspect_knows_no_web_server() -> None:
    """To inspect takes neither FastAPI nor what compiles."""
    code = (
        "import sys, atexit; from seedbed.cli import app;"
        "atexit.register(lambda: print(*sys.modules, file=sys.stderr)); app()"
    )
    done = processes.run(sys.executable, "-c", code, "inspect", "he_normal", "3x4", env=told())
    assert done.returncode == 0
    assert not {"fastapi", "uvicorn", "sqlalchemy", "numba", "torch"} & set(
        done.stderr.decode().split()
    )


def test_inspect_as_json(invoke: Callable[..., Any]) -> None:
    """With --json the plan is what POST /v1/describe answers, without links."""
    done = invoke("inspect", "-", "--json", stdin=json.dumps(SPEC))
    plan = json.loads(done.stdout)
    file = VirtualFile(CheckpointSpec.model_validate(SPEC), engine=get_engine(NUMPY))
    assert (plan["etag"], plan["size_bytes"]) == (file.etag, file.size)
    assert [tensor["offset"] for tensor in plan["tensors"]] == [file.offset(0), file.offset(1)]
    assert plan["links"] == {"file": None, "files": []}


def test_settings_say_where_they_are_from() -> None:
    """`seedbed settings` has value, default and source of each, and no password."""
    url = "postgresql://me:secret@127.0.0.1/specs"
    shown = {
        row.name: row.value for row in listed_settings(Settings.model_construct(registry_url=url))
    }
    assert shown["SEEDBED_REGISTRY_URL"] == "postgresql://me:***@127.0.0.1/specs"
    done = run("settings", "--json", SEEDBED_PORT="9000")
    rows = {row["name"]: row for row in json.loads(done.stdout)}
    assert [rows["SEEDBED_PORT"][key] for key in ("value", "default", "source")] == [
        "9000", "8000", "environment",
    ]  # fmt: skip
    assert rows["SEEDBED_HOST"]["source"] == "default"
    lines = run("settings", SEEDBED_PORT="9000").stdout.decode().splitlines()
    assert [line.split() for line in lines if "SEEDBED_PORT " in line] == [
        ["SEEDBED_PORT", "9000", "8000", "environment"]
    ]
    assert len(lines) == len(rows)


@pytest.mark.parametrize(
    ("kind", "name", "part"),
    [
        ("schemes", "kaiming_normal_", "formula: N(0, gain² / n)"),
        ("layers", "linear", "expression: weight.T"),
        ("models", "tiny-gpt2", "name: config.json"),
    ],
)
def test_the_catalogue(kind: str, name: str, part: str, invoke: Callable[..., Any]) -> None:
    """Lists, entries and entries as JSON are those of the API; a wrong name has the nearest."""
    listed = json.loads(invoke(kind, "--json").output)
    assert invoke(kind).output.splitlines()[0].split()[0] == next(iter(listed))
    assert len(listed) > 20
    assert part in invoke(kind, name).output
    assert json.loads(invoke(kind, name, "--json").output)
    done = invoke(kind, next(iter(listed))[:-1] + "zz")
    assert done.exit_code == 2
    assert done.stderr.startswith(("name: ", "preset: ", "model"))


def test_completion() -> None:
    """A shell is told of commands, and of presets and schemes."""
    for words, expected_word in (
        ("seedbed gen", "generate"),
        ("seedbed inspect he_n", "he_normal"),
    ):
        done = run(
            _SEEDBED_COMPLETE="complete_bash", COMP_WORDS=words, COMP_CWORD=str(words.count(" "))
        )
        assert done.stdout.decode().split() == [expected_word]


def test_an_existing_file(tmp_path: Path, invoke: Callable[..., Any]) -> None:
    """A file that is there is kept, unless --force says to replace it."""
    target = tmp_path / "w"
    target.write_bytes(b"precious")
    done = invoke("generate", "zeros", "3", "-o", target)
    assert done.exit_code == 2
    assert "--force" in done.stderr
    assert target.read_bytes() == b"precious"
    done = invoke("generate", "zeros", "3", "-o", target, "--force")
    assert done.exit_code == 0
    assert target.read_bytes() == expected(spec_of_one("zeros", "3", {}))


def test_quiet(tmp_path: Path) -> None:
    """Without --quiet there is a line of progress on standard error, plain text in a pipe."""
    loud = run("generate", "zeros", "3", "-o", tmp_path / "[bold]a")
    quiet = run("generate", "zeros", "3", "-o", tmp_path / "b", "-q")
    assert loud.returncode == quiet.returncode == 0
    assert b"[bold]a" in loud.stderr
    assert b"\x1b" not in loud.stderr
    assert quiet.stderr == quiet.stdout == loud.stdout == b""


# generate, interrupted


LONG = ("generate", "normal", "3000000", "--dtype", "F64", "-q")
"""Some 24 MB, drawn by the definition in a noticeable time."""


@pytest.fixture(scope="module")
def long_bytes() -> bytes:
    """What LONG writes."""
    return expected(spec_of_one("normal", "3000000", {"dtype": "F64"}))


def stopped_at(target: Path, share: float, number: int) -> subprocess.CompletedProcess[bytes]:
    """LONG, sent a signal when so much of its partial file is there; again if it was faster."""
    size = 3_000_000 * 8
    for _ in attempts("a signal to come before the end"):
        child = start(
            SCRIPT, *LONG, "-o", target, env=told(SEEDBED_THREADS="1"), stderr=subprocess.PIPE
        )
        wait_until(
            lambda child=child: (
                child.poll() is not None or partial_bytes(target.parent) > share * size
            ),
            "the partial file to grow",
        )
        child.send_signal(number)
        _, said = child.communicate(timeout=PATIENCE_SECONDS)
        if child.returncode != 0:
            return subprocess.CompletedProcess(child.args, child.returncode, b"", said)
        target.unlink()
    raise AssertionError


def partial_bytes(directory: Path) -> int:
    """Size of the partial file; −1 if there is none."""
    for path in directory.glob(".*.partial"):
        with contextlib.suppress(FileNotFoundError):  # it has just been renamed
            return path.stat().st_size
    return -1


@pytest.mark.parametrize("share", [0.0, 0.3, 0.7])
def test_kill_and_run_again(tmp_path: Path, long_bytes: bytes, share: float) -> None:
    """After `kill -9` there is a partial file and no target; the same command completes it."""
    target = tmp_path / "long.safetensors"
    assert stopped_at(target, share, signal.SIGKILL).returncode == -signal.SIGKILL
    assert not target.exists()
    assert partial_bytes(tmp_path) >= share * len(long_bytes)
    done = run(*LONG, "-o", target)
    assert done.returncode == 0, done.stderr
    assert target.read_bytes() == long_bytes
    assert list(tmp_path.iterdir()) == [target]


def test_interrupted_by_hand(tmp_path: Path) -> None:
    """Ctrl-C ends the command without a traceback, and leaves what can be resumed."""
    target = tmp_path / "long.safetensors"
    done = stopped_at(target, 0.0, signal.SIGINT)
    assert done.returncode == 130
    assert b"the same command goes on" in done.stderr
    assert b"Traceback" not in done.stderr
    assert not target.exists()
    assert partial_bytes(tmp_path) > 0


def test_no_room(tmp_path: Path, long_bytes: bytes) -> None:
    """A disk that is full is said in a line, exit code 1; with room the command goes on."""
    target = tmp_path / "long.safetensors"
    limited = ("sh", "-c", f'ulimit -f 8000; exec "{SCRIPT}" "$@"', "sh")
    assert "File too large" in refused(run(*LONG, "-o", target, command=limited), code=1)
    assert not target.exists()
    assert run(*LONG, "-o", target).returncode == 0
    assert target.read_bytes() == long_bytes


def test_a_reader_that_has_seen_enough() -> None:
    """A pipe that is closed ends the command quietly."""
    child = start(
        SCRIPT, "generate", "zeros", "4000000", "-o", "-",
        env=told(), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    with child:
        assert child.stdout is not None
        assert child.stderr is not None
        assert len(child.stdout.read(100)) == 100
        child.stdout.close()
        assert child.wait(PATIENCE_SECONDS) == 1
        assert child.stderr.read() == b""


PRINT = [
    ("generate", "zeros", "3", "-o", "-"), ("generate", "zeros", "3000000", "-o", "-"),
    ("inspect", "zeros", "3"), ("key", "ci"), ("--version",), ("--help",), ("generate", "--help"),
]  # fmt: skip
"""Commands that print, a little or much."""


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("arguments", PRINT, ids=" ".join)
def test_standard_output_that_is_full(arguments: tuple[str, ...], unbuffered: str) -> None:
    """What the system says of standard output is said in a line, by every command, buffered or not.

    Python itself would say nothing to the user's purpose, and exit with 120.
    """
    with Path("/dev/full").open("wb") as full:
        done = processes.run(
            SCRIPT, *arguments, capture_output=False, stdout=full, stderr=subprocess.PIPE,
            env=told(PYTHONUNBUFFERED=unbuffered),
        )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == b"[Errno 28] No space left on device\n"


@pytest.mark.parametrize("arguments", PRINT, ids=" ".join)
def test_standard_output_that_is_closed(arguments: tuple[str, ...]) -> None:
    """What cannot be printed since there is no standard output is not lost in silence."""
    closed = ("sh", "-c", f'exec "{SCRIPT}" "$@" >&-', "sh")
    done = run(*arguments, command=closed)
    assert (done.returncode, done.stderr) == (1, b"[Errno 9] Bad file descriptor\n")


def test_streams_that_are_not_needed(tmp_path: Path) -> None:
    """A command that prints nothing needs no standard output, and a refusal no standard error."""
    target = tmp_path / "w"
    closed = ("sh", "-c", f'exec "{SCRIPT}" "$@" <&- >&-', "sh")
    assert run("generate", "zeros", "3", "-o", target, "-q", command=closed).returncode == 0
    assert target.read_bytes() == expected(spec_of_one("zeros", "3", {}))
    for to in ("/dev/full", "&-"):
        mute = ("sh", "-c", f'exec "{SCRIPT}" "$@" 2>{to}', "sh")
        assert refused(run("inspect", "nope", "3", command=mute)) == ""
    nothing = ("sh", "-c", f'exec "{SCRIPT}" "$@" <&-', "sh")
    assert "Bad file descriptor" in refused(run("inspect", "-", command=nothing), code=1)


# inspect


def test_inspect_is_the_plan(tmp_path: Path) -> None:
    """Each tensor has a line, in the order of the file; then totals; all of it plain text."""
    source = tmp_path / "spec.json"
    source.write_text(json.dumps(SPEC), encoding="utf-8")
    done = run("inspect", source)
    assert (done.returncode, done.stderr) == (0, b"")
    heading, *rows, totals = done.stdout.decode().splitlines()
    assert re.split(r"\s{2,}", heading) == [
        "tensor", "dtype", "shape", "scheme", "fan in/out", "std", "bounds", "offset", "bytes",
    ]  # fmt: skip
    file = VirtualFile(CheckpointSpec.model_validate(SPEC), engine=get_engine(NUMPY))
    start = len(file.header)
    assert [re.split(r"\s{2,}", row) for row in rows] == [
        ["fc.bias", "F32", "256", "zeros", "0", "0 … 0", f"{start}", "1,024"],
        ["fc.weight", "BF16", "256×784", "he_normal", "784/256", "0.0505076",
         f"{start + 1024:,}", "401,408"],
    ]  # fmt: skip
    assert len({len(row) for row in (heading, *rows)}) == 1
    for fact in ("2 tensors", "200,960 elements", f"{file.size:,} bytes", "seed 42", file.etag):
        assert fact in totals


def test_inspect_says_what_rules_and_equals_come_to(invoke: Callable[..., Any]) -> None:
    """A tensor that is equal to another says so, and each rule how many tensors it changes."""
    body = {
        "tensors": [
            {"name": "a", "shape": [2], "init": "zeros"},
            {"name": "b", "shape": [2], "same_as": "a"},
        ],
        "rules": [{"match": "?", "dtype": "F16"}, {"match": "c", "init": "ones", "optional": True}],
    }
    done = invoke("inspect", "-", stdin=json.dumps(body).encode())
    lines = done.stdout.splitlines()
    assert "= a" in lines[2]
    assert lines[3:5] == ["rule ?: 2 tensors", "rule c: 0 tensors"]


def test_inspect_shows_names_as_they_are(invoke: Callable[..., Any]) -> None:
    """Markup, emoji codes, wide and long names are shown; what would break the line is escaped."""
    names = ["[bold]x[/]", "[/z]", ":heart:", "重み", "a" * 500, 'quo"te']
    tensors = [{"name": name, "shape": [], "init": "normal"} for name in (*names, "b\u2028r")]
    done = invoke("inspect", "-", stdin=json.dumps({"tensors": tensors}))
    assert done.exit_code == 0
    lines = done.output.split("\n")
    assert len(lines) == 1 + 7 + 1 + 1
    assert {line.split("  ")[0] for line in lines[1:8]} == {*names, "b\\u2028r"}


def test_inspect_draws_nothing(invoke: Callable[..., Any]) -> None:
    """A terabyte is inspected as fast as a byte; bounds without an end have the sign for it."""
    done = invoke("inspect", "truncated_normal", "1048576x262144", "--upper", "null")
    assert done.exit_code == 0
    assert "-2 … ∞" in done.output
    assert "1,099,511,627,776" in done.output


@pytest.mark.parametrize("encoding", ["ascii", "iso8859-1", "cp1252", "utf-16-le"])
def test_a_terminal_without_our_characters(encoding: str) -> None:
    """Where standard output knows no ∞, the plan is still shown."""
    arguments = ("inspect", "truncated_normal", "3x4", "--lower", "null")
    done = run(*arguments, PYTHONUTF8="0", PYTHONIOENCODING=encoding)
    assert (done.returncode, done.stderr) == (0, b"")
    assert "weight" in done.stdout.decode("utf-8" if encoding == "ascii" else encoding)


# Refusals


def test_refusals_of_a_spec() -> None:
    """Every fault of a spec has its place, what is wrong, and what is allowed; exit code 2."""
    body = {
        "sede": 1,
        "tensors": [{"name": "a", "shape": [2], "init": {"scheme": "normal", "sdt": 1}}],
        "rules": [{"match": "*", "init": "he_norml"}],
        "[/red]\x1b[31m": 1,
    }
    said = refused(run("inspect", "-", stdin=json.dumps(body).encode())).splitlines()
    assert said == [
        "tensors/0/init/sdt: there is no field 'sdt' here; did you mean std?",
        "allowed: scheme, mean, std",
        "rules/0/init: there is no scheme 'he_norml'; did you mean he_normal?",
        f"allowed: {', '.join(sorted(SCHEMES))}",
        "sede: there is no field 'sede' here; did you mean seed?",
        f"allowed: {', '.join(CheckpointSpec.model_fields)}",
        "[/red]\\x1b[31m: there is no field '[/red]\\x1b[31m' here",
        f"allowed: {', '.join(CheckpointSpec.model_fields)}",
    ]


def test_a_preset_with_the_name_of_a_scheme(invoke: Callable[..., Any]) -> None:
    """By itself the name is the preset, and with a shape the scheme."""
    names = sorted(filter(is_scheme, presets()))
    assert "gpt2" in names
    for name in names:
        whole, tensor = invoke("inspect", name, "--json"), invoke("inspect", name, "8x8", "--json")
        assert json.loads(whole.stdout)["tensor_count"] > 1
        assert json.loads(tensor.stdout)["tensor_count"] == 1


@pytest.mark.parametrize(
    ("arguments", "place", "said"),
    [
        (("nope", "3"), "scheme", "there is no scheme 'nope'"),
        (("normal", "3x"), "shape", "'3x' is not a shape"),
        (("normal", "3", "--gain", "2"), "gain", "normal takes no 'gain'"),
        (("normal", "3", "--std", "-1"), "std", "greater than or equal to 0"),
        (("normal", "3", "--std", "1e300"), "std", "past float32's range"),
        (
            ("normal", "3", "--dtype", "I8"),
            "dtype",
            "only constants, literals, arange and random_integers",
        ),
        (("constant", "3", "--value", "[" * 5000), "value", "must be a number"),
        (("constant", "3", "--value", "300", "--dtype", "U8"), "value", "outside U8"),
        (
            ("random_integers", "3", "--low", "5", "--high", "5"),
            "high",
            "there is no integer from 5",
        ),
        (("random_integers", "3", "--low", "0", "--high", "300", "--dtype", "U8"), "high", "299"),
        (("he_normal", "3"), "shape", "at least 2 dimensions"),
        (("he_normal", "3x3", "--gain", "1e300"), "scheme", "makes no draws"),
        (("zeros", "3", "--name", "__metadata__"), "name", "format's own key"),
        (("zeros", "3", "--seed", "18446744073709551616"), "seed", "18446744073709551615"),
        (("missing",), "source", "there is no file, no preset and no scheme"),
        (("gpt-2",), "source", "did you mean gpt2"),
        (("he-normal",), "source", "did you mean he_normal"),
        (("specs/mlp.jsn",), "source", "there is no file 'specs/mlp.jsn'"),
        (("nothing.yaml",), "source", "there is no file"),
        (("normal",), "source", "normal 256x784"),
    ],
    ids=str,
)
def test_refusals_of_one_tensor(
    invoke: Callable[..., Any], arguments: tuple[str, ...], place: str, said: str
) -> None:
    """An option is refused under its own name, by both commands, with exit code 2."""
    for command in (("inspect",), ("generate", "-o", "-")):
        done = invoke(*command, *arguments)
        assert done.exit_code == 2
        assert done.stdout == ""
        assert done.stderr.startswith(f"{place}: ")
        assert said in done.stderr


RULED = json.dumps(
    {
        "tensors": [{"name": "a", "shape": [2]}],
        "rules": [
            {"match": "a", "init": "ones"},
            {"match": "*", "init": {"scheme": "uniform", "low": 9}},
        ],
    }
).encode()
"""A spec whose second rule is wrong."""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "Invalid JSON"),
        (b"\xff", "Invalid JSON"),
        (b"[" * 100_000, "recursion limit"),
        (b"{}", "tensors: a checkpoint has at least one tensor or layer"),
        (b'{"tensors": [{"name": "a", "shape": [2]}]}', "tensors/0/init: nothing says how to fill"),
        (RULED, "rules/1/init/high: "),
    ],
)  # fmt: skip
def test_refusals_of_text(invoke: Callable[..., Any], text: bytes, said: str) -> None:
    """Text that is no spec, or a spec that has no plan, is a line with its place."""
    done = invoke("inspect", "-", stdin=text)
    assert done.exit_code == 2
    assert said in done.stderr


def test_refusals_of_files(tmp_path: Path, invoke: Callable[..., Any]) -> None:
    """What cannot be read is the system's line, exit code 1; where no file can be, ours and 2."""
    done = invoke("inspect", tmp_path)
    assert done.exit_code == 1
    assert str(tmp_path) in done.stderr
    (tmp_path / "network.json").write_text("{}")
    done = invoke("inspect", tmp_path / "netwrk.json")
    assert done.exit_code == 2
    assert "did you mean network.json?" in done.stderr
    (tmp_path / "network.yaml").write_text("tensors: []")
    done = invoke("inspect", tmp_path / "network.yaml")
    assert (done.exit_code, "YAML" in done.stderr) == (2, True)
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    for target in (tmp_path / "missing" / "w", fifo):
        done = invoke("generate", "zeros", "3", "-o", target, "--force")
        assert done.exit_code == 2
        assert str(tmp_path) in done.stderr


def test_a_preset_by_name(tmp_path: Path, invoke: Callable[..., Any]) -> None:
    """A preset is written by its name, with arguments, seed and dtype, as a spec says them."""
    target = tmp_path / "w"
    done = invoke(
        "generate", "tiny-resnet", "--set", "num_classes=3", "--seed", "5", "--dtype", "BF16",
        "-o", target, "-q",
    )  # fmt: skip
    assert done.exit_code == 0, done.stderr
    body = {"model": {"preset": "tiny-resnet", "num_classes": 3}, "seed": 5, "dtype": "BF16"}
    file = VirtualFile(CheckpointSpec.model_validate(body), engine=get_engine(NUMPY))
    assert target.read_bytes() == file.read(0, file.size)
    done = invoke("inspect", "tiny-resnet", "--set", "num_classes=3")
    assert done.exit_code == 0
    assert "fc.weight" in done.stdout
    assert "3×" in done.stdout


def test_a_directory(tmp_path: Path, invoke: Callable[..., Any]) -> None:
    """Into a directory goes what `save_pretrained` would have left there, in shards as well."""
    for target, asked in ((tmp_path, "50KB"), (f"{tmp_path}/new/", "1GB")):
        done = invoke(
            "generate", "tiny-gpt2", "--set", f"max_shard_size={asked}", "-o", target, "-q"
        )
        assert done.exit_code == 0, done.stderr
        body = {"model": {"preset": "tiny-gpt2"}, "max_shard_size": asked}
        checkpoint = Checkpoint(CheckpointSpec.model_validate(body), engine=get_engine(NUMPY))
        written = {path.name for path in Path(target).iterdir() if path.is_file()}
        assert written == set(checkpoint.names)
        for file in checkpoint.files():
            assert (Path(target) / file.name).read_bytes() == file.read(0, file.size)
    done = invoke("generate", "tiny-gpt2", "-o", tmp_path, "-q")
    assert done.exit_code == 2
    assert "exists" in done.stderr


def test_shards_without_a_directory(tmp_path: Path, invoke: Callable[..., Any]) -> None:
    """A size of shards is not ignored: it needs a directory, and inspect counts them."""
    sized = ("tiny-gpt2", "--set", "max_shard_size=50KB")
    for output in (tmp_path / "w", "-"):
        done = invoke("generate", *sized, "-o", output, "-q")
        assert (done.exit_code, done.stdout) == (2, "")
        assert done.stderr.startswith("max_shard_size: shards are files of a directory")
    assert list(tmp_path.iterdir()) == []
    body = {"model": {"preset": "tiny-gpt2"}, "max_shard_size": "50KB"}
    count = len(Checkpoint(CheckpointSpec.model_validate(body)).shards)
    assert count > 1
    assert invoke("inspect", *sized).output.endswith(f"as a directory, {count} shards\n")
    assert "shard" not in invoke("inspect", "tiny-gpt2").output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("tiny-resent",), "tiny-resnet"),
        (("tiny-resnet", "--set", "num_clases=3"), "num_classes"),
        (("tiny-resnet", "--set", "num_classes"), "name=value"),
        (("tiny-resnet", "--set", "num_classes=3", "--set", "num_classes=4"), "twice"),
        (("tiny-resnet", "--std", "3"), "--set"),
        (("zeros", "3", "--set", "a=1"), "only a preset"),
        (("tiny-resnet", "3x3"), "is a preset, which takes no shape"),
    ],
)
def test_what_a_preset_does_not_take(
    words: tuple[str, ...], said: str, invoke: Callable[..., Any]
) -> None:
    """A wrong name, argument or option is refused with what would be right."""
    done = invoke("inspect", *words)
    assert done.exit_code == 2
    assert said in done.stderr


@pytest.mark.parametrize("kilobytes", [300_000, 400_000])
def test_little_address_space(kilobytes: int) -> None:
    """Where a process may not map what the compiler or its kernels need, NumPy draws the bytes."""
    limited = ("sh", "-c", f'ulimit -v {kilobytes}; exec "{SCRIPT}" "$@"', "sh")
    single = {"OPENBLAS_NUM_THREADS": "1", "SEEDBED_THREADS": "1"}  # each maps memory of its own
    arguments = ("generate", "he_normal", "30x40", "-o", "-")
    done = run(*arguments, command=limited, SEEDBED_ENGINE="auto", **single)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == expected(spec_of_one("he_normal", "30x40", {}))


def test_too_little_memory(tmp_path: Path) -> None:
    """Threads that cannot be started are said in a line, with what would help."""
    limited = ("sh", "-c", f'ulimit -v 300000; exec "{SCRIPT}" "$@"', "sh")
    arguments = ("generate", "normal", "90000000", "-q", "-o", tmp_path / "w")
    said = refused(
        run(*arguments, command=limited, OPENBLAS_NUM_THREADS="1", SEEDBED_THREADS="256"), code=1
    )
    assert said == "there is too little memory; fewer threads need less: SEEDBED_THREADS=1\n"


def test_two_commands_with_one_name(tmp_path: Path) -> None:
    """Of two commands that run at the same time one is told that the file exists."""
    target = tmp_path / "w"
    children = [
        start(SCRIPT, *LONG, "-o", target, "--seed", seed, env=told(), stderr=subprocess.PIPE)
        for seed in "12"
    ]
    said = [child.communicate(timeout=PATIENCE_SECONDS)[1] for child in children]
    assert sorted(child.returncode for child in children) == [0, 2]
    seed = "12"[[child.returncode for child in children].index(0)]
    assert b"--force" in b"".join(said)
    assert target.read_bytes() == expected(
        spec_of_one("normal", "3000000", {"dtype": "F64", "seed": seed})
    )


def test_a_second_command(tmp_path: Path) -> None:
    """While another command writes the same file, this one is refused and leaves it alone."""
    target = tmp_path / "w"
    file = VirtualFile(spec_of_one("zeros", "3", {}), engine=get_engine(NUMPY))
    partial = disk.partial_path(file, target)
    partial.write_bytes(b"begun")
    hold = (
        "import fcntl, subprocess, sys\n"
        "with open(sys.argv[1], 'rb+') as partial:\n"
        "    fcntl.flock(partial, fcntl.LOCK_EX)\n"
        "    sys.exit(subprocess.run(sys.argv[2:]).returncode)\n"
    )
    command = (sys.executable, "-c", hold, str(partial), SCRIPT)
    said = refused(run("generate", "zeros", "3", "-o", target, "-q", command=command))
    assert "another process is writing" in said
    assert partial.read_bytes() == b"begun"
    assert not target.exists()


def test_limits_and_settings() -> None:
    """A limit is said with the setting that raises it, a wrong setting with its name; code 2."""
    said = refused(run("inspect", "normal", "3x3", SEEDBED_MAX_RANK="1"))
    assert "2 dimensions asked for" in said
    assert "SEEDBED_MAX_RANK allows 1" in said
    said = refused(run("inspect", "normal", "3", SEEDBED_PORT="x", SEEDBED_MAX_RNAK="5"))
    first, second = said.splitlines()
    assert first.startswith("SEEDBED_PORT: ")
    assert second.startswith("SEEDBED_MAX_RNAK: there is no such setting; did you mean SEEDBED_MAX")
    assert refused(run("serve", "--port", "65536")).startswith("--port: ")


@pytest.mark.parametrize("arguments", [(), ("nope",), ("generate", "normal", "3"), ("inspect",)])
def test_usage(invoke: Callable[..., Any], arguments: tuple[str, ...]) -> None:
    """A command line that lacks something is answered with the usage, exit code 2."""
    done = invoke(*arguments)
    assert done.exit_code == 2
    assert "Usage:" in done.output


def test_version(invoke: Callable[..., Any]) -> None:
    """--version says which stream the bytes are of."""
    assert "stream version 1" in invoke("--version").output


def test_colour_is_for_terminals() -> None:
    """On a terminal a refusal has colour, unless NO_COLOR is set."""
    plain = _on_a_terminal(NO_COLOR="1")
    assert "\x1b[31m" in _on_a_terminal()
    assert "there is no scheme 'nope'" in plain
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]m", plain)


def _on_a_terminal(**more: str) -> str:
    """What a refused command says to a terminal."""
    ours, theirs = pty.openpty()
    try:
        processes.run(
            SCRIPT, "inspect", "nope", "3",
            capture_output=False, stdout=subprocess.DEVNULL, stderr=theirs,
            env=told(TERM="xterm", **more),
        )  # fmt: skip
        os.close(theirs)
        said = b""
        while part := _read_terminal(ours):
            said += part
    finally:
        os.close(ours)
    return said.decode()


def _read_terminal(descriptor: int) -> bytes:
    """The next bytes; none at the end, which Linux reports as an error."""
    try:
        return os.read(descriptor, 4096)
    except OSError:
        return b""
