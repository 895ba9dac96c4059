"""What fuzzing starts from: the valid vectors, and what past runs found worth keeping (corpus/).

Owns which files a target begins with.  corpus/regressions/ holds one input for each bug that was ever found; every target
runs them all.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tools.fuzz.parts import take_apart

HERE: Final = Path(__file__).resolve().parent
CORPUS: Final = HERE / "corpus"
VECTORS: Final = HERE.parents[1] / "spec" / "vectors"
_MOST_BYTES: Final = 4_096  # larger seeds only make every run slower


def files() -> list[bytes]:
    """Whole containers."""
    vectors = sorted(VECTORS.glob("*/valid/*.aef"))
    return [path.read_bytes() for path in vectors if path.stat().st_size <= _MOST_BYTES]


def kept(target: str) -> list[bytes]:
    """The inputs that are kept for a target, and those of all past bugs."""
    folders = (CORPUS / target, CORPUS / "regressions")
    return [path.read_bytes() for folder in folders for path in sorted(folder.glob("*"))]


def maps() -> list[bytes]:
    """Headers, manifests and row names, each behind a byte of no meaning yet."""
    found = []
    for data in files():
        parts = take_apart(data)
        assert parts is not None
        found += [parts.head, *(part.raw for part in parts.chunks if part.tag in (b"MANF", b"nAMe", b"fLDs"))]
    return [b"\0" + data for data in dict.fromkeys(found)]


def start(target: str, *, takes_maps: bool) -> list[bytes]:
    """All inputs that a target begins with."""
    return [*(maps() if takes_maps else files()), *kept(target)]
