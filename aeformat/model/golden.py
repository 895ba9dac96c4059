"""The golden set: rows that show whether a network computes here what it computed where it was made (M6-1, M6-2).

Owns M6-2 and the tolerance of section 5.  Does not know how a network is run.
"""

from __future__ import annotations

from typing import Final, Protocol

import numpy as np

from aeformat.errors import GoldenMismatch
from aeformat.model.free_sizes import Size
from aeformat.model.manifest import DECODER
from aeformat.model.package import Array, ModelPackage
from aeformat.model.values import EXACT

MAX_LEVELS: Final = 1  # M5-1
ROWS_PER_FLIP: Final = 1_000  # M5-1
FLOAT_TOLERANCE: Final = 2.0**-14  # M5-2


class Runnable(Protocol):
    """A network that can be run; each backend has its own."""

    def run(self, rows: Array, image: Size | None = None) -> Array:
        """(n, *input.shape) -> (n, *output.shape); image: what a decoder with free sizes is to make of each row."""
        ...


def check_golden(package: ModelPackage, network: Runnable) -> None:
    """Run the golden input and compare (M6-2).  Raises GoldenMismatch."""
    for rows, expected in package.golden:
        if package.has_free_sizes and package.role == DECODER:
            found = network.run(rows, (expected.shape[1], expected.shape[2]))
        else:
            found = network.run(rows)
        compare_golden(package, found, expected)


def compare_golden(package: ModelPackage, found: Array, expected: Array) -> None:
    """Compare what a network made of golden rows with the golden output (M6-2).  Raises GoldenMismatch."""
    if found.shape != expected.shape or found.dtype != expected.dtype:
        what = f"{found.dtype} {list(found.shape)} instead of {expected.dtype} {list(expected.shape)}"
        raise _mismatch(package, what)
    if package.profile == EXACT:
        n_wrong = int((found != expected).sum())
        if n_wrong:
            raise _mismatch(package, f"{n_wrong} of {expected.size} numbers differ, and the profile is exact")
    elif expected.dtype.kind == "f":
        _check_floats(package, found, expected)
    else:
        _check_integers(package, found, expected)


def _check_integers(package: ModelPackage, found: Array, expected: Array) -> None:
    """M5-1."""
    off = np.abs(found.astype(np.int16) - expected.astype(np.int16))
    n_off, allowed = int((off > 0).sum()), 1 + expected.size // ROWS_PER_FLIP
    if off.max() > MAX_LEVELS:
        raise _mismatch(package, f"a number is off by {off.max()} levels, allowed is {MAX_LEVELS}")
    if n_off > allowed:
        raise _mismatch(package, f"{n_off} of {expected.size} numbers are off by a level, allowed are {allowed}")


def _check_floats(package: ModelPackage, found: Array, expected: Array) -> None:
    """M5-2.  A NaN is never within the tolerance."""
    wide = expected.astype(np.float64)
    off = np.abs(found.astype(np.float64) - wide) / np.maximum(1, np.abs(wide))
    if not (off <= FLOAT_TOLERANCE).all():
        raise _mismatch(package, f"a number is off by {off.max():.3g} of its size, allowed is {FLOAT_TOLERANCE:.3g}")


def _mismatch(package: ModelPackage, what: str) -> GoldenMismatch:
    where = f"{package.role} {package.model_id.hex()[:12]}"
    return GoldenMismatch(f"{where} does not reproduce its golden set on this machine (rule M6-2): {what}")
