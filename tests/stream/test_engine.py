from __future__ import annotations

import hashlib
import os
import resource
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from llvmlite import binding

import seedbed
from seedbed.errors import EngineError
from seedbed.stream import (
    AUTO,
    DTYPES,
    LEVELS,
    NUMPY,
    SEED_MAX,
    Distribution,
    Dtype,
    LogUniform,
    Normal,
    TruncatedNormal,
    Uniform,
    get_engine,
    host_levels,
)
from seedbed.stream import ENGINES as NAMES
from seedbed.stream import build as build_module
from seedbed.stream import engine as engine_module
from seedbed.stream import levels as levels_module
from seedbed.stream.build import build, fingerprint
from seedbed.stream.compiled import find, keep
from seedbed.stream.engine import Engine, compile_and_keep, obtain
from tests.oracles import FLOAT_DTYPES
from tests.stream import reference
from tests.stream.strategies import (
    COMPILED,
    ENGINES,
    FLOATS,
    KINDS_BY_NAME,
    drawn_bytes,
    draws,
    names,
    seeds,
    untimed,
)

every_engine = pytest.mark.parametrize("engine", ENGINES)
every_float = pytest.mark.parametrize("dtype", FLOATS, ids=lambda dtype: dtype.code)

NORMAL = Normal(0.0, 1.0)
ONE_OF_EACH = (NORMAL, Uniform(0.0, 1.0), TruncatedNormal(0.1, 0.05, -0.5, 3.0), LogUniform(0.1, 9))
KIND_NAMES = {kind: name for name, kind in KINDS_BY_NAME.items()}


# What is drawn.


@untimed
@given(
    draws(),
    st.integers(0, 2**62) | st.sampled_from((0, 1, 2, 3, 2**32 - 1, 2**34 - 2, 2**34 + 1)),
    st.integers(0, 5),
    seeds | st.sampled_from((0, SEED_MAX)),
    names,
    st.sampled_from(("values", "mask", "")),
)
def test_draws_equal_exact_arithmetic(
    drawn: tuple[Distribution, Dtype],
    start: int,
    count: int,
    seed: int,
    name: str,
    lane: str,
) -> None:
    """Bytes from anywhere in any stream are those worked out in fractions from docs/stream.md.

    By every engine of this machine.
    """
    distribution, dtype = drawn
    parameters_of, draw = reference.SECTIONS[KIND_NAMES[type(distribution)]]
    arguments = (getattr(distribution, field) for field in distribution.__match_args__)
    parameters = parameters_of(*arguments)
    key = reference.key(seed, name, lane)
    values = [draw(reference.word(key, start + i), parameters) for i in range(count)]
    expected = b"".join(reference.encode(value, dtype.code) for value in values)
    for engine in ENGINES:
        actual = drawn_bytes(engine, distribution, dtype, start, count, seed, name, lane)
        assert positive_zeros(actual, dtype) == positive_zeros(expected, dtype), engine


def positive_zeros(elements: bytes, dtype: Dtype) -> bytes:
    """Elements with 0 for −0, since fractions have one zero."""
    array = np.frombuffer(elements, dtype.storage.replace("f", "u"))
    sign = array.dtype.type(1 << (8 * dtype.size_bytes - 1))
    return np.where(array == sign, 0, array).astype(array.dtype).tobytes()


WHOLE_START, WHOLE_COUNT = 2**34 - 3001, 6000


@cache
def whole_of(dtype: Dtype) -> bytes:
    """By the definition."""
    return drawn_bytes(NUMPY, NORMAL, dtype, WHOLE_START, WHOLE_COUNT)


@every_engine
@every_float
@untimed
@given(cut=st.tuples(*[st.integers(0, WHOLE_COUNT)] * 2).map(sorted))
def test_any_cut_is_a_slice_of_the_whole(engine: str, dtype: Dtype, cut: list[int]) -> None:
    """Elements in any range, even an empty one, are that slice of a longer draw."""
    first, last = cut
    part = drawn_bytes(engine, NORMAL, dtype, WHOLE_START + first, last - first)
    assert part == whole_of(dtype)[first * dtype.size_bytes : last * dtype.size_bytes]


@every_engine
@every_float
def test_seams_within_a_draw(engine: str, dtype: Dtype) -> None:
    """However a draw is worked through, it reads the same across every power of two."""
    for power in range(10, 20):
        start = 4 * power + power % 4  # words of any place within a block
        middle = 2**power
        whole = drawn_bytes(engine, NORMAL, dtype, start, middle + 40)
        seam = drawn_bytes(NUMPY, NORMAL, dtype, start + middle - 40, 80)
        assert whole[-80 * dtype.size_bytes :] == seam, power


