"""The golden check (M6-2) on the NumPy backend, which every installation has.  The comparison itself is model/golden.py."""

from __future__ import annotations

import numpy as np

from aeformat.backends.numpy_backend import NumpyBackend
from aeformat.model.golden import check_golden
from aeformat.model.package import ModelPackage


def check(package: ModelPackage) -> None:
    """Run a package's golden set.  Raises GoldenMismatch."""
    with np.errstate(all="ignore"):  # a NaN or an infinity that a network makes is a mismatch, and no more to be said
        check_golden(package, NumpyBackend().load(package))


def verified(package: ModelPackage) -> ModelPackage:
    """The package, once its golden set has come out right.  Raises GoldenMismatch."""
    check(package)
    return package
