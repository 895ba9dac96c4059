"""The choice of a backend.

Owns the estimate behind "auto": of the installed backends, the one that finishes first, start-up time included.  TensorFlow
is not imported before it is chosen.
"""

from __future__ import annotations

import sys
from typing import Final

from aeformat.backends.base import Backend
from aeformat.backends.numpy_backend import NumpyBackend
from aeformat.backends.runtime import tensorflow_installed
from aeformat.backends.tensorflow_backend import TensorflowBackend
from aeformat.errors import BackendUnavailable, UsageError
from aeformat.model.package import ModelPackage
from aeformat.model.values import EXACT

NAMES: Final = ("auto", "tensorflow", "numpy")

# Measured on two cores of a server CPU of 2024 with TensorFlow 2.21 and NumPy 2.4, dense and convolutional networks for
# 28 x 28 pixels, correct within a factor of two.  That is enough: the choice matters for minutes of work, not for seconds.
_IMPORT: Final = 3.0  # seconds, of TensorFlow
_COMPILE: Final = 0.5  # seconds, of its graph
_MULTIPLY_ADD: Final = 30e-12  # seconds in NumPy
_NUMBER_MADE: Final = 1.5e-9  # seconds in NumPy, for each number that a layer makes
_TENSORFLOW_SHARE: Final = 0.6  # of NumPy's time that TensorFlow takes


def select_backend(name: str, *, n_rows: int | None, package: ModelPackage) -> Backend:
    """The backend called `name`; for "auto" the one that finishes n_rows first, or NumPy where n_rows is None.

    Raises UsageError for an unknown name, BackendUnavailable for one that is not installed.
    """
    if name == "auto":
        return TensorflowBackend() if _tensorflow_is_faster(n_rows, package) else NumpyBackend()
    if name == "numpy":
        return NumpyBackend()
    if name != "tensorflow":
        raise UsageError(f"unknown backend {name!r}; there are {', '.join(NAMES)}")
    if not tensorflow_installed():
        raise BackendUnavailable('TensorFlow is not installed: pip install "aeformat[tensorflow]"')
    return TensorflowBackend()


def _tensorflow_is_faster(n_rows: int | None, package: ModelPackage) -> bool:
    if n_rows is None or not tensorflow_installed():
        return False
    if package.has_free_sizes:
        return False  # how many pixels there are is not known, and NumPy uses all cores
    if package.profile != EXACT:
        return False  # M5-3: the two differ in the last bits, and a result must not depend on how many rows there are
    start = _COMPILE if "tensorflow" in sys.modules else _IMPORT + _COMPILE
    manifest = package.manifest
    in_numpy = n_rows * (manifest.n_multiply_adds * _MULTIPLY_ADD + manifest.n_made * _NUMBER_MADE)
    return start + in_numpy * _TENSORFLOW_SHARE < in_numpy
