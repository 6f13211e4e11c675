from __future__ import annotations

import json
import re
from pathlib import Path
from unicodedata import numeric

import numpy as np
import pytest

from scripts import stream_doc
from seedbed.init import SCHEMES
from seedbed.init.schemes import TRUNCATED_STD
from seedbed.stream import DTYPES, STREAM_VERSION, derive_key, elementary
from seedbed.stream.distributions import (
    KAPPA,
    LOG2_RATIO_LIMIT,
    NARROWEST,
    NEAR_EDGE_LIMIT,
    SQRT_HALF_BITS,
    TRUNCATED_REACH,
    A,
    B,
    C,
    E,
    Normal,
)

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "docs" / "stream.md").read_text(encoding="utf-8")
VECTORS = json.loads((ROOT / "tests" / "golden" / "stream-v1.json").read_text(encoding="utf-8"))
FIRST = {
    kind: [entry for entry in VECTORS[kind] if entry["start"] == 0] for kind in ("words", "draws")
}

ASCII = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹−", "-0123456789-")


def section(number: str) -> str:
    """A section or subsection, from its heading to the next."""
    found = re.search(rf"^#+ {re.escape(number)}\.? .*?(?=^#|\Z)", TEXT, re.MULTILINE | re.DOTALL)
    assert found, number
    return " ".join(found[0].split())


def rows(marker: str) -> list[list[str]]:
    """The cells of the table under a marker, without its head, backquotes taken off."""
    table = TEXT.partition(f"<!-- {marker} -->\n\n")[2].partition("\n\n")[0]
    _head, _rule, *lines = table.strip().splitlines()
    return [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in lines]


def test_tables_are_those_that_the_script_renders() -> None:
    """Rendering the document changes nothing."""
    assert stream_doc.render(TEXT) == TEXT


@pytest.mark.parametrize("marker", ["words", "draws"])
def test_the_script_restores_a_table(marker: str) -> None:
    """A table that lost a row, got a wrong byte or is not there at all is written anew."""
    row = "| " + " | ".join(rows(marker)[1])[:10]
    start = TEXT.index(row, TEXT.index(f"<!-- {marker} -->"))
    end = TEXT.index("\n", start) + 1
    assert stream_doc.render(TEXT[:start] + TEXT[end:]) == TEXT
    assert stream_doc.render(TEXT[: end - 4] + "0" + TEXT[end - 3 :]) == TEXT
    table = stream_doc.tables()[marker]
    assert stream_doc.render(TEXT.replace(f"\n{table}\n", "")) == TEXT


def test_words_are_the_golden_ones() -> None:
    """The printed keys and words are the vectors' from the start of each stream, all of them."""
    assert rows("words") == [
        [entry["seed"], entry["name"], entry["lane"], entry["key"], " ".join(entry["words"][:4])]
        for entry in FIRST["words"]
    ]


def test_draws_are_the_golden_ones() -> None:
    """The printed draws are the vectors' from the start of the stream, all of them."""
    assert rows("draws") == [
        [entry["distribution"], entry["dtype"], entry["hex"]] for entry in FIRST["draws"]
    ]


def test_what_the_document_says_of_its_vectors() -> None:
    """The tensor named above the table is the one drawn from; the JSON has the other offsets."""
    said = re.search(
        r"Elements 0 … (\d+) of seed (\d+), tensor `([^`]+)`, lane `([^`]+)`", section("7")
    )
    assert said
    count, seed, name, lane = said.groups()
    assert int(count) == VECTORS["count"] - 1
    key = derive_key(int(seed), name, lane).hex()
    assert [seed, name, lane, key] in [row[:4] for row in rows("words")]
    assert f"of seed {seed}, tensor {name}, lane {lane}" in VECTORS["about"]
    assert "at offsets 5 and 2⁴⁰ + 3" in section("7")
    assert {entry["start"] for entry in VECTORS["draws"]} == {0, 5, 2**40 + 3}


@pytest.mark.parametrize(("label", "coefficients"), [("A", A), ("B", B), ("C", C), ("E", E)])
def test_coefficients(label: str, coefficients: tuple[np.float32, ...]) -> None:
    """Printed coefficients read back, as float32, to those of the code, in its order."""
    (row,) = re.findall(rf"^\| {label} \| (.*) \|$", TEXT, re.MULTILINE)
    printed = [np.float32(number) for number in row.translate(ASCII).split(", ")]
    assert printed == list(coefficients)


def test_kappa() -> None:
    """κ reads back, as float64, to the code's."""
    assert [float(k) for k in re.findall(r"\| κ \| ([\d.]+) \(float64\) \|", TEXT)] == [KAPPA]


