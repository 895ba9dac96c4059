"""The table of docs/caches.md: caches of each format, written by tools/caches/writers.py, imported, exported and compared.

    python tools/adapter_matrix.py [ROWS]

Sizes of test files say nothing of real caches, so none are shown.  Formats whose library is not installed are left out, and named.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from aeformat.adapters.exporting import export_cache  # noqa: E402
from aeformat.adapters.importing import ImportOptions, import_cache  # noqa: E402
from tools.caches.writers import NEEDS, WRITERS, arrays_in, differing_bits  # noqa: E402

ROWS = 120


def line(tool: str, folder: Path, n: int) -> tuple[str, int]:
    """(the line of one cache, differing bits), made in an empty folder."""
    of, write = WRITERS[tool]
    write(folder / "cache", n)
    made = import_cache(of, folder / "cache", folder / "set", ImportOptions())
    export_cache(of, folder / "set", folder / "again")
    bits = differing_bits(arrays_in(folder / "cache"), arrays_in(folder / "again"))
    return f"| {tool} | `{of}` | {made.rows} | {made.encoding} | both ways | {bits} |", bits


def main(n: int) -> int:
    """Print the table; 1 if a bit differs."""
    print("| cache | format | rows | encoding | import and export | differing bits |\n|---|---|---|---|---|---|")
    total = 0
    with tempfile.TemporaryDirectory() as name:
        for tool in WRITERS:
            if tool in NEEDS and importlib.util.find_spec(NEEDS[tool]) is None:
                print(f"{tool} is left out: {NEEDS[tool]} is not installed", file=sys.stderr)
                continue
            text, bits = line(tool, Path(name) / tool, n)
            print(text)
            total += bits
        if importlib.util.find_spec("torch"):
            total += _torch(Path(name) / "torch", n)
        else:
            print(".pt and SimpleTuner are left out: torch is not installed", file=sys.stderr)
    return 1 if total else 0


def _torch(folder: Path, n: int) -> int:
    """In a program of its own; it ends with an error where a bit differs."""
    folder.mkdir()
    command = [sys.executable, "-m", "tools.caches.torch_files", str(folder), str(n)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    for line in map(json.loads, done.stdout.splitlines()):
        if "format" in line:
            tool = {"pt": ".pt", "simpletuner": "SimpleTuner", "diffusion-pipe": "diffusion-pipe"}[line["format"]]
            cells = f"{tool} | `{line['format']}` | {line['rows']} | {line['encoding']} | both ways | {line['differing_bits']}"
            print(f"| {cells} |")
    sys.stderr.write(done.stderr)
    return done.returncode


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else ROWS))
