"""What README and docs claim, derived from the code wherever it can be."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import httpx
import pytest
from pydantic import TypeAdapter
from typer.testing import CliRunner

from scripts import catalogue_doc
from seedbed.cli.program import app as command_line
from seedbed.files import Checkpoint, CheckpointSpec
from seedbed.files.shards import MAX_SHARD_BYTES
from seedbed.hub.names import DIGEST_DIGITS
from seedbed.init import SCHEMES, AnyLayer, Init, Rule, TensorSpec, meaning_of
from seedbed.init.schemes import TRUNCATED_STD
from seedbed.models import presets
from seedbed.models.catalogue.store import index
from seedbed.models.transformers.family import VERSION
from seedbed.registry import PREFIX_DIGITS
from seedbed.stream import DTYPES, SEED_MAX, STREAM_VERSION, FloatCode
from seedbed.web.application import create_app
from seedbed.web.responses import CACHE_CONTROL
from seedbed.web.settings import Settings
from tests.test_rooms import EXTRAS, ROOMS

ROOT = Path(__file__).parent.parent
BASICS = [
    ROOT / "README.md",
    *(
        ROOT / f"docs/{name}.md"
        for name in ("loading", "spec", "whole-models", "http", "command-line", "settings", "code")
    ),
]
"""The README, and the pages that go on where it ends: what these say is held to the code."""

README = "\n".join(page.read_text(encoding="utf-8") for page in BASICS)
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "examples/README.md")),
    *sorted((ROOT / "docs").glob("*.md")),
]
DOCUMENT = json.loads((ROOT / "openapi" / "openapi.json").read_text(encoding="utf-8"))
PINNED = dict(
    line.split("==") for line in (ROOT / "constraints.txt").read_text().split() if "==" in line
)
OLD_CLIENTS = dict(
    line.split("==")
    for line in (ROOT / "tests/interop/old-clients.txt").read_text().split()
    if "==" in line
)

BLOCK = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)
BLOCKS = [(found[1], found[2]) for found in BLOCK.finditer(README)]
PROSE = BLOCK.sub("", README)


def link_targets(text: str) -> list[str]:
    """Where the links of a page lead."""
    return re.findall(r"\]\(([^()\s]+)\)", BLOCK.sub("", text))


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings, as GitHub names them."""
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        for heading in re.findall(r"^#+ (.+)$", BLOCK.sub("", text), re.MULTILINE)
    }


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """Each link to a file or a heading of the repository leads to one."""
    text = page.read_text(encoding="utf-8")
    for target in link_targets(text):
        if re.match(r"[a-z]+:", target):
            continue
        place, _, anchor = target.partition("#")
        where = (page.parent / place).resolve() if place else page
        assert where.exists(), target
        if anchor:
            assert anchor in anchors(where.read_text(encoding="utf-8")), target


# Numbers.

VERSIONS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]


def minor(version: str) -> str:
    """The first two numbers of a version."""
    return ".".join(version.split(".")[:2])


def preset_of(name: str) -> CheckpointSpec:
    """The spec of a preset."""
    return CheckpointSpec.model_validate({"model": {"preset": name}})


CLAIMS: dict[str, Callable[[], object]] = {
    r"Python ([\d.]+) or newer": lambda: VERSIONS.removeprefix(">="),
    r"readers of safetensors ([\d.]+) for": lambda: minor(PINNED["safetensors"]),
    r"RandomNormal` has Keras' ([\d.]+)\.": lambda: meaning_of("RandomNormal")[1]["std"],
    r"no weight lies past ([\d.]+) of them": lambda: f"{2 / TRUNCATED_STD + 5e-4:.3f}",
    r"`max_shard_size` \((\d+) GB by\s+default": lambda: MAX_SHARD_BYTES // 10**9,
    r"What a seed means is stream version (\d+)\.": lambda: STREAM_VERSION,
    r"a different draw would be version (\d+)": lambda: STREAM_VERSION + 1,
    r"`tiny-…` presets are at most (\d+) MB": lambda: max(
        round(
            Checkpoint(CheckpointSpec.model_validate({"model": {"preset": name}})).whole.size / 1e6
        )
        for name in presets()
        if name.startswith("tiny-")
    ),
}
"""Text of the README with a number in it, and where that comes from."""

