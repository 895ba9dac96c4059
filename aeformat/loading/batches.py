"""The batches of a file or a set, epoch after epoch, in the order of order.py.

Owns the plan of an epoch, the plain iterator and where it stands.  Knows neither PyTorch nor TensorFlow.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from aeformat.container.row_access import RowAccess
from aeformat.errors import UsageError
from aeformat.loading.order import Order, Share, Uneven, epoch_batches
from aeformat.loading.progress import Progress
from aeformat.loading.reading import Batch, BatchReader, opened

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

WINDOW: Final = 64
LANES: Final = 8
_MORE_CHUNKS: Final = (
    2  # windows that are kept beside those that are in use: of a lane that passes from one to the next
)


class Plan:
    """Which rows each batch of a rank has, in each epoch.  Takes 8 bytes of memory for each row."""

    def __init__(self, latents: RowAccess, order: Order, share: Share) -> None:
        self.latents, self.order, self.share = latents, order.checked(), share.checked()
        self._last: tuple[int, list[NDArray[np.int64]]] | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return Plan, (self.latents, self.order, self.share)

    def of(self, epoch: int) -> list[NDArray[np.int64]]:
        """The rows of each batch of this rank, in order.  Raises FormatError, UsageError (an epoch below 0)."""
        if isinstance(epoch, bool) or not isinstance(epoch, int) or epoch < 0:
            raise UsageError(f"epoch is {epoch!r}, and must be a whole number of 0 or more")
        if self._last is None or self._last[0] != epoch:
            found = epoch_batches(_chunk_rows(self.latents), _shapes(self.latents), self.order, epoch)
            self._last = epoch, [found[number] for number in self.share.of(len(found))]
        return self._last[1]

    @property
    def id(self) -> str:
        """Names what the batches depend on; others have another."""
        header, starts = self.latents.header, self.latents.chunk_starts()
        parts = (self.latents.n_rows, starts, header.values, header.dims, tuple(self.order), tuple(self.share))
        return hashlib.sha256(repr(parts).encode()).hexdigest()


def _chunk_rows(latents: RowAccess) -> NDArray[np.int64]:
    import numpy as np

    ends = np.array([*latents.chunk_starts(), latents.n_rows], np.int64)
    return ends[1:] - ends[:-1]


def _shapes(latents: RowAccess) -> NDArray[np.int64] | None:
    """A number for the shape of each row."""
    import numpy as np

    if not latents.header.has_free_sizes:
        return None
    numbers: dict[tuple[int, ...], int] = {}
    runs = list(latents.sizes().runs())
    n_free = latents.header.form.n_free_dims
    own = [numbers.setdefault(run.sizes[:n_free], len(numbers)) for run in runs]
    return np.repeat(np.array(own, np.int64), [run.n_rows for run in runs])


def kept_chunks(order: Order, n_processes: int = 1) -> int:
    """How many chunks a process keeps, of so many that share the lanes."""
    lanes = 1 if order.seed is None else max(1, order.lanes // n_processes)
    return order.window * (lanes + _MORE_CHUNKS)


class Batches:
    """The batches of a rank: an iteration is an epoch, or what is left of it.

    See `batches`, which makes one.
    """

    def __init__(self, plan: Plan, reader: BatchReader, epoch: int = 0) -> None:
        self._plan, self._reader = plan, reader
        self._progress = Progress(epoch)

    @property
    def epoch(self) -> int:
        """The epoch of the next iteration, or of the one that goes on."""
        return self._progress.epoch

    def set_epoch(self, epoch: int) -> None:
        """The next iteration is that epoch, from its beginning.  Raises UsageError (a number below 0)."""
        self._plan.of(epoch)
        self._progress = Progress(epoch)

    def __len__(self) -> int:
        """Batches of a whole epoch of this rank."""
        return len(self._plan.of(self.epoch))

    def __iter__(self) -> Iterator[Batch]:
        """Goes on where the last iteration, or a loaded state, has stopped; behind its end the next epoch begins.

        Raises FormatError.
        """
        plan, progress = self._plan.of(self.epoch), self._progress
        while progress.next < len(plan):
            batch = self._reader.read(plan[progress.next])
            progress.given += 1  # what is handed out counts as used
            yield batch
        if progress is self._progress:
            self._progress = Progress(progress.epoch + 1)

    def state_dict(self) -> dict[str, Any]:
        """Where it stands: numbers and a text, for JSON or a checkpoint."""
        return self._progress.state(self._plan.id)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there.  Raises UsageError (the state of a loader with other batches)."""
        self._progress = Progress.from_state(state, self._plan.id)


def batches(
    latents: RowAccess | str | os.PathLike[str],
    batch_size: int,
    *,
    shuffle: int | None = None,
    epoch: int = 0,
    window: int = WINDOW,
    lanes: int = LANES,
    drop_last: bool = False,
    rank: int = 0,
    world_size: int = 1,
    uneven: Uneven = "pad",
    fields: Iterable[str] | None = None,
    names: bool = True,
) -> Batches:
    """All rows, each once an epoch, as batches (see Batch); each `for` loop over what is returned is the next epoch.

    latents: an open file or set, or its path.  Where rows have shapes of their own, each batch has rows of one shape.
    shuffle: a seed, 0 to 2^64 - 1; None for the order of the file.  The order is spelled out in
    aeformat/loading/order.py, and is the same for aeformat.torch and aeformat.tf: chunks in a drawn order, and rows
    drawn among `window` chunks of a lane; one batch from each of the lanes in turn.  Up to window x lanes chunks (of
    about 128 KiB as they are written) are kept in memory. drop_last: leave out batches that are not full.
    rank, world_size: take every world_size-th batch, from number `rank` on.  uneven: where ranks do not get equally
    many, "pad" (those that lack one repeat batches from the beginning), "drop" (leave out the last round) or "keep"
    (each row exactly once; some ranks have one less). fields: the names of the fields that come along; None for all.
    names: whether row names do.

    state_dict() and load_state_dict() stop and go on in the middle of an epoch, with exactly the batches that are left.
    Raises UsageError, FormatError, OSError; while it is iterated over, FormatError.
    """
    order = Order(batch_size, shuffle, window, lanes, drop_last)
    source = opened(latents)
    plan = Plan(source, order, Share(rank, world_size, uneven))
    reader = BatchReader(source, fields=fields, names=names, n_chunks=kept_chunks(plan.order, world_size))
    made = Batches(plan, reader)
    made.set_epoch(epoch)
    return made
