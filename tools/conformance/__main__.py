"""The conformance table: python -m tools.conformance [--record] [--only READER ...]

Runs every vector and decodes the same images with every reader that can run here, each on one core; prints three tables.  With --record
docs/conformance.json and the tables of docs/conformance.md are written, for which every reader must be there.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

from aeformat.atomic import AtomicFile
from tools.card import put_table
from tools.conformance import c_reader, javascript, python_readers
from tools.conformance.one_core import by_package, limits
from tools.conformance.pixels import Decode, by_second, decoded, works
from tools.conformance.programs import Missing, one_core
from tools.conformance.second_reader import second_says
from tools.conformance.sizes import sizes
from tools.conformance.table import all_tables
from tools.conformance.vectors import ROOT, Tally, all_vectors, tally

DOCUMENT: Final = ROOT / "docs" / "conformance.md"
RECORD: Final = DOCUMENT.with_suffix(".json")
LARGE, SMALL = ("digits", "photograph"), ("few digits", "corner")


class Run:
    """One run over some readers."""

    def __init__(self, folder: Path) -> None:
        self._folder, self.vectors, self._works = folder, all_vectors(), works(folder)

    def package(self) -> dict[str, Any]:
        """This package, in NumPy."""
        said = tally(self.vectors, python_readers.package_says, silent=python_readers.SILENT)
        return self._result(said, by_package, LARGE)

    def bundle(self) -> dict[str, Any]:
        """The reader as one file; it decodes nothing."""
        says = python_readers.bundle_says(self._folder / "aeformat_reader.py")
        return self._result(tally(self.vectors, says, silent=python_readers.SILENT_BUNDLE))

    def second(self) -> dict[str, Any]:
        """The second decoder."""
        return self._result(tally(self.vectors, second_says, silent=("values_hex",)), by_second, SMALL)

    def node(self) -> dict[str, Any]:
        """The JavaScript package in Node."""
        return self._result(javascript.node_tally(), javascript.by_node, LARGE)

    def chromium(self) -> dict[str, Any]:
        """The same in Chromium."""
        (self._folder / "chromium").mkdir()
        with one_core():
            page = javascript.Chromium(self._folder / "chromium", self.vectors, [self._works[name] for name in LARGE])
        return self._result(page.tally, page.by, LARGE)

    def c(self) -> dict[str, Any]:
        """The C header on this machine."""
        return self._c(c_reader.CReader(c_reader.native(self._folder)), LARGE, runs=3)

    def big_endian(self) -> dict[str, Any]:
        """The same, emulated."""
        return self._c(c_reader.CReader(c_reader.big_endian(self._folder), has_zstd=False), SMALL)

    def _c(self, reader: c_reader.CReader, names: Iterable[str], runs: int = 1) -> dict[str, Any]:
        reader.look(self.vectors)
        return self._result(tally(self.vectors, reader.says, silent=c_reader.SILENT), reader.decode, names, runs)

    def _result(
        self, said: Tally, decode: Decode | None = None, names: Iterable[str] = (), runs: int = 1
    ) -> dict[str, Any]:
        for vector, wrong in said.failed.items():
            print(f"{vector}: {'; '.join(wrong)}", file=sys.stderr)
        with one_core():
            made = {name: decoded(self._works[name], decode, runs=runs).as_json() for name in names if decode}
        return {"vectors": said.as_json(), "decoded": made}


READERS: Final[dict[str, Callable[[Run], dict[str, Any]]]] = {
    "aeformat (Python, NumPy)": Run.package,
    "reader as one file (Python)": Run.bundle,
    "second decoder (plain Python)": Run.second,
    "JavaScript in Node": Run.node,
    "JavaScript in Chromium": Run.chromium,
    "C, little-endian": Run.c,
    "C, big-endian (emulated s390x)": Run.big_endian,
}


def measure(names: Iterable[str]) -> tuple[dict[str, Any], list[str]]:
    """What readers made of it all; and which of them cannot run here, with what is missing."""
    found: dict[str, Any] = {}
    missing = []
    with tempfile.TemporaryDirectory(prefix="aeformat-conformance-") as folder:
        run = Run(Path(folder))
        for name in names:
            try:
                found[name] = READERS[name](run)
            except Missing as error:
                missing.append(f"{name}: missing: {error}")
        n_vectors = len(run.vectors)
    with one_core():
        machine = {"processor": _processor(), "multiply_adds_a_second": limits()}
    return {"vectors": n_vectors, "readers": found, "sizes": sizes(), "machine": machine}, missing


def _processor() -> str:
    """What the system calls it."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def record(found: dict[str, Any]) -> None:
    """Write docs/conformance.json and the tables of docs/conformance.md."""
    with AtomicFile(RECORD, force=True) as file:
        file.write((json.dumps(found, indent=1) + "\n").encode())
    for name, table in all_tables(found).items():
        put_table(DOCUMENT, name, table)


def main() -> int:
    """Print the tables; 1 where a vector fails, a pixel differs, or with --record a reader is not there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--record", action="store_true", help="write docs/conformance.json and the tables of docs/conformance.md"
    )
    parser.add_argument(
        "--only", action="append", choices=READERS, metavar="READER", help="one of: " + "; ".join(READERS)
    )
    options = parser.parse_args()
    if options.record and options.only:
        parser.error("--record takes every reader")
    found, missing = measure(options.only or READERS)
    print("\n".join(all_tables(found).values()), *missing, sep="\n")
    if options.record and not missing:
        record(found)
    return int(not is_good(found) or (options.record and bool(missing)))


def is_good(found: dict[str, Any]) -> bool:
    """Has every reader passed what it does not leave out, and made the same pixels?"""
    return all(
        not reader["vectors"]["failed"] and not any(work["differing"] for work in reader["decoded"].values())
        for reader in found["readers"].values()
    )


if __name__ == "__main__":
    sys.exit(main())