EXEMPT = {
    r"RFC \d+": "the name of a standard",
    r"curl 7\.82": "curl's own history: the release that brought --json",
    r"Apache-2\.0": "the name of a licence",
    r"SHA-256": "the name of an algorithm",
    r"64-bit": "the name of a kind of dtype",
    r"A 1-D tensor": "a rank, in words",
    r"<http://127\.0\.0\.1:8000/>": "where a service is",
    r"refuse files of 50\)": "a constant of huggingface_hub, which tests/interop/test_hub.py meets",
    r"\[E, in, out\]": "a shape in words",
}
"""Numbers that do not follow from this code, and why."""


@pytest.mark.parametrize("pattern", CLAIMS)
def test_numbers_of_the_readme(pattern: str) -> None:
    """A number that follows from the code is the one that follows."""
    found = re.findall(pattern, README)
    assert found, pattern
    assert {*found} == {str(CLAIMS[pattern]())}


def test_every_number_of_the_readme_is_known() -> None:
    """A number in the prose is derived or exempt; tables and examples have their own tests."""
    apart = r"^\| [`…].*$", r"`[^`]*`", r"\]\([^)]*\)"
    known = [
        match.span()
        for pattern in (*CLAIMS, *EXEMPT, *apart)
        for match in re.finditer(pattern, PROSE, re.MULTILINE)
    ]
    assert [pattern for pattern in EXEMPT if not re.search(pattern, PROSE, re.MULTILINE)] == []
    unknown = [
        PROSE[max(0, found.start() - 40) : found.end() + 20]
        for found in re.finditer(r"(?<![A-Za-z_\d])\d+", PROSE)
        if not any(start <= found.start() < stop for start, stop in known)
    ]
    assert unknown == []


ELSEWHERE: dict[str, tuple[str, Callable[[], object]]] = {
    r"a solved catalogue knows (\d+)": (
        "CHANGELOG.md", lambda: catalogue_doc.figures(index()["types"])["types exact"],
    ),
    r"huggingface_hub ([\d.]+) and [\d.]+, transformers": (
        "docs/hub.md", lambda: minor(PINNED["huggingface-hub"]),
    ),
    r"huggingface_hub [\d.]+ and ([\d.]+), transformers": (
        "docs/hub.md", lambda: minor(OLD_CLIENTS["huggingface_hub"]),
    ),
    r"transformers (\d+)\nand [\d.]+ \(": (
        "docs/hub.md", lambda: PINNED["transformers"].partition(".")[0],
    ),
    r"transformers \d+\nand ([\d.]+) \(": (
        "docs/hub.md", lambda: minor(OLD_CLIENTS["transformers"]),
    ),
    r"`SEEDBED_HASH_BYTES`\n  \((\d+) GiB\)": (
        "docs/hub.md", lambda: Settings.model_fields["hash_bytes"].default >> 30,
    ),
    r"the largest shard is (\d+) GB by default": (
        "docs/hub.md", lambda: MAX_SHARD_BYTES // 10**9,
    ),
    r"runs as user (\d+)": (
        "docs/operations.md",
        lambda: re.findall(r"USER (\d+)", (ROOT / "Dockerfile").read_text())[0],
    ),
    r"slices of\n(\d+) MiB": (
        "docs/operations.md",
        lambda: re.findall(r"slice (\d+)m;", (ROOT / "deploy/nginx/nginx.conf").read_text())[0],
    ),
    r"of which the first (\d+) suffice": ("docs/registry.md", lambda: PREFIX_DIGITS),
    r"newer contents, (\d+) unless": ("docs/registry.md", lambda: default("max_spec_versions")),
    r"`SEEDBED_MAX_SPECS` \| ([\d,]+) \|": (
        "docs/registry.md", lambda: f"{default('max_specs'):,}",
    ),
    r"`SEEDBED_MAX_SPECS_PER_NAMESPACE` \| ([\d,]+) \|": (
        "docs/registry.md", lambda: f"{default('max_specs_per_namespace'):,}",
    ),
    r"`SEEDBED_MAX_SPEC_BYTES` \| (\d+) MiB \|": (
        "docs/registry.md", lambda: default("max_spec_bytes") >> 20,
    ),
    r"`SEEDBED_MAX_SPEC_VERSIONS` \| (\d+) \|": (
        "docs/registry.md", lambda: default("max_spec_versions"),
    ),
    r"`SEEDBED_MAX_REGISTRY_BYTES` \| (\d+) GiB \|": (
        "docs/registry.md", lambda: default("max_registry_bytes") >> 30,
    ),
    r"`SEEDBED_REGISTRY_CONNECTIONS`, `_QUEUED`, `_SECONDS` \| (.*) s \|": (
        "docs/registry.md",
        lambda: f"{default('registry_connections')}, {default('registry_queued')}, "
        f"{default('registry_seconds'):g}",
    ),
    r"replicas × workers × (\d+)\.": (
        "docs/registry.md", lambda: default("registry_connections") + 1,
    ),
    r"quantisation and (\d+) of a digest": ("docs/hub.md", lambda: DIGEST_DIGITS),
    r"in another dtype: ([a-z0-9_, ]+) \|": (
        "docs/hub.md", lambda: ", ".join(code.lower() for code in get_args(FloatCode)),
    ),
    r"Files say `Cache-Control: ([^`]*)`": ("docs/operations.md", lambda: CACHE_CONTROL),
}  # fmt: skip
"""The same of other pages."""


