"""Which rows the same digests of receipts are for (spec/container.md, section 7).

Owns the step from rows that are wanted to those that must be decoded to check them.  NumPy is imported on first use.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from aeformat.container import payloads
from aeformat.container.fronts import Fronts
from aeformat.container.header import LatentsHeader
from aeformat.container.limits import RECEIPT_ROWS
from aeformat.container.receipts import rows_of_runs

if TYPE_CHECKING:
    from numpy.typing import NDArray


def with_same_receipts(
    rows: NDArray[Any], bounds: Sequence[int], header: LatentsHeader, fronts: Fronts
) -> NDArray[Any]:
    """Ascending numbers of rows, and beside them all that the same digests are for.

    bounds: first row of each chunk of rows, and behind them the number of all rows.  Raises FormatError.
    """
    import numpy as np

    if header.form.has_free_image:
        return _by_sizes(rows, bounds, fronts)
    starts, ends = np.asarray(bounds[:-1], np.int64), np.asarray(bounds[1:], np.int64)
    chunk_start = starts[np.searchsorted(starts, rows, "right") - 1]
    runs = np.unique(rows - (rows - chunk_start) % RECEIPT_ROWS)  # first row of each
    chunk_end = ends[np.searchsorted(starts, runs, "right") - 1]
    numbers = runs[:, np.newaxis] + np.arange(RECEIPT_ROWS)
    needed: NDArray[Any] = numbers[numbers < chunk_end[:, np.newaxis]]
    return needed


def _by_sizes(rows: NDArray[Any], bounds: Sequence[int], fronts: Fronts) -> NDArray[Any]:
    """The same where runs depend on the sizes of the images: chunk by chunk."""
    import numpy as np

    found = []
    for position, (start, stop) in enumerate(pairwise(bounds)):
        here = rows[np.searchsorted(rows, start) : np.searchsorted(rows, stop)]
        if len(here):
            found.append(start + rows_of_runs(here - start, payloads.run_ends(fronts.of(position).sizes)))
    return np.concatenate(found) if found else rows