def test_the_cut_of_the_mantissa() -> None:
    """The bits of √½ are the code's wherever they are printed, and the nearest float32's."""
    printed = {int(digits, 16) for digits in re.findall(r"0x(3F3[0-9A-F]+)", section("3.3"))}
    assert printed == {int(SQRT_HALF_BITS)} == {int(np.float32(0.5**0.5).view(np.uint32))}


def test_limits() -> None:
    """What the document says is refused is what the code refuses."""
    truncated, log_uniform = section("3.5"), section("3.6")
    limit = f"{NEAR_EDGE_LIMIT:g}"
    assert (
        f"lower > {limit} or upper < −{limit} (the interval must come within {limit}σ" in truncated
    )
    (width,) = re.findall(r"upper − lower < 2([⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)", truncated)
    assert 2.0 ** int(width.translate(ASCII)) == NARROWEST
    assert f"std × min(max(−lower, upper), {TRUNCATED_REACH:g})" in truncated
    (low,) = re.findall(r"low below 2([⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)", log_uniform)
    assert 2.0 ** int(low.translate(ASCII)) == float(np.finfo(np.float32).tiny)
    assert f"log₂ high − log₂ low > {LOG2_RATIO_LIMIT:g}" in log_uniform


def test_the_furthest_draw() -> None:
    """The furthest normal draw is the one printed."""
    (printed,) = re.findall(r"furthest draw, h = 0, lies ([\d.]+) standard", section("3.4"))
    furthest = Normal(0.0, 1.0).draw(np.zeros(1, np.uint32))
    assert f"{float(furthest[0]):.3f}" == printed


def test_the_key_s_message() -> None:
    """The table of section 1 has the tag and the version that are hashed."""
    assert TEXT.startswith(f"# Stream version {STREAM_VERSION}\n")
    assert "| 14 | `seedbed/stream` in ASCII |" in TEXT
    assert f"| 2 | stream version, {STREAM_VERSION}, unsigned little-endian |" in TEXT


def test_dtypes() -> None:
    """The table of section 4 has every floating dtype with its size and what is printed of it."""
    table = re.findall(r"^\| (\w+) \| ([\d¾½]) \| (.*) \|$", TEXT, re.MULTILINE)
    found = {code: (numeric(size), how) for code, size, how in table if code in DTYPES}
    assert set(found) == {code for code, dtype in DTYPES.items() if dtype.is_float}
    for code, (size, how) in found.items():
        dtype = DTYPES[code]
        assert 8 * size == dtype.bits
        for bias in re.findall(r"bias (\d+)", how):
            assert int(bias) == dtype.exponent_bias
        for largest in re.findall(r"largest (\d+(?:\.\d)?)", how):
            assert float(largest) == dtype.highest


def test_order_of_dtypes() -> None:
    """The order of tensors in a file is that of the ranks, and lists every dtype."""
    (listed,) = re.findall(r"descending order of dtype rank \(([^)]*)\)", section("6"))
    by_rank = sorted(DTYPES.values(), key=lambda dtype: -dtype.rank)
    assert listed.split(", ") == [dtype.code for dtype in by_rank]


def test_the_std_of_a_cut_normal() -> None:
    """The divisor of the truncated schemes is the code's."""
    (printed,) = re.findall(r"std / (0\.8\d+)", section("5"))
    assert float(printed) == TRUNCATED_STD


ELEMENTARY = {
    "LN2H, LN2L": (elementary.LN2_HIGH, elementary.LN2_LOW),
    "LN2": (elementary.LN2,),
    "P": elementary.EXP,
    "L": elementary.LOG,
    "H₁ … H₄": elementary.HALF_PI,
    "SIN": elementary.SIN,
    "S₀": (elementary.SIN_CUBE,),
    "COS": elementary.COS,
}


@pytest.mark.parametrize(("label", "constants"), ELEMENTARY.items(), ids=ELEMENTARY)
def test_constants_of_elementary_functions(label: str, constants: tuple[float, ...]) -> None:
    """Printed constants read back, as float64, to those of the code, in its order."""
    (row,) = re.findall(rf"^\| {label} \| (.*) \|$", TEXT, re.MULTILINE)
    assert [float(number.replace("−", "-")) for number in row.split(", ")] == [*constants]


def test_what_section_8_prints_beside_its_table() -> None:
    """The cut of the logarithm and the two factors are the code's."""
    text = section("8")
    assert f"0x{elementary.SQRT_HALF_BITS:016X}" in text
    for factor in (elementary.INVERSE_LN2, elementary.TWO_OVER_PI):
        assert factor in [float(number) for number in re.findall(r"x × ([\d.]+)", text)]


def test_every_scheme_is_specified() -> None:
    """Each scheme's name stands in section 3.7 or 5, in code."""
    words = TEXT[TEXT.index("### 3.7 Constants") : TEXT.index("## 6. The file")]
    for name in SCHEMES:
        family = re.sub("_(normal|uniform)$", "_*", name)
        assert any(f"`{word}" in words for word in (name, family)), name