def default(setting: str) -> Any:
    """The default of a setting."""
    return Settings.model_fields[setting].default


@pytest.mark.parametrize("pattern", ELSEWHERE)
def test_numbers_of_other_pages(pattern: str) -> None:
    """A number that follows from the code, or from what is installed, is the one that follows."""
    page, value = ELSEWHERE[pattern]
    found = re.findall(pattern, (ROOT / page).read_text(encoding="utf-8"))
    assert found, pattern
    assert {*found} == {str(value())}


def test_families_and_catalogue_are_of_the_version_that_is_tried() -> None:
    """config.json says the version of transformers whose models the tests compare."""
    assert PINNED["transformers"] == VERSION


# Tables.


def rows(heading: str) -> list[list[str]]:
    """The cells of the table that has this heading."""
    lines = README[README.index(heading) :].splitlines()[2:]
    found = []
    for line in lines:
        if not line.startswith("|"):
            break
        cells = re.split(r"(?<!\\)\|", line.strip("|"))
        found.append([cell.strip() for cell in cells])
    return found


def test_fields_of_a_spec() -> None:
    """The table of fields has each, with its default, and those of a tensor."""
    said = {cells[0]: cells[1] for cells in rows("| field | default |")}
    whole = {name.strip("`"): text for name, text in said.items() if name[0] != "…"}
    assert whole.keys() == CheckpointSpec.model_fields.keys()
    for name, text in whole.items():
        field = CheckpointSpec.model_fields[name]
        default = field.get_default(call_default_factory=True)
        if text == "none":
            assert not default
        elif name == "max_shard_size":
            assert CheckpointSpec.model_validate({**EMPTY, name: text.strip("`")}) == SMALLEST
        else:
            assert text.strip("`") == str(default)
    parts = {name.strip("… `") for name in said if name[0] == "…"}
    assert parts == TensorSpec.model_fields.keys()


EMPTY: dict[str, Any] = {"tensors": [{"name": "x", "shape": [], "init": "zeros"}]}
SMALLEST = CheckpointSpec.model_validate(EMPTY)


def test_words_of_the_table_of_fields() -> None:
    """The dtypes and the bounds of seeds that it names are those there are."""
    (dtype,) = [cells[2] for cells in rows("| field | default |") if cells[0] == "`dtype`"]
    assert dtype.startswith("of all tensors that do not say otherwise: ")
    named = re.match(r"[^:]*: ([A-Z0-9_, ]+[A-Z0-9])", dtype)
    assert named
    assert named[1].split(", ") == list(get_args(FloatCode))
    assert "integers (I8 … U64) and BOOL" in README
    integers = {code for code, one in DTYPES.items() if not one.is_float}
    assert integers == {f"{sign}{bits}" for sign in "IU" for bits in (8, 16, 32, 64)} | {"BOOL"}
    assert "0 … 2⁶⁴ − 1" in README
    assert SEED_MAX == 2**64 - 1