@every_engine
def test_buffers_of_any_kind(engine: str) -> None:
    """A buffer may have items of any size; its bytes are what counts."""
    expected = drawn_bytes(engine, NORMAL, DTYPES["F32"], 7, 24)
    for kind in ("<f4", "<f8", "u1", "<u2"):
        out = np.zeros(96, "u1").view(kind)
        get_engine(engine).draw(42, "fc.weight", NORMAL, DTYPES["F32"], 7, memoryview(out))
        assert out.tobytes() == expected
    grid = np.zeros((4, 6), "<f4")
    get_engine(engine).draw(42, "fc.weight", NORMAL, DTYPES["F32"], 7, memoryview(grid))
    assert grid.tobytes() == expected


@every_engine
@every_float
def test_narrow_elements_are_rounded_float32(engine: str, dtype: Dtype) -> None:
    """Every dtype holds the rounding, by NumPy or ml_dtypes, of the same float32 draws."""
    for distribution in ONE_OF_EACH:
        draw = np.frombuffer(drawn_bytes(engine, distribution, DTYPES["F32"], 3, 50_000), "<f4")
        expected = draw.astype(FLOAT_DTYPES[dtype.code]).tobytes()
        assert drawn_bytes(engine, distribution, dtype, 3, 50_000) == expected


@every_engine
def test_lane_defaults_to_values(engine: str) -> None:
    """Values are drawn in the lane `values`; another lane is another stream."""
    out = bytearray(64)
    get_engine(engine).draw(5, "w", NORMAL, DTYPES["F32"], 0, memoryview(out))
    assert out == drawn_bytes(engine, NORMAL, DTYPES["F32"], 0, 16, 5, "w", "values")
    assert out != drawn_bytes(engine, NORMAL, DTYPES["F32"], 0, 16, 5, "w", "mask")


@every_engine
def test_concurrent_draws_do_not_meet(engine: str) -> None:
    """Eight threads that draw different tensors at once give what one gives after another."""
    jobs = [
        (distribution, dtype, start, 30_011, start, f"layer.{start}.weight")
        for start in range(5)
        for distribution in ONE_OF_EACH
        for dtype in FLOATS
    ]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda job: drawn_bytes(engine, *job), jobs))
    assert together == [drawn_bytes(NUMPY, *job) for job in jobs]


@every_engine
def test_one_tensor_by_many_threads(engine: str) -> None:
    """A tensor drawn in pieces by several threads at once is the tensor drawn by one."""
    dtype, count = DTYPES["BF16"], 500_009
    edges = [*range(0, count, 7919), count]
    out = memoryview(bytearray(2 * count))

    def draw(first: int, last: int) -> None:
        part = out[2 * first : 2 * last]
        get_engine(engine).draw(42, "fc.weight", NORMAL, dtype, first, part)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(draw, edges[:-1], edges[1:]))
    assert out == drawn_bytes(NUMPY, NORMAL, dtype, 0, count)


# Which engine draws.


def test_engines_have_names() -> None:
    """Engines are known by their levels' names, `numpy` and `auto`, and say which they are."""
    assert NAMES == ("auto", "vaes512", "vaes256", "avx2", "sse4", "portable", "numpy")
    assert [get_engine(name).name for name in ENGINES] == list(ENGINES)


def test_auto_is_the_fastest_of_this_machine() -> None:
    """`auto` takes the first level that the machine has, and is the default."""
    assert get_engine().name == get_engine(AUTO).name == COMPILED[0]


def test_unknown_engines_are_refused() -> None:
    """A name that no engine has is refused, with those that there are."""
    with pytest.raises(EngineError, match=r"no engine 'cuda'.*auto.*portable.*numpy"):
        get_engine("cuda")


def fresh(name: str) -> Engine:
    """An engine that is not remembered from before."""
    remembered = (engine_module._fastest, engine_module._compiled, engine_module._numpy)
    for function in remembered:
        function.cache_clear()
    try:
        return get_engine(name)
    finally:
        for function in remembered:
            function.cache_clear()


