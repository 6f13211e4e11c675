from __future__ import annotations

import hashlib
import json
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from seedbed.errors import LimitError, ParameterError, ShapeError, SpecError
from seedbed.files import FILE_NAME, CheckpointSpec, VirtualFile, split
from seedbed.init import Fill, Init, Limits, Scheme
from seedbed.init.fills import Drawn
from seedbed.stream import AUTO, DTYPES, NUMPY, SEED_MAX, Engine, derive_key, get_engine
from seedbed.stream.aesctr import keystream, scratch
from tests.files.golden import GOLDEN, SEEDS, body_of, defaults, shapes_of
from tests.files.suite import BODY, Reader, ReaderSuite, whole_file
from tests.oracles import NUMPY_DTYPES, load, split_file, without_metadata, written
from tests.strategies import CODES, FLOATS, bodies, byte_ranges, specs, untimed

engines = pytest.mark.parametrize("engine_name", [NUMPY, AUTO])


class Counting:
    """The definition as an engine that keeps count of the elements it draws."""

    def __init__(self) -> None:
        self.drawn = 0

    @property
    def engine(self) -> Engine:
        """To hand to a file."""
        definition = get_engine(NUMPY).fill

        def fill(key: bytes, distribution: Any, dtype: Any, box: Any, out: Any) -> None:
            self.drawn += out.size
            definition(key, distribution, dtype, box, out)

        return replace(get_engine(NUMPY), fill=fill)


def file_of(body: dict[str, Any], **arguments: Any) -> VirtualFile:
    """The file of a spec, as JSON, drawn by the definition unless said otherwise."""
    arguments.setdefault("engine", get_engine(NUMPY))
    return VirtualFile(CheckpointSpec.model_validate(body), **arguments)


def one(init: Any = "normal", shape: Any = (10,), **fields: Any) -> dict[str, Any]:
    """A spec of one tensor `w`."""
    return {"tensors": [{"name": "w", "shape": shape, "init": init}], **fields}


def whole(file: VirtualFile) -> bytes:
    """All bytes of a file."""
    return bytes(file.read(0, file.size))


class TestVirtualFile(ReaderSuite):
    """The file itself, drawn by the engine that is used when none is named."""

    @pytest.fixture(scope="class")
    @classmethod
    def reader(cls) -> Reader:
        """What is tested."""
        return VirtualFile(CheckpointSpec.model_validate(BODY))


class TestDefinition(ReaderSuite):
    """The file drawn by the NumPy definition."""

    @pytest.fixture(scope="class")
    @classmethod
    def reader(cls) -> Reader:
        """What is tested."""
        return file_of(BODY)


# The same bytes as safetensors


@untimed
@given(specs())
def test_every_byte_is_what_safetensors_writes(spec: CheckpointSpec) -> None:
    """Read and written again by safetensors, any file is the same, but for its metadata."""
    file = whole(VirtualFile(spec, engine=get_engine(NUMPY)))
    assert written(load(file)) == without_metadata(file)


@untimed
@given(bodies())
def test_safetensors_reads_what_was_asked_for(body: dict[str, Any]) -> None:
    """Its reader finds each tensor with the shape and dtype of the plan, and finite values."""
    file = file_of(body)
    arrays = load(whole(file))
    assert set(arrays) == {tensor["name"] for tensor in body["tensors"]}
    for tensor in file.tensors:
        array = arrays[tensor.name]
        assert array.shape == tensor.shape
        assert array.dtype == NUMPY_DTYPES[tensor.dtype.code]
        assert np.isfinite(array.astype(np.float64)).all()


@untimed
@given(bodies())
def test_values_are_the_stream_s(body: dict[str, Any]) -> None:
    """What the reader finds are the draws of (seed, name), rounded to the dtype by others."""
    file = file_of(body)
    arrays = load(whole(file))
    for tensor in file.tensors:
        if isinstance(tensor.fill, Drawn):
            count = tensor.elements
            words = keystream(derive_key(body["seed"], tensor.name), 0, count, scratch(count))
            draws = tensor.fill.distribution.draw(words).astype(NUMPY_DTYPES[tensor.dtype.code])
            assert arrays[tensor.name].tobytes() == draws.tobytes()


