"""`python -m benchmarks [SECTION …] [--quick] [--write]`: measure, print, write down."""

from __future__ import annotations

import argparse
import re
import signal
import sys
from pathlib import Path

from benchmarks import (
    boxes,
    cold,
    downloads,
    draws,
    large,
    latency,
    machine,
    matrices,
    planning,
    quantised,
    store,
)
from benchmarks.harness import Bench
from seedbed.stream import NUMPY, get_engine

SECTIONS = {
    "draws": draws.run,
    "boxes": boxes.run,
    "matrices": matrices.run,
    "quantised": quantised.run,
    "http": downloads.run,
    "latency": latency.run,
    "plan": planning.run,
    "cold": cold.run,
    "large": large.run,
    "store": store.run,
}
DOCUMENT = Path(__file__).parent.parent / "docs" / "performance.md"


def main() -> None:
    """Run the sections that were named, or all."""
    parser = argparse.ArgumentParser("python -m benchmarks", description=__doc__)
    parser.add_argument("sections", nargs="*", metavar="section", help=", ".join(SECTIONS))
    parser.add_argument("--quick", action="store_true", help="small sizes: does it all work?")
    parser.add_argument("--write", action="store_true", help=f"put the tables into {DOCUMENT.name}")
    parser.add_argument(
        "--patience",
        type=float,
        default=60.0,
        metavar="SECONDS",
        help="how long a section may repeat rounds that other processes disturbed (%(default)s)",
    )
    parser.add_argument(
        "--torchvision-python", type=Path, help="interpreter of an environment with torchvision"
    )
    given = parser.parse_args()
    if unknown := set(given.sections) - SECTIONS.keys():
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(SECTIONS)}")
    if given.write and given.quick:
        parser.error("quick figures are not worth writing down")
    if get_engine().name == NUMPY:
        parser.error("this machine has no compiled kernels; `seedbed compile` says why")
    # So that a run that is ended stops its servers and removes its files.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    about = machine.describe()
    print(about, "\n")
    if given.write:
        _write("machine", about)
    for name in given.sections or SECTIONS:
        when = machine.when()
        print(f"## {name}: {when}\n")
        bench = Bench(given.quick, given.patience, given.torchvision_python)
        tables = []
        for table in SECTIONS[name](bench):
            tables.append(table.markdown())
            print(tables[-1], flush=True)
        measured = f"Measured {when}; meanwhile {bench.disturbed()}.\n"
        print(measured)
        if given.write:
            _write(name, "\n".join([measured, *tables]))


def _write(name: str, text: str) -> None:
    """Replace what stands between the markers of a name."""
    before = DOCUMENT.read_text()
    place = re.compile(rf"(<!-- begin {name} -->\n).*?(<!-- end {name} -->)", re.DOTALL)
    after, found = place.subn(lambda m: f"{m[1]}\n{text.strip()}\n\n{m[2]}", before)
    if found != 1:
        raise ValueError(f"{DOCUMENT} has {found} places for {name}")
    DOCUMENT.write_text(after)


if __name__ == "__main__":
    main()
