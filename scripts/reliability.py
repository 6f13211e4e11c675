"""Run the tests behind each promise of docs/reliability.md and write down what they measured.

    python scripts/reliability.py            the long forms, some ten minutes
    python scripts/reliability.py --quick    a tenth of that
    python scripts/reliability.py --check    is every test there, and the page about these promises?

Long forms need Debian's nginx.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

ROOT = Path(__file__).parent.parent
DOCUMENT = ROOT / "docs" / "reliability.md"
MARKER = "<!-- Written by scripts/reliability.py, which runs the tests. -->\n"

Notes = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Promise:
    """A row of the page.

    Attributes:
        words: what is promised.
        tests: that would fail if it were not kept, as `file::function`.
        note: under which name they note what they measured; none if that they pass is all.
        figure: of those notes, the fullest last.
    """

    words: str
    tests: tuple[str, ...]
    note: str = ""
    figure: Callable[[Notes], str] = lambda _: ""


def last(template: str) -> Callable[[Notes], str]:
    """A figure that fills in what the last note says."""
    return lambda notes: template.format(**notes[-1])


def statuses(notes: Notes) -> str:
    """How many requests had which status."""
    found = sorted(notes[-1]["statuses"].items(), key=lambda item: int(item[0]))
    counts = ", ".join(f"{n:,} × {code if int(code) else 'no answer'}" for code, n in found)
    return f"{notes[-1]['count']:,} requests: {counts}"


def worst_body(notes: Notes) -> str:
    """How much memory stayed taken at most."""
    worst = max(notes, key=lambda note: float(note["grown_mb"]))
    kinds = len({note["body"] for note in notes})
    return f"{kinds} bodies; at most {worst['grown_mb']:g} MB stayed taken ({worst['body']})"


def sent_by_schemathesis(notes: Notes) -> str:
    """Requests of all phases."""
    return f"{sum(note['count'] for note in notes):,} requests, no failure"


def attacked(notes: Notes) -> str:
    """The dearest of each kind."""
    dearest = max(notes, key=lambda note: float(note["cpu_s"]))
    return (
        f"{len(notes)} attacks: at most {dearest['cpu_s']:g} CPU seconds ({dearest['attack']}), "
        f"{max(note['peak_mb'] for note in notes)} MB in all, "
        f"{max(note['healthz_s'] for note in notes):g} s for /healthz beside them"
    )


SECTIONS: dict[str, list[Promise]] = {
    "Hostile input": [
        Promise(
            "Whatever bytes are changed in a request, the answer is a clear 4xx at worst.",
            ("tests/stress/test_fuzz.py::test_mutated_requests",),
            "mutated_requests",
            lambda notes: f"{statuses(notes)}; memory {notes[-1]['grown_mb']:+g} MB",
        ),
        Promise(
            "A spec with parts replaced by huge numbers, deep nesting, control and astral "
            "characters or anything else is a file or a clear 4xx.",
            ("tests/stress/test_fuzz.py::test_hostile_specs",),
            "hostile_specs",
            statuses,
        ),
        Promise(
            "A damaged or invented link leads to a file, or is 404, 414 or 422.",
            ("tests/stress/test_fuzz.py::test_hostile_tokens",),
            "hostile_tokens",
            statuses,
        ),
        Promise(
            "A link that inflates a thousandfold is refused before it does.",
            ("tests/stress/test_fuzz.py::test_decompression_bombs",),
            "decompression_bombs",
            last("{inflates_mb} MB in 60 KB, 20 times: memory {grown_mb:+g} MB"),
        ),
        Promise(
            "No path, percent-encoding or query brings out more than a clear 4xx.",
            ("tests/stress/test_fuzz.py::test_paths",),
            "paths",
            last("{count:,} paths"),
        ),
        Promise(
            "No Range or condition brings out more than HTTP's own answers.",
            ("tests/stress/test_fuzz.py::test_conditions",),
            "conditions",
            last("{count:,} combinations"),
        ),
        Promise(
            "Bodies that are deep, wide, long or no text are refused, and their memory comes back.",
            (
                "tests/stress/test_fuzz.py::test_hostile_bodies",
                "tests/web/test_limits.py::test_too_much_json",
            ),
            "hostile_bodies",
            worst_body,
        ),
        Promise(
            "A key that is given twice is refused, with its place.",
            (
                "tests/files/test_survey.py::test_keys_given_twice",
                "tests/files/test_survey.py::test_spellings_of_a_key",
            ),
        ),
        Promise(
            "A head or a body that drips in, or never comes, is 408 and holds no connection.",
            (
                "tests/web/test_protocol.py::test_head_that_drips",
                "tests/web/test_protocol.py::test_head_that_does_not_come",
                "tests/web/test_protocol.py::test_connection_that_says_nothing",
                "tests/web/test_protocol.py::test_unread_body_that_drips",
                "tests/web/test_limits.py::test_body_that_drips",
            ),
        ),
        Promise(
            "There is exactly one Host; what is no HTTP is 400, and never written into a body.",
            (
                "tests/web/test_protocol.py::test_hosts",
                "tests/web/test_protocol.py::test_what_is_no_http",
                "tests/web/test_protocol.py::test_no_refusal_within_a_body",
            ),
        ),
        Promise(
            "What was made to cost much costs little, and others are answered beside it.",
            ("tests/stress/test_attacks.py::test_what_an_attack_costs",),
            "attack",
            attacked,
        ),
        Promise(
            "Bodies that never end fill a part of the memory, and no more.",
            ("tests/stress/test_attacks.py::test_bodies_that_never_end",),
            "bodies",
            last("60 of 15 MiB: {peak_mb} MB in all at most"),
        ),
        Promise(
            "The service answers as its OpenAPI document says, by all checks of schemathesis.",
            (
                "tests/stress/test_schemathesis.py::test_all_operations",
                "tests/stress/test_schemathesis.py::test_all_operations_at_length",
            ),
            "schemathesis",
            sent_by_schemathesis,
        ),
    ],
    "Load": [
        Promise(
            "Fast readers get their files beside four times as many slow ones, each of which "
            "holds two chunks of memory.",
            ("tests/stress/test_load.py::test_fast_readers_beside_slow_ones",),
            "fast_beside_slow",
            last(
                "{fast} fast: {alone_mb_s:,} MB/s alone, {beside_mb_s:,} MB/s beside {slow} slow, "
                "{mb_each_slow:g} MB each"
            ),
        ),
        Promise(
            "A reader that stalls loses its place, and sees that its file is not whole; a slow "
            "one loses nothing.",
            (
                "tests/web/test_protocol.py::test_reader_that_stalls",
                "tests/web/test_protocol.py::test_slow_reader_does_not_stall",
                "tests/web/test_protocol.py::test_waiting_is_not_held_against_a_client",
            ),
        ),
        Promise(
            "Clients that leave in mid-stream leave nothing behind.",
            ("tests/stress/test_load.py::test_disconnects_in_mid_stream",),
            "disconnects",
            last("{count:,} disconnects: memory {grown_mb:+g} MB, no thread, no descriptor"),
        ),
        Promise(
            "Past the limits clients are 429 with Retry-After, and those that obey get their file.",
            (
                "tests/stress/test_load.py::test_bursts_past_the_limits",
                "tests/web/test_protocol.py::test_connections_past_the_limit",
            ),
            "bursts",
            last("{clients} clients on 2 slots: {refusals:,} refusals, every file whole"),
        ),
        Promise(
            "Connections that say nothing, or half of it, are in nobody's way.",
            (
                "tests/stress/test_crowds.py::test_silent_connections",
                "tests/stress/test_crowds.py::test_bodies_that_do_not_end",
                "tests/web/test_probes.py::test_no_crowd_fills_it",
            ),
            "silent_connections",
            last(
                "{count:,} connections from one host: {cpu_seconds:g} CPU s, others answered in "
                "{longest_seconds:g} s at most"
            ),
        ),
        Promise(
            "Slow readers of one host leave slots to others.",
            ("tests/stress/test_crowds.py::test_slow_readers_of_one_host",),
            "slow_readers_of_one_host",
            last("{readers} of them: another host's 16 MiB in {download_seconds:g} s"),
        ),
        Promise(
            "A range of a transposed tensor costs what it holds, and starves nobody.",
            ("tests/stress/test_starving.py::test_transposed_downloads_starve_nobody",),
            "transposed_downloads",
            last("4 MB of 10⁶ × 10⁶: {range_seconds:g} CPU s; 61 MB beside two such: {beside:g}"),
        ),
        Promise(
            "Matrices made as a whole stay within their memory, and end with their clients.",
            (
                "tests/stress/test_starving.py::test_matrices_starve_nobody",
                "tests/init/test_matrices.py::test_it_stops_when_the_last_has_left",
            ),
            "matrices_beside",
            last("four of 4096²: {peak_mb} MB at most, {after_seconds:g} CPU s after they left"),
        ),
        Promise(
            "Directories of tiny files cost little, once.",
            ("tests/stress/test_crowds.py::test_directories_of_tiny_files",),
            "tiny_files",
            last("{clients} clients that leave, and two that stay: {cpu_seconds:g} CPU s"),
        ),
        Promise(
            "Who has huge files summed keeps nobody's listing waiting.",
            (
                "tests/stress/test_crowds.py::test_sums_of_huge_files",
                "tests/web/test_digests.py::test_turns",
            ),
            "sums_of_huge_files",
            last("beside {clients} of 65 GB: a listing in {listing_seconds:g} s"),
        ),
        Promise(
            "Memory, threads and descriptors stay as they are.",
            ("tests/stress/test_load.py::test_soak",),
            "soak",
            last(
                "{requests:,} requests: memory {grown_mb:+g} MB (to {rss_mb} MB), "
                "{threads} threads, {descriptors} descriptors"
            ),
        ),
        Promise(
            "The process takes less than 250 MB with 16 downloads of a terabyte in flight.",
            (
                "tests/web/test_memory.py::test_many_downloads_of_a_terabyte",
                "tests/web/test_memory.py::test_the_end_of_a_terabyte",
            ),
            "sixteen_downloads",
            last("{peak_mb} MB at most"),
        ),
    ],
    "Faults": [
        Promise(
            "A download whose replica is killed (SIGKILL) goes on from another one behind nginx, "
            "and has the same SHA-256.",
            ("tests/stress/test_faults.py::test_replicas_behind_nginx",),
            "replicas_behind_nginx",
            last("{kills} kills, {kills} files of {mib} MiB equal"),
        ),
        Promise(
            "So it does from a replica of another engine, and from the same one started again.",
            (
                "tests/web/test_resume.py::test_another_replica_goes_on",
                "tests/web/test_resume.py::test_killed_and_started_again",
            ),
        ),
        Promise(
            "On SIGTERM readiness turns first, downloads go on to their end, and those that take "
            "too long are cut so that it shows.",
            (
                "tests/web/test_server.py::test_readiness_turns_first",
                "tests/web/test_server.py::test_a_running_download_ends_well",
                "tests/web/test_server.py::test_a_download_that_does_not_end_is_cut",
                "tests/web/test_workers.py::test_sigterm_ends_all_workers_well",
            ),
        ),
        Promise(
            "A worker that dies is replaced while the others serve; workers end with their parent.",
            (
                "tests/web/test_workers.py::test_a_worker_that_dies_is_replaced",
                "tests/web/test_workers.py::test_workers_end_with_their_parent",
                "tests/web/test_workers.py::test_a_worker_killed_young_again_and_again",
                "tests/web/test_workers.py::test_a_directory_for_metrics_that_goes",
                "tests/web/test_workers.py::test_workers_that_do_not_start",
            ),
        ),
        Promise(
            "`generate` killed at any system call leaves no wrong file, and is resumed; what it "
            "abandoned goes when the file is there.",
            (
                "tests/test_disk.py::test_a_file_is_killed_at_every_point",
                "tests/test_disk.py::test_another_file_s_leftover_is_another_s",
            ),
        ),
        Promise(
            "A full disk or pipe is a line, no traceback; a cache that cannot be written, nothing.",
            (
                "tests/stress/test_faults.py::test_no_room_for_the_file",
                "tests/stress/test_faults.py::test_no_room_for_standard_output",
                "tests/stress/test_faults.py::test_no_cache",
            ),
        ),
        Promise(
            "A clock that jumps by years changes nothing; a process that was stopped has waited "
            "for nobody.",
            (
                "tests/stress/test_faults.py::test_clock_that_jumps",
                "tests/stress/test_faults.py::test_process_that_was_stopped",
            ),
        ),
        Promise(
            "While somebody holds the registry's lock for writing, reads go on.",
            (
                "tests/registry/test_registry.py::test_reads_go_on_while_writes_wait",
                "tests/registry/test_store.py::test_a_writer_that_does_not_end",
            ),
        ),
        Promise(
            "A registry that goes and comes back is 503 meanwhile, for named specs only.",
            ("tests/registry/test_store.py::test_a_file_that_goes_and_comes_back",),
        ),
    ],
}


def promises() -> Iterator[Promise]:
    """All rows."""
    for section in SECTIONS.values():
        yield from section


def missing() -> list[str]:
    """Tests that are named and do not exist."""
    named = sorted({test for promise in promises() for test in promise.tests})
    functions: dict[str, set[str]] = {}
    for test in named:
        path = test.partition("::")[0]
        if path not in functions and (ROOT / path).is_file():
            tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
            functions[path] = {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)}
    return [
        test
        for test in named
        if test.partition("::")[2] not in functions.get(test.partition("::")[0], ())
    ]


def run(*, quick: bool) -> tuple[dict[str, tuple[int, int]], list[dict[str, Any]]]:
    """Run all tests that are named.

    Returns:
        By test, how many of its cases passed and how many there were; and all notes.
    """
    named = sorted({test for promise in promises() for test in promise.tests})
    with tempfile.TemporaryDirectory() as directory:
        report, figures = Path(directory) / "report.xml", Path(directory) / "figures"
        environment = {**os.environ, "RELIABILITY_FIGURES": str(figures), "QUICK": "1" * quick}
        command = [sys.executable, "-m", "pytest", "-q", f"--junitxml={report}", *named]
        subprocess.run(command, cwd=ROOT, env=environment, check=False)
        cases: dict[str, tuple[int, int]] = {}
        for case in ET.parse(report).iter("testcase"):
            path = case.get("classname", "").replace(".", "/")
            test = f"{path}.py::{case.get('name', '').partition('[')[0]}"
            passed, count = cases.get(test, (0, 0))
            cases[test] = (passed + (len(case) == 0), count + 1)
        lines = figures.read_text(encoding="utf-8").splitlines() if figures.exists() else []
    return cases, [json.loads(line) for line in lines]


def row(promise: Promise, cases: Mapping[str, tuple[int, int]], notes: Notes) -> str:
    """A row of the page's table."""
    passed = sum(cases.get(test, (0, 1))[0] for test in promise.tests)
    count = sum(cases.get(test, (0, 1))[1] for test in promise.tests)
    figure = "1 case passes" if count == 1 else f"{count} cases pass"
    if passed < count:
        figure = f"**{count - passed} of {count} cases fail**"
    found = [n for n in notes if str(n["name"]).removesuffix("_long") == promise.note]
    if found and promise.note:
        figure = f"{promise.figure(found)}; {figure}"
    tests = "<br>".join(f"`{test}`" for test in promise.tests)
    return f"| {promise.words} | {tests} | {figure} |"