def test_metadata_reads_as_written() -> None:
    """With several keys, whose order its writer leaves to chance, header and length still agree."""
    file = whole(file_of(one(metadata={"b": "x", "a": 'ö"\\\u2028'})))
    header, data = split_file(file)
    metadata = header.pop("__metadata__")
    assert {key: metadata[key] for key in "ab"} == {"a": 'ö"\\\u2028', "b": "x"}
    single = {"a": json.dumps(metadata)}  # something of one key to compare lengths with
    assert len(written(load(file), single)) % 8 == 0
    assert data == written(load(file))[-len(data) :]


# Golden files

_golden = json.loads(GOLDEN.read_text(encoding="utf-8"))["files"]


@engines
def test_golden_files(engine_name: str) -> None:
    """Whole files, canonical digests and ETags are those of stream version 1, from any engine."""
    engine = get_engine(engine_name)
    for entry in _golden:
        body = body_of(entry["init"], entry["dtype"], entry["shapes"], int(entry["seed"]))
        file = file_of(body, engine=engine)
        found = {
            "spec_sha256": file.spec.digest,
            "etag": file.etag,
            "sha256": hashlib.sha256(whole(file)).hexdigest(),
        }
        assert found == {key: entry[key] for key in found}, entry


def test_golden_files_cover_every_scheme_and_dtype() -> None:
    """Each scheme has an entry for each dtype that can hold it, each seed and each shape."""
    found = {
        (init if isinstance(init, str) else init["scheme"], entry["dtype"], int(entry["seed"]))
        for entry in _golden
        for init in (entry["init"],)
    }
    adapter: TypeAdapter[Scheme] = TypeAdapter(Init)
    for init in defaults():
        scheme = adapter.validate_python(init)
        fills = [scheme.fill(tuple(s)) for s in shapes_of(init) if takes(scheme, tuple(s))]
        codes = [code for code in CODES if all(holds(code, fill) for fill in fills)]
        assert {"F32", "F64", "BF16", "F16"} <= {*codes}
        assert {(scheme.scheme, code, seed) for code in codes for seed in SEEDS} <= found
    for entry in _golden:
        scheme = adapter.validate_python(entry["init"])
        assert entry["shapes"] == [s for s in shapes_of(entry["init"]) if takes(scheme, tuple(s))]


def holds(code: str, fill: Fill) -> bool:
    """Whether a dtype is wide enough for every value of a fill."""
    try:
        fill.check(DTYPES[code])
    except ParameterError:
        return False
    return True


def takes(scheme: Scheme, shape: tuple[int, ...]) -> bool:
    """Whether a scheme fills such a shape."""
    try:
        scheme.fill(shape)
    except (ShapeError, ParameterError):
        return False
    return True


@untimed
@given(specs(max_elements=400), st.data())
def test_engines_agree(spec: CheckpointSpec, data: st.DataObject) -> None:
    """The fastest engine and the definition make the same file, whole and in part."""
    fast, slow = (VirtualFile(spec, engine=get_engine(name)) for name in (AUTO, NUMPY))
    expected = whole(slow)
    assert whole(fast) == expected
    start, stop = data.draw(byte_ranges(slow.size))
    assert fast.read(start, stop) == expected[start:stop]


# Promises


@untimed
@given(bodies(), st.randoms(use_true_random=False))
def test_tensors_are_the_same_in_any_file(body: dict[str, Any], choice: Any) -> None:
    """Alone, sharded or shuffled among others, a tensor has the same bytes (promise 3)."""
    tensors = load(whole(file_of(body)))
    shuffled = list(body["tensors"])
    choice.shuffle(shuffled)
    cut = choice.randrange(len(shuffled) + 1)
    shards = [shuffled[:cut], shuffled[cut:]]
    for shard in filter(None, shards):
        for name, array in load(whole(file_of({**body, "tensors": shard}))).items():
            assert array.tobytes() == tensors[name].tobytes()


@untimed
@given(bodies(), st.sampled_from(FLOATS))
def test_dtypes_round_the_same_draws(body: dict[str, Any], code: str) -> None:
    """A file of any dtype is the float32 file, rounded or widened by others (promise 4)."""
    tensors = [
        {key: value for key, value in tensor.items() if key != "dtype"}
        for tensor in body["tensors"]
        if tensor.get("dtype") in (None, *FLOATS)
    ]
    if not tensors:
        return
    plain = {"seed": body["seed"], "tensors": tensors}
    try:
        other = load(whole(file_of({**plain, "dtype": code})))
    except SpecError:  # a constant or a scheme that only a wider dtype can hold
        return
    for name, array in load(whole(file_of(plain))).items():
        assert other[name].tobytes() == array.astype(NUMPY_DTYPES[code]).tobytes()


