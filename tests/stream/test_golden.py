from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from scripts import make_golden
from seedbed.stream import DTYPES, NUMPY, Dtype, derive_key
from seedbed.stream.aesctr import keystream, scratch
from tests.stream import reference
from tests.stream.strategies import COMPILED, ENGINES, FLOATS, drawn_bytes, parse

GOLDEN = Path(__file__).parent.parent / "golden"
VECTORS: dict[str, Any] = json.loads((GOLDEN / "stream-v1.json").read_text(encoding="utf-8"))
DIGESTS: dict[str, Any] = json.loads(
    (GOLDEN / "stream-v1-digests.json").read_text(encoding="utf-8")
)
TEXTS = tuple(dict.fromkeys(entry["distribution"] for entry in VECTORS["draws"]))

every_engine = pytest.mark.parametrize("engine", ENGINES)
every_distribution = pytest.mark.parametrize("text", TEXTS)


def label(entry: dict[str, Any]) -> str:
    """What a vector or a run is of."""
    return f"{entry['distribution']} {entry['dtype']} from {entry['start']}"


def entries(where: list[dict[str, Any]], text: str) -> list[dict[str, Any]]:
    """Those of one distribution."""
    return [entry for entry in where if entry["distribution"] == text]


@pytest.mark.parametrize("entry", VECTORS["words"], ids=lambda entry: str(entry["start"]))
def test_keys_and_words(entry: dict[str, Any]) -> None:
    """Keys and keystream words of version 1 are what they were."""
    key = derive_key(int(entry["seed"]), entry["name"], entry["lane"])
    words = keystream(key, entry["start"], VECTORS["count"], scratch(VECTORS["count"]))
    assert key.hex() == entry["key"]
    assert [f"{word:08x}" for word in words.tolist()] == entry["words"]


@pytest.mark.parametrize("entry", VECTORS["words"], ids=lambda entry: str(entry["start"]))
def test_keys_and_words_follow_from_the_document(entry: dict[str, Any]) -> None:
    """The same from the independent reading of docs/stream.md."""
    key = reference.key(int(entry["seed"]), entry["name"], entry["lane"])
    places = range(entry["start"], entry["start"] + VECTORS["count"])
    assert key.hex() == entry["key"]
    assert [f"{reference.word(key, place):08x}" for place in places] == entry["words"]


@every_engine
@every_distribution
def test_draws(engine: str, text: str) -> None:
    """Draws of version 1 are what they were, in every dtype, by every engine."""
    for entry in entries(VECTORS["draws"], text):
        run = parse(text), DTYPES[entry["dtype"]], entry["start"], VECTORS["count"]
        assert drawn_bytes(engine, *run).hex() == entry["hex"], label(entry)


@every_distribution
def test_draws_follow_from_the_document(text: str) -> None:
    """Exact arithmetic after docs/stream.md gives the same bytes."""
    kind, _, arguments = text.rstrip(")").partition("(")
    parameters_of, draw = reference.SECTIONS[kind]
    parameters = parameters_of(*map(float, arguments.split(",")))
    key = reference.key(42, "fc.weight", "values")
    for entry in entries(VECTORS["draws"], text):
        places = range(entry["start"], entry["start"] + VECTORS["count"])
        values = [draw(reference.word(key, place), parameters) for place in places]
        encoded = b"".join(reference.encode(value, entry["dtype"]) for value in values)
        assert encoded.hex() == entry["hex"], label(entry)


@every_engine
@every_distribution
def test_long_runs(engine: str, text: str) -> None:
    """A hundred thousand elements have the digest they had, near and far from the start."""
    for entry in entries(DIGESTS["runs"], text):
        run = parse(text), DTYPES[entry["dtype"]], entry["start"], DIGESTS["count"]
        digest = hashlib.sha256(drawn_bytes(engine, *run)).hexdigest()
        assert digest == entry["sha256"], label(entry)


def test_vectors_cover_every_kind_and_dtype() -> None:
    """Each distribution stands in each dtype: all vectors, and every run whose draws fit."""
    everything = {(text, dtype.code) for text in TEXTS for dtype in FLOATS}
    vectors = {(entry["distribution"], entry["dtype"]) for entry in VECTORS["draws"]}
    runs = {(entry["distribution"], entry["dtype"]) for entry in DIGESTS["runs"]}
    assert {text.partition("(")[0] for text in TEXTS} == set(reference.SECTIONS)
    assert vectors == everything
    assert everything - runs == {("log_uniform(1e-06, 1000)", "F8_E4M3")}  # which ends at 448


@pytest.mark.parametrize("dtype", FLOATS, ids=lambda dtype: dtype.code)
def test_runs_begin_with_the_vectors(dtype: Dtype) -> None:
    """The two files are about the same tensor, whose start both have."""
    (vector,) = (
        bytes.fromhex(entry["hex"])
        for entry in entries(VECTORS["draws"], "normal(0, 1)")
        if (entry["dtype"], entry["start"]) == (dtype.code, 0)
    )
    whole = drawn_bytes(NUMPY, parse("normal(0, 1)"), dtype, 0, DIGESTS["count"])
    assert whole.startswith(vector)
    assert hashlib.sha256(whole).hexdigest() in {entry["sha256"] for entry in DIGESTS["runs"]}


def test_this_machine_has_a_compiled_engine() -> None:
    """The vectors were held against compiled code too, not only against the definition."""
    assert COMPILED


def test_texts_mean_what_the_script_drew() -> None:
    """The distributions that the texts name are those that the script drew from."""
    assert {text: parse(text) for text in TEXTS} == make_golden.DISTRIBUTIONS


def test_golden_files_are_not_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The script refuses once both files are there, and what is there stays as it is."""
    monkeypatch.setattr(make_golden, "GOLDEN", tmp_path)
    for name in make_golden.MAKERS:
        (tmp_path / name).write_text("a law")
    with pytest.raises(SystemExit, match="does not change"):
        make_golden.main()
    assert capsys.readouterr().out == ""
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == dict.fromkeys(
        make_golden.MAKERS, "a law"
    )


@pytest.mark.parametrize("name", make_golden.MAKERS)
def test_the_script_writes_what_is_missing(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a file is missing the script writes it, equal to the one that is kept."""
    monkeypatch.setattr(make_golden, "GOLDEN", tmp_path)
    (others,) = set(make_golden.MAKERS) - {name}
    (tmp_path / others).write_text("a law")
    make_golden.main()
    assert (tmp_path / name).read_bytes() == (GOLDEN / name).read_bytes()
    assert (tmp_path / others).read_text() == "a law"