def test_parameters_of_schemes() -> None:
    """The table of schemes names parameters that they take, and their true defaults."""
    for names, parameters, _ in rows("| scheme | parameters |"):
        schemes = [SCHEMES[name] for name in re.findall(r"`(\w+)`", names)]
        assert schemes
        for parameter, default in re.findall(r"`(\w+)` ([−\d]\S*|`\w+`)", parameters):
            value = default.strip("`,").replace("−", "-")
            for scheme in schemes:
                assert str(scheme.model_fields[parameter].default).removesuffix(".0") == value
        for parameter in re.findall(r"`(\w+)`", parameters):
            assert any(
                parameter in scheme.model_fields
                or parameter in {field.default for field in scheme.model_fields.values()}
                for scheme in schemes
            ), (names, parameter)


def test_routes_of_the_table() -> None:
    """The table of HTTP has every operation of the document, and no other path of it."""
    said: set[tuple[str, str]] = set()
    for cells in rows("| | |\n|---|---|\n| `POST /v1/checkpoints`"):
        methods = re.findall(r"\b(GET|HEAD|PUT|POST|DELETE)\b", cells[0])
        for path in re.findall(r"(/[^`?\s,]*)", f"{cells[0]} {cells[1]}"):
            said |= {(method, pattern_of(path)) for method in methods}
    described = {
        (method.upper(), pattern_of(path))
        for path, operations in DOCUMENT["paths"].items()
        for method in operations
    }
    assert described <= said
    hidden = {"/", "/docs", "/openapi.json", "/hub"}
    ours = {(method, path) for method, path in said if path.startswith("/v1/")}
    assert {one for one in ours if one[1] not in hidden} - described <= {
        ("PUT", "/v1/specs"), ("DELETE", "/v1/specs"),  # named in the same row
    }  # fmt: skip


def pattern_of(path: str) -> str:
    """A path without the names of what varies; any file of a checkpoint by one name."""
    return re.sub(r"\{[^}]*\}", "{}", path.replace("model.safetensors", "{file}"))


def test_rooms_of_the_table() -> None:
    """The table of rooms has every package, and the line of arrows above it every room."""
    packages = {path.parent.name for path in (ROOT / "app/seedbed").glob("*/__init__.py")}
    linked = set(re.findall(r"\(\.\./app/seedbed/(\w+)\)", README))
    assert linked == packages
    (arrows,) = re.findall(r"^Rooms, arrows one way: \*\*(.*)\*\*", README, re.MULTILINE)
    assert set(re.findall(r"\w+", arrows)) == set(ROOMS) - EXTRAS - {"cli", "recording"}


# Examples.


def parsed(text: str) -> list[Any]:
    """The JSON values of a block, one after another."""
    decoder, found, at = json.JSONDecoder(), [], 0
    while at < len(text.rstrip()):
        value, at = decoder.raw_decode(text, at + len(text[at:]) - len(text[at:].lstrip()))
        found.append(value)
    return found


BODIES = [value for language, text in BLOCKS if language == "json" for value in parsed(text)]
SPECS = [value for value in BODIES if "title" not in value]
INLINE = [
    json.loads(text) for text in re.findall(r"`(\{[^`]*\})`", PROSE) if "…" not in text
]  # fmt: skip


@pytest.mark.parametrize("body", SPECS, ids=str)
def test_specs_mean_files(body: dict[str, Any]) -> None:
    """Each spec of the README is one."""
    assert Checkpoint(CheckpointSpec.model_validate(body)).tensors


def test_the_spec_means_what_the_text_says() -> None:
    """The first spec: BF16 but for a bias in F32, which a rule makes zeros."""
    tensors = {one.name: one for one in Checkpoint(CheckpointSpec.model_validate(SPECS[0])).tensors}
    weight, bias = tensors["fc.weight"], tensors["fc.bias"]
    assert (weight.dtype.code, bias.dtype.code) == ("BF16", "F32")
    assert bias.scheme.canonical() == "zeros"
    assert weight.scheme.canonical() == {"scheme": "he_normal", "mode": "fan_out"}