def test_seeds_and_names_are_other_streams() -> None:
    """Another seed, or another name, is other values throughout."""
    base = load(whole(file_of(one(shape=[1000]))))["w"]
    seeded = load(whole(file_of(one(shape=[1000], seed=1))))["w"]
    body = one(shape=[1000])
    body["tensors"][0]["name"] = "W"
    renamed = load(whole(file_of(body)))["W"]
    for other in (seeded, renamed):
        assert np.mean(base == other) < 0.01
        assert abs(np.corrcoef(base, other)[0, 1]) < 0.15


def test_a_file_says_what_made_it() -> None:
    """Its metadata has format, seed, stream version and spec, from which it can be made again."""
    body = one("he_normal", [3, 4], seed=2**64 - 1, metadata={"note": "x"}, dtype="BF16")
    file = file_of(body)
    header, _ = split_file(whole(file))
    metadata = header["__metadata__"]
    assert metadata == file.metadata
    assert set(metadata) == {
        "note", "format", "seedbed.seed", "seedbed.spec", "seedbed.spec_sha256", "seedbed.stream",
    }  # fmt: skip
    assert metadata["format"] == "pt"
    assert metadata["seedbed.seed"] == "18446744073709551615"
    assert metadata["seedbed.stream"] == "1"
    assert metadata["seedbed.spec_sha256"] == file.spec.digest
    again = json.loads(metadata["seedbed.spec"])
    assert whole(file_of({**again, "seed": metadata["seedbed.seed"]})) == whole(file)


@pytest.mark.parametrize(("extra", "kept"), [(0, True), (1, False)])
def test_a_long_spec_is_only_named(extra: int, kept: bool) -> None:  # noqa: FBT001
    """A canonical spec of up to 8192 bytes is in the metadata, a longer one by its digest alone."""
    note = "ö" * 4000
    space = 8192 - len(
        CheckpointSpec.model_validate(one(metadata={"n": note})).canonical_json.encode()
    )
    file = file_of(one(metadata={"n": note + "x" * (space + extra)}))
    assert len(file.spec.canonical_json.encode()) == 8192 + extra
    assert ("seedbed.spec" in file.metadata) == kept
    assert "seedbed.spec_sha256" in file.metadata


# ETag


def test_etags_tell_files_apart() -> None:
    """Spec, seed and file name each change it; spelling and engine do not."""
    etag = file_of(one()).etag
    others = [
        file_of(one(seed=1)),
        file_of(one("uniform")),
        file_of(one(dtype="F64")),
        file_of(one(metadata={"a": ""})),
        file_of(one(), name="other.safetensors"),
    ]
    assert len({etag, *(file.etag for file in others)}) == 6
    same = [
        file_of(one({"scheme": "normal_", "std": 1})),
        file_of(one(), name=FILE_NAME),
        file_of(one(), engine=get_engine(AUTO)),
        file_of(one(seed="0")),
    ]
    assert {file.etag for file in same} == {etag}


def test_the_etag_by_hand() -> None:
    """32 hexadecimal digits of SHA-256 over stream version, spec digest, seed and name."""
    file = file_of(one(seed=42))
    message = f"seedbed/file/1\n{file.spec.digest}\n42\nmodel.safetensors"
    assert file.etag == hashlib.sha256(message.encode()).hexdigest()[:32]


@untimed
@given(specs(), st.integers(0, SEED_MAX), st.integers(0, SEED_MAX))
def test_another_seed_is_not_planned_again(spec: CheckpointSpec, seed: int, other: int) -> None:
    """Of a plan, the file of any seed is byte for byte that which is planned for it alone."""
    planned = file_of(spec.with_seed(other)).with_seed(seed)
    alone = file_of(spec.with_seed(seed))
    assert planned.tensors == alone.tensors
    assert (planned.size, planned.etag, planned.metadata) == (
        alone.size, alone.etag, alone.metadata
    )  # fmt: skip
    assert planned.read(0, planned.size) == alone.read(0, alone.size)
    assert planned.with_seed(other).header == file_of(spec.with_seed(other)).header