def test_levels_that_the_machine_lacks_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A level by name needs its instructions; `auto` takes the definition where there is none."""
    monkeypatch.setattr(engine_module, "host_levels", tuple)
    with pytest.raises(EngineError, match="lacks what the engine 'avx2' needs"):
        fresh("avx2")
    assert fresh(AUTO).name == NUMPY


@pytest.mark.parametrize(
    ("machine", "lacking", "expected"),
    [
        ("x86_64", set(), ["vaes512", "vaes256", "avx2", "sse4", "portable"]),
        ("AMD64", {"avx512bw"}, ["vaes256", "avx2", "sse4", "portable"]),
        ("x86_64", {"vaes"}, ["avx2", "sse4", "portable"]),
        ("x86_64", {"avx2", "vaes", "avx512f"}, ["sse4", "portable"]),
        ("x86_64", {"aes"}, ["portable"]),
        ("aarch64", set(), ["portable"]),
    ],
)
def test_levels_follow_from_features(
    machine: str, lacking: set[str], expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine has the levels all of whose instructions it has, fastest first."""
    everything = {name for level in LEVELS for name in level.needs}
    features = {name: name not in lacking for name in everything}
    monkeypatch.setattr(binding, "get_host_cpu_features", lambda: features)
    monkeypatch.setattr(levels_module.platform, "machine", lambda: machine)
    assert [level.name for level in host_levels.__wrapped__()] == expected


# Where kernels come from.


def test_kernels_are_compiled_once_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kernel is compiled if it was not kept, in the first directory that can be written."""
    level = host_levels()[0]
    blocked, free = tmp_path / "file" / "under", tmp_path / "made" / "when" / "needed"
    blocked.parent.write_bytes(b"not a directory")
    made = obtain(level, (blocked, free))
    (kept,) = free.iterdir()
    assert kept.stat().st_mode & 0o777 == 0o644

    monkeypatch.setattr(engine_module, "build", None)  # there is nothing more to compile
    assert obtain(level, (blocked, free)) == made
    monkeypatch.setattr(engine_module, "obtain", lambda _level: made)
    out = bytearray(4000)
    fresh(level.name).draw(42, "fc.weight", NORMAL, DTYPES["F32"], 5, memoryview(out))
    assert out == drawn_bytes(NUMPY, NORMAL, DTYPES["F32"], 5, 1000)


def test_kernels_are_kept_by_level_and_sources(tmp_path: Path) -> None:
    """A kernel is found again by its level and what it was made from, first directory first."""
    first, second = tmp_path / "first", tmp_path / "second"
    one, other = LEVELS[:2]
    assert find(one, "0123", (first, second)) is None
    assert keep(one, "0123", b"in the second", (second,)).parent == second
    assert find(one, "0123", (first, second)) == b"in the second"
    assert keep(one, "0123", b"in the first", (first, second)).parent == first
    assert find(one, "0123", (first, second)) == b"in the first"
    assert find(one, "4567", (first, second)) is None
    assert find(other, "0123", (first, second)) is None
    assert [len(list(directory.iterdir())) for directory in (first, second)] == [1, 1]


@pytest.mark.parametrize("damage", [b"", b"\0", b"{", bytes(100)], ids=repr)
def test_damaged_kernels_are_not_loaded(damage: bytes, tmp_path: Path) -> None:
    """What was cut short or changed since it was kept is compiled again: it could end us."""
    level = host_levels()[0]
    path = keep(level, "0123", b"a kernel", (tmp_path,))
    whole = path.read_bytes()
    for wrong in (damage, whole[:-1], whole + damage + b"x", whole[:40] + b"K" + whole[41:]):
        path.write_bytes(wrong)
        assert find(level, "0123", (tmp_path,)) is None
    path.write_bytes(whole)
    assert find(level, "0123", (tmp_path,)) == b"a kernel"


@pytest.mark.parametrize("name", [NUMPY, COMPILED[0]])
def test_indices_past_63_bits_are_refused(name: str) -> None:
    """An element that no file can have is refused by every engine alike."""
    with pytest.raises(EngineError, match="63 bits"):
        get_engine(name).draw(0, "w", NORMAL, DTYPES["F32"], 2**63 - 3, memoryview(bytearray(16)))


def test_kernels_need_no_place_to_be_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing can be written a kernel is used all the same, and not kept."""
    (tmp_path / "file").write_bytes(b"not a directory")
    monkeypatch.setattr(engine_module, "build", lambda _level: b"made")
    assert compile_and_keep(LEVELS[0], (tmp_path / "file",)) == (b"made", None)
    assert obtain(LEVELS[0], ()) == b"made"


# What it may not depend on.

SCRIPT = """
import hashlib, sys
from concurrent.futures import ThreadPoolExecutor
from seedbed.stream import *

name, threads = sys.argv[1], int(sys.argv[2])
engine = get_engine(name)
digest = hashlib.sha256()
for distribution in ({distributions}):
    for dtype in map(DTYPES.get, FloatCode.__args__):
        size, count = dtype.size_bytes, 9001
        out = memoryview(bytearray(size * count))
        step = -(-count // threads)

        def draw(i):
            part = out[i * size : (i + step) * size]
            engine.draw(7, "fc.weight", distribution, dtype, 2**32 - 4001 + i, part)

        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(draw, range(0, count, step)))
        digest.update(out)
print(engine.name, "numba" in sys.modules, digest.hexdigest())
""".replace("{distributions}", ", ".join(map(repr, ONE_OF_EACH)))


