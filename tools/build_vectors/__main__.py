"""Write the vectors that are not there yet, or check all of them.

python -m tools.build_vectors            write what is absent; refuse to change what is there
python -m tools.build_vectors --check    every file is there and byte for byte what is built, and no other is
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from tools.build_vectors import (
    bad_chunks,
    bad_frames,
    bad_header,
    bad_msgpack,
    bad_names,
    bad_network,
    bad_package,
    bad_passes,
    bad_preamble,
    bad_rows,
    bad_trailer,
    container_valid,
    damage,
    fields,
    free_sizes,
    joined,
    model_valid,
    network_ids,
    passes,
    rans,
    receipts,
    settled,
    sized,
    typed,
    unknown_decoder,
)
from tools.build_vectors.case import Case

ROOT = Path(__file__).resolve().parents[2] / "spec" / "vectors"
_MODULES = (
    container_valid, bad_preamble, bad_msgpack, bad_header, bad_chunks, bad_rows, bad_frames, bad_names, bad_trailer, damage,
    model_valid, bad_package, bad_network, receipts, joined, rans,
    settled, sized, unknown_decoder, free_sizes, passes, bad_passes, typed, network_ids, fields,
)  # fmt: skip


def all_cases() -> Iterator[Case]:
    """Every vector.  A folder never has two with one number."""
    seen: dict[tuple[str, int], str] = {}
    for module in _MODULES:
        for case in module.cases():
            other = seen.setdefault((case.folder, case.number), case.name)
            if other != case.name:
                raise SystemExit(f"{case.folder}/{case.number:03d} is both {other} and {case.name}")
            yield case


def main(arguments: list[str] | None = None) -> int:
    """0 if all is well."""
    parser = argparse.ArgumentParser(prog="python -m tools.build_vectors", description="Build spec/vectors/.")
    parser.add_argument("--check", action="store_true", help="write nothing; say what is missing, changed or unknown")
    parser.add_argument("--root", type=Path, default=ROOT, help="folder of the vectors")
    options = parser.parse_args(arguments)
    built = {path: data for case in all_cases() for path, data in case.files.items()}
    problems = [] if not options.check else unknown(options.root, set(built))
    n_written = 0
    for name, data in built.items():
        path = options.root / name
        if path.exists():
            if path.read_bytes() != data:
                problems.append(f"{name}: differs from what is built; a changed vector needs a new number")
        elif options.check:
            problems.append(f"{name}: missing")
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            n_written += 1
    for problem in problems:
        print(problem, file=sys.stderr)
    print(f"{len(built) // 2} vectors, {n_written} files written, {len(problems)} problems")
    return 1 if problems else 0


def unknown(root: Path, built: set[str]) -> list[str]:
    """Files in the folders of the builder that it does not build."""
    folders = {name.rsplit("/", 1)[0] for name in built}
    found = (path.relative_to(root).as_posix() for folder in folders for path in (root / folder).glob("*"))
    return [f"{name}: nothing builds this" for name in sorted(found) if name not in built]


if __name__ == "__main__":
    sys.exit(main())