# Reading


@untimed
@given(specs(), st.integers(-500, 1500), st.integers(-500, 1500))
def test_reading_is_slicing(spec: CheckpointSpec, start: int, stop: int) -> None:
    """Negative, reversed and distant bounds mean what they mean in a slice."""
    file = VirtualFile(spec, engine=get_engine(NUMPY))
    assert file.read(start, stop) == whole(file)[start:stop]


@untimed
@given(specs(), st.data())
def test_reading_into_a_buffer(spec: CheckpointSpec, data: st.DataObject) -> None:
    """A caller's buffer is filled from any byte on, and nothing beside it is touched."""
    file = VirtualFile(spec, engine=get_engine(NUMPY))
    start, stop = data.draw(byte_ranges(file.size))
    skip = data.draw(st.integers(0, 9))
    buffer = bytearray(b"\xaa" * (skip + stop - start + 5))
    file.read_into(start, memoryview(buffer)[skip : skip + stop - start])
    assert buffer == b"\xaa" * skip + whole(file)[start:stop] + b"\xaa" * 5


@pytest.mark.parametrize("size", [1, 3, 8, 4096, 100_003, 1 << 20, 1 << 30])
@pytest.mark.parametrize(("start", "stop"), [(0, None), (0, 5000), (777, 9_999_999), (-50, None)])
def test_chunk_size_is_invisible(size: int, start: int, stop: int | None) -> None:
    """Chunks of any size, clipped to the file, join to the range and end at multiples."""
    body = one(shape=[500]) if size < 4096 else one(shape=[120_000])
    file = file_of(body)
    chunks = list(file.chunks(start, stop, size))
    assert b"".join(chunks) == whole(file)[start:stop]
    position = start % file.size
    for chunk in chunks[:-1]:
        position += len(chunk)
        assert position % size == 0
    assert all(chunks)


def test_chunks_are_made_when_asked_for() -> None:
    """Taking one chunk of a terabyte draws that chunk, and no more."""
    count = Counting()
    file = file_of(one(shape=[2**38]), engine=count.engine)
    chunks = file.chunks()
    assert count.drawn == 0
    first = next(chunks)
    assert len(first) == 1 << 20
    assert count.drawn <= 2**18
    assert first == file.read(0, 1 << 20)