def digest_of_script() -> str:
    """What the script must print in the end: the same runs by the definition, here."""
    digest = hashlib.sha256()
    for distribution in ONE_OF_EACH:
        for dtype in FLOATS:
            run = drawn_bytes(NUMPY, distribution, dtype, 2**32 - 4001, 9001, 7)
            digest.update(run)
    return digest.hexdigest()


def run_script(
    engine: str, threads: int = 1, paths: tuple[Path, ...] = (), **environment: str
) -> subprocess.CompletedProcess[str]:
    """The script in an interpreter of its own, with these paths before all others."""
    search = os.pathsep.join(map(str, (*paths, Path(seedbed.__file__).parent.parent)))
    return subprocess.run(
        [sys.executable, "-c", SCRIPT, engine, str(threads)],
        env={**os.environ, "PYTHONPATH": search, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def without(tmp_path: Path, *libraries: str) -> Path:
    """A path on which these libraries are found, but cannot be imported."""
    path = tmp_path / "without"
    for library in libraries:
        (path / library).mkdir(parents=True)
        message = f"No module named {library!r}"
        failing = f"raise ModuleNotFoundError({message!r}, name={library!r})\n"
        (path / library / "__init__.py").write_text(failing)
    return path


@pytest.fixture
def installation(tmp_path: Path) -> Path:
    """A path with a copy of Seedbed that has never compiled anything."""
    path = tmp_path / "installation"
    original = Path(seedbed.__file__).parent
    ignore = shutil.ignore_patterns("__compiled__", "__pycache__")
    shutil.copytree(original, path / "seedbed", ignore=ignore)
    return path


@pytest.mark.parametrize(("hash_seed", "threads"), [("0", 1), ("1", 2), ("4294967295", 7)])
def test_bytes_do_not_depend_on_hashing_or_threads(hash_seed: str, threads: int) -> None:
    """Another process, another hash seed, another number of threads: the same digest."""
    done = run_script(AUTO, threads, PYTHONHASHSEED=hash_seed)
    assert (done.stderr, done.stdout.split()) == (
        "",
        [COMPILED[0], "False", digest_of_script()],
    )


@pytest.mark.parametrize("library", ["numba", "llvmlite"])
def test_without_a_compiler_the_definition_draws(
    library: str, tmp_path: Path, installation: Path
) -> None:
    """Where Numba or LLVM cannot be imported and nothing was kept, NumPy draws the same bytes."""
    paths = without(tmp_path, library), installation
    done = run_script(AUTO, 2, paths, XDG_CACHE_HOME=str(tmp_path / "cache"))
    assert (done.stderr, done.stdout.split()) == ("", [NUMPY, "False", digest_of_script()])


def test_without_a_compiler_other_engines_are_refused(tmp_path: Path, installation: Path) -> None:
    """An engine asked for by name is not replaced: the error says what is missing."""
    paths = without(tmp_path, "numba"), installation
    done = run_script("portable", 1, paths, XDG_CACHE_HOME=str(tmp_path / "cache"))
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("seedbed.errors.EngineError: kernels could not be compiled: ")
    assert "No module named 'numba'" in last


def test_kept_kernels_need_no_numba(tmp_path: Path, installation: Path) -> None:
    """Where a kernel was kept, Numba is not needed, and compiled code draws."""
    level = host_levels()[0]
    directory = installation / "seedbed" / "stream" / "__compiled__"
    keep(level, fingerprint(), obtain(level), (directory,))
    paths = without(tmp_path, "numba"), installation
    done = run_script(level.name, 2, paths, XDG_CACHE_HOME=str(tmp_path / "cache"))
    assert (done.stderr, done.stdout.split()) == ("", [level.name, "False", digest_of_script()])


def test_a_compiler_needs_room_and_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """With too little address space nothing is compiled, and a compiler that hangs is ended."""
    level = LEVELS[-1]
    with monkeypatch.context() as patch:
        patch.setattr(resource, "getrlimit", lambda _: (400 << 20, resource.RLIM_INFINITY))
        with pytest.raises(EngineError, match="419,430,400 here"):
            build(level)
    monkeypatch.setattr(build_module, "_PATIENCE_SECONDS", 0.01)
    with pytest.raises(EngineError, match=r"not compiled within 0\.01 seconds"):
        build(level)


def test_a_user_without_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has no home has no cache in it, and can draw all the same."""
    for variable in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr("os.path.expanduser", lambda path: path)  # as for an unknown user id
    assert engine_module._user_caches() == ()
