"""What moving a cache costs: seconds of a processor to import and to export it, and bytes before and after, for each format.

    python tools/move_costs.py [--rows N] [--out FILE] [--only CACHE ...]

The caches are written by tools/caches/ as the tools' public code does, with latents of 4 x 64 x 96, 4 x 128 x 64 and 4 x 64 x 64 drawn from a normal
distribution, which is about the worst that compression can meet.  Seconds are those that the process has computed, and the
system for it, so a busy machine changes them little; files are in the system's cache, and a disk may take longer.
Prints a table; FILE is JSON, and the pages of docs/tools/ quote it.  Formats whose library is not installed are left out, and named.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from aeformat.adapters.exporting import export_cache  # noqa: E402
from aeformat.adapters.importing import ImportOptions, import_cache  # noqa: E402
from tools.caches import writers  # noqa: E402

SHAPES: Final = ((4, 64, 96), (4, 128, 64), (4, 64, 64))


def cost(of: str, write: Callable[[Path, int], None], folder: Path, n: int) -> dict[str, Any]:
    """Of one cache, made in an empty folder."""
    write(folder / "cache", n)
    began = time.process_time()
    made = import_cache(of, folder / "cache", folder / "set", ImportOptions())
    imported = time.process_time()
    export_cache(of, folder / "set", folder / "again")
    exported = time.process_time()
    return {
        "format": of, "rows": made.rows, "files": len(_files(folder / "cache")), "set_files": made.shards + 1,
        "mb": _mb(folder / "cache"), "set_mb": _mb(folder / "set"),
        "import_s": round(imported - began, 1), "export_s": round(exported - imported, 1),
    }  # fmt: skip


def _mb(folder: Path) -> float:
    n_bytes = sum(path.stat().st_size for path in _files(folder))
    return round(n_bytes / 1e6, 1 if n_bytes >= 1_000_000 else 3)


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def sentence(found: dict[str, Any]) -> str:
    """As the pages quote it."""
    return (
        f"{found['rows']:,} rows in {found['files']:,} {'file' if found['files'] == 1 else 'files'}, {found['mb']} MB, became "
        f"{found['set_mb']} MB in {found['set_files']} files; {_seconds(found['import_s'])} to import, {_seconds(found['export_s'])} to export."
    )


def _seconds(value: float) -> str:
    return f"{value} s" if value else "under 0.1 s"


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=400)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--only", nargs="+", metavar="CACHE", help="these alone; others stay in FILE as they are")
    options = parser.parse_args()
    writers.SHAPES = SHAPES
    cases: dict[str, tuple[str, Callable[[Path, int], None]]] = dict(writers.WRITERS)
    if importlib.util.find_spec("torch"):
        from tools.caches import torch_files

        cases |= {tool: (of, write) for tool, (of, write, _) in torch_files.CASES.items()}
    else:
        print("what takes torch is left out: it is not installed", file=sys.stderr)
    found = json.loads(options.out.read_text("utf-8")) if options.out and options.out.exists() else {}
    for tool in options.only or cases:
        of, write = cases[tool]
        if tool in writers.NEEDS and importlib.util.find_spec(writers.NEEDS[tool]) is None:
            print(f"{tool} is left out: {writers.NEEDS[tool]} is not installed", file=sys.stderr)
            continue
        with tempfile.TemporaryDirectory() as folder:
            found[tool] = cost(of, write, Path(folder), options.rows)
        print(f"{tool}: {sentence(found[tool])}", flush=True)
    if options.out:
        options.out.write_text(json.dumps(found, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