@untimed
@given(st.integers(0, 10**13), st.integers(0, 10**7), st.integers(1, 10**6))
def test_splitting(start: int, length: int, size: int) -> None:
    """Ranges follow each other from start to stop, end at multiples, and none is longer."""
    size = max(size, length // 50 + 1)
    parts = list(split(start, start + length, size))
    ends = [stop for _, stop in parts]
    assert [first for first, _ in parts] == [start, *ends][: len(parts)]
    assert ends[-1:] == ([start + length] if length else [])
    assert all(end % size == 0 for end in ends[:-1])
    assert all(0 < stop - first <= size for first, stop in parts)


def test_empty_tensors_share_a_place() -> None:
    """Tensors without elements lie between others without a byte, at the start and at the end."""
    tensors = [
        {"name": name, "shape": shape, "init": "uniform"}
        for name, shape in (
            ("a", [0]),
            ("b", [3]),
            ("c", [2, 0]),
            ("d", [0]),
            ("e", []),
            ("f", [0]),
        )
    ]
    file = file_of({"tensors": tensors})
    assert [file.offset(i) - file.offset(0) for i in range(6)] == [0, 0, 12, 12, 12, 16]
    assert file.size == file.offset(5)
    expected = whole(file)
    for start in range(len(expected)):
        assert file.read(start, start + 13) == expected[start : start + 13]


def test_a_file_of_nothing_but_empty_tensors() -> None:
    """It is its header."""
    file = file_of(one(shape=[0, 3]))
    assert whole(file) == file.header
    assert load(whole(file))["w"].shape == (0, 3)


# Size


def test_the_end_of_a_terabyte() -> None:
    """The last kilobyte of 1 TiB is drawn on its own, and is what the stream says lies there."""
    count = Counting()
    file = file_of(one("he_normal", [2**18, 2**20]), engine=count.engine)
    assert file.size > 2**40
    tracemalloc.start()
    try:
        last = file.read(file.size - 1024, file.size)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert count.drawn == 256
    assert peak < 2_000_000
    words = keystream(derive_key(0, "w"), 2**38 - 256, 256, scratch(256))
    assert isinstance(file.tensors[0].fill, Drawn)
    assert last == file.tensors[0].fill.distribution.draw(words).astype("<f4").tobytes()


@untimed
@given(st.integers(0, 2**42), st.integers(0, 500))
def test_any_place_of_terabytes(place: int, length: int) -> None:
    """Wherever a range lies, only its elements are drawn, and one at each end that it cuts."""
    count = Counting()
    tensors = [
        {"name": f"t{i}", "shape": [2**13, 2**25], "init": "normal", "dtype": code}
        for i, code in enumerate(("F64", "F32", "BF16", "F8_E4M3"))
    ]
    file = file_of({"tensors": tensors}, engine=count.engine)
    start = place % file.size
    part = file.read(start, start + length)
    assert len(part) == min(length, file.size - start)
    assert count.drawn <= len(part) + 2
    joined = b"".join(file.read(start + i, start + i + 1) for i in range(min(len(part), 20)))
    assert joined == part[:20]


def test_the_header_of_140_gigabytes() -> None:
    """Size, header and ETag of a 70-billion-parameter model are there before anything is drawn."""
    count = Counting()
    width, inner = 8192, 28672
    tensors = [{"name": "embed.weight", "shape": [32000, width], "init": "normal"}]
    for i in range(80):
        shapes = {"q": [width, width], "k": [1024, width], "v": [1024, width], "o": [width, width],
                  "gate": [inner, width], "up": [inner, width], "down": [width, inner]}  # fmt: skip
        tensors += [
            {"name": f"layers.{i}.{key}.weight", "shape": shape, "init": "he_normal"}
            for key, shape in shapes.items()
        ]
        tensors.append({"name": f"layers.{i}.norm.weight", "shape": [width], "init": "ones"})
    file = file_of({"dtype": "BF16", "tensors": tensors}, engine=count.engine)
    assert file.size > 135e9
    header = file.read(0, len(file.header))
    length = int.from_bytes(header[:8], "little")
    entries = json.loads(header[8:])
    assert length == len(header) - 8
    assert len(entries) == len(tensors) + 1
    assert file.size == len(header) + max(
        entry["data_offsets"][1] for name, entry in entries.items() if name != "__metadata__"
    )
    assert file.etag
    assert count.drawn == 0


def test_memory_does_not_grow_with_the_file() -> None:
    """Walking through many chunks holds one of them at a time."""
    file = file_of(one(shape=[2**36]))
    tracemalloc.start()
    try:
        for chunk in file.chunks(2**30, 2**30 + 2**24):
            assert len(chunk) == 1 << 20
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 << 20


def test_threads_share_a_file() -> None:
    """Threads that draw different ranges of one file at once get what one of them would."""
    file = VirtualFile(CheckpointSpec.model_validate(BODY))
    cuts = [(start, start + 70_001) for start in range(0, file.size, 70_001)]
    with ThreadPoolExecutor(4) as pool:
        parts = list(pool.map(lambda cut: file.read(*cut), cuts))
    assert b"".join(parts) == whole_file()


# Refusals


def test_the_plan_s_errors_are_the_file_s() -> None:
    """What has no plan has no file."""
    with pytest.raises(SpecError) as caught:
        file_of(one("he_normal", [3]))
    assert caught.value.path == ("tensors", 0, "shape")


@pytest.mark.parametrize(
    ("limits", "facts"),
    [
        ({"max_metadata_bytes": 9}, ("max_metadata_bytes", 10)),
        ({"max_file_bytes": 39}, ("max_file_bytes", 40)),
        ({"max_header_bytes": 64}, ("max_header_bytes", None)),
        ({"max_tensors": 0}, ("max_tensors", 1)),
    ],
)
def test_limits(limits: dict[str, int], facts: tuple[str, int | None]) -> None:
    """Metadata, data, header and tensors are refused one past their limits, and taken at them."""
    body = one(metadata={"aä": "ööö!"})
    with pytest.raises(LimitError) as caught:
        file_of(body, limits=Limits(**limits))
    limit, actual = facts
    assert caught.value.limit == limit
    if actual is not None:
        assert caught.value.actual == actual
    assert file_of(body, limits=Limits(**{limit: caught.value.actual})).size
