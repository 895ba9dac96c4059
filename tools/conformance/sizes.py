"""How large the readers are."""

from __future__ import annotations

import gzip
import subprocess
import sys
import tempfile
from pathlib import Path

from tools.conformance.vectors import ROOT


def sizes() -> dict[str, dict[str, int]]:
    """Bytes of each, and by gzip; what was not built is left out."""
    files = {
        "the page of `aeformat view`, one file, reader and decoder included": ROOT / "aeformat/data/view.html",
        "the C header": ROOT / "tools/c/aef.h",
    }
    found = {name: path.read_bytes() for name, path in files.items() if path.is_file()}
    found["the JavaScript package, without its dependency"] = _javascript()
    with tempfile.TemporaryDirectory() as folder:
        bundle = Path(folder) / "aeformat_reader.py"
        subprocess.run([sys.executable, ROOT / "tools/bundle_reader.py", bundle], check=True, stdout=subprocess.DEVNULL)
        found["the reader in Python as one file"] = bundle.read_bytes()
    return {name: {"bytes": len(data), "gzip": len(gzip.compress(data, mtime=0))} for name, data in found.items()}


def _javascript() -> bytes:
    """The modules that a page loads."""
    package = ROOT / "tools/js"
    return b"".join(
        path.read_bytes() for path in sorted([package / "index.js", package / "worker.js", *package.glob("src/*.js")])
    )
