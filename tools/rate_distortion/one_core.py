"""One core, one thread: so that seconds of different codecs can be compared.

Must be imported before NumPy, whose libraries start their threads when they are loaded.
"""

from __future__ import annotations

import os
from typing import Final

_VARIABLES: Final = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "VIPS_CONCURRENCY",
)


def use_one_core() -> None:
    """Keep this process, and every thread that it starts, on one core where the system can; BLAS to one thread anywhere."""
    os.environ.update(dict.fromkeys(_VARIABLES, "1"))
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