def tables(cases: Mapping[str, tuple[int, int]], notes: Notes) -> str:
    """The part of the page that is written by this script."""
    lines = []
    for section, rows in SECTIONS.items():
        lines += [f"## {section}", "", "| promise | test | figure |", "|---|---|---|"]
        lines += [*(row(promise, cases, notes) for promise in rows), ""]
    return "\n".join(lines)


def said(page: str) -> list[str]:
    """Promises and tests of the page's rows, without figures."""
    return re.findall(r"^(\| .* \| `tests/.*`) \| .* \|$", page, re.MULTILINE)


def main() -> None:
    """Write the page, or say what is wrong with it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    if gone := missing():
        sys.exit(f"no such tests: {', '.join(gone)}")
    page = DOCUMENT.read_text(encoding="utf-8")
    if arguments.check:
        if said(page) != said(tables({}, [])):
            sys.exit(f"{DOCUMENT.name} is stale: run scripts/reliability.py")
        return
    cases, notes = run(quick=arguments.quick)
    form = "short" if arguments.quick else "long"
    head = (
        f"Measured with the {form} forms on {os.cpu_count()} cores ({platform.machine()}), Python "
        f"{platform.python_version()}, which other work shared.\n\n"
    )
    prose = page.partition(MARKER)[0]
    DOCUMENT.write_text(f"{prose}{MARKER}\n{head}{tables(cases, notes)}", encoding="utf-8")


if __name__ == "__main__":
    main()