@pytest.mark.parametrize("value", INLINE, ids=str)
def test_parts_of_specs_are_taken(value: dict[str, Any]) -> None:
    """Each object in the text is a scheme, a rule, a layer or a model, or of a manifest."""
    if not {"scheme", "match", "type", "preset"} & value.keys():
        if all(isinstance(part, str) for part in value.values()):  # by parameter of a layer
            layer = {"type": "linear", "name": "x", "in_features": 2, "out_features": 2}
            TypeAdapter(AnyLayer).validate_python({**layer, "same_as": value})
        else:
            CheckpointSpec.model_validate({"model": {"manifest": value}})
        return
    kinds: dict[str, Any] = {
        "scheme": Init, "match": Rule, "type": AnyLayer, "preset": None,
    }  # fmt: skip
    (key,) = kinds.keys() & value.keys()
    if kinds[key] is None:
        assert CheckpointSpec.model_validate({"model": value}).built
    else:
        TypeAdapter(kinds[key]).validate_python(value)


def test_torch_linear_is_what_it_says() -> None:
    """`torch_linear` is short for the scheme beside it."""
    (long,) = [value for value in INLINE if value.get("a")]
    init = TypeAdapter(Init)
    assert init.validate_python(long) == init.validate_python("torch_linear")


def ask(method: str, path: str, **others: Any) -> httpx.Response:
    """What a service answers that has not been started."""
    app = create_app(Settings.model_construct(log_level="error", registry_url="none"))

    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.request(method, path, **others)

    return asyncio.run(send())


LINKS = sorted(
    {
        *re.findall(r"http://127\.0\.0\.1:8000(/v1/[^'\"\s]*)", README),
        *re.findall(r"`(?:GET )?(/v1/[^`\s{}…]*\?[^`\s{}…]*)`", README),
    }
)


@pytest.mark.parametrize("link", LINKS)
def test_links_to_the_service_work(link: str) -> None:
    """Each URL of an example is answered, or waits for the body that the example posts."""
    answer = ask("HEAD", link)
    assert answer.status_code == (405 if link == "/v1/checkpoints" else 200), answer.text


def test_the_error_is_the_one_that_is_shown() -> None:
    """The problem in the README is what the service answers, but for what … stands for."""
    (shown,) = [value for value in BODIES if "title" in value]
    body = {"tensors": [{"name": "w", "shape": [2, 2], "init": "hee_normal"}]}
    answer = ask("POST", "/v1/describe", json=body).json()
    for key in ("type", "title", "status", "detail"):
        assert answer[key] == shown[key]
    (finding,), (real,) = shown["errors"], answer["errors"]
    assert {**real, "detail": "…", "allowed": [real["allowed"][0], "…"]} == finding


COMMANDS = [
    shlex.split(line, comments=True)
    for language, text in BLOCKS
    if language == "sh"
    for line in text.splitlines()
    if line.startswith("seedbed ")
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_commands_run(command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each command line does what it says; large files are planned and not written."""
    _, verb, *arguments = command
    if verb in ("serve", "record"):  # which does not end, and which needs PyTorch and a module
        command_line_help = CliRunner().invoke(command_line, [verb, "--help"])
        assert all(one in command_line_help.output for one in arguments if one.startswith("--"))
        return
    monkeypatch.chdir(ROOT)
    if verb == "materialise":  # into a bucket that nobody has
        arguments.append("--dry-run")
    if verb == "generate" and "--help" not in arguments:
        at = arguments.index("-o")
        output = tmp_path / arguments[at + 1]
        if arguments[0].startswith(("gpt2", "resnet")):
            verb, arguments = "inspect", arguments[:at] + arguments[at + 2 :]
        else:
            arguments[at + 1] = str(output)
    done = CliRunner().invoke(command_line, [verb, *arguments])
    assert done.exit_code == 0, done.output
    assert verb != "generate" or "--help" in arguments or output.stat().st_size > 0


def test_verbs_of_make_are_there() -> None:
    """Each `make …` that a page names is a target of the Makefile."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        named = re.findall(r"(?:`|^|\| )make ([a-z]+(?:-[a-z]+)*)", text, re.MULTILINE)
        assert {*named} <= targets, page
