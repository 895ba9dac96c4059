"""Read files under a memory cap.  A process of its own: `python capped.py FOLDER` reads FOLDER/cases.json, prints JSON.

The cap is on address space, counted from what the process takes when everything is loaded and one file has been read.
"""

from __future__ import annotations

import io
import json
import resource
import sys
from collections.abc import Callable
from pathlib import Path

from aeformat.container.limits import Limits
from aeformat.errors import FormatError, UsageError
from aeformat.model.file_io import read_heading, read_package
from aeformat.reader import open_latents, stream_latents
from aeformat.validator import validate


def forward(path: Path, limits: Limits) -> None:
    with path.open("rb") as file:
        for _ in stream_latents(file, limits=limits):
            pass


def seek(path: Path, limits: Limits) -> None:
    with open_latents(path, limits=limits) as latents:
        latents.rows(0, latents.n_rows)


def package(path: Path, limits: Limits) -> None:
    read_package(path, limits=limits)


def heading(path: Path, limits: Limits) -> None:
    read_heading(path)


def validator(path: Path, limits: Limits) -> None:
    report = validate(io.BytesIO(path.read_bytes()), limits=limits)
    json.dumps(report.as_dict())
    for problem in report.problems:
        raise FormatError(problem.rule, problem.at, problem.what)


WAYS: dict[str, Callable[[Path, Limits], None]] = {
    "forward": forward, "seek": seek, "package": package, "heading": heading, "validator": validator,
}  # fmt: skip


def outcome(way: Callable[[Path, Limits], None], path: Path, limits: Limits) -> str:
    """The rule that is broken, or what else came of it."""
    try:
        way(path, limits)
    except FormatError as error:
        return error.rule
    except UsageError:
        return "of the other kind"
    except MemoryError:
        return "too much memory"
    return "good"


def taken() -> int:
    """Bytes of address space that this process has now."""
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def main(folder: Path) -> None:
    cases = json.loads((folder / "cases.json").read_text())
    for path in folder.glob("good-*.aef"):
        for way in WAYS.values():
            outcome(way, path, Limits())
    found: dict[str, dict[str, str]] = {}
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    for case in cases:
        limits = Limits(chunk_bytes=case["chunk_bytes"])
        found[case["name"]] = {}
        for name, way in WAYS.items():
            resource.setrlimit(resource.RLIMIT_AS, (taken() + case["cap"], hard))
            found[case["name"]][name] = outcome(way, folder / case["file"], limits)
            resource.setrlimit(resource.RLIMIT_AS, (hard, hard))
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
