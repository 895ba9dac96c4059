"""Latents for PyTorch: whole batches as tensors, from a file or a set.  Importing this module imports torch.

    import aeformat.torch
    from torch.utils.data import DataLoader

    data = aeformat.torch.IterableDataset("cache.aef", 256, shuffle=0)
    for epoch in range(3):
        data.set_epoch(epoch)
        for batch in DataLoader(data, batch_size=None, num_workers=2, pin_memory=True):
            batch["latents"], batch["label"], batch["name"]

or, for a Dataset of single rows that any sampler can be used with:

    data = aeformat.torch.Dataset("cache.aef")
    sampler = aeformat.torch.BatchSampler(data, 256, shuffle=0)
    DataLoader(data, batch_sampler=sampler, collate_fn=aeformat.torch.collate, num_workers=2)

A batch is a dict: "latents" (n, *dims), "row" (n,) int64, the fields of the file by their names, and "name" where rows
have names; numbers are tensors, texts and bytes lists.  bf16 is torch.bfloat16, and is never widened.  The order is
that of aeformat/loading/order.py, whatever the number of workers and ranks.

Owns the bridge to torch.utils.data and torch.distributed.  torch is imported in this module and nowhere else.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from aeformat.container.row_access import RowAccess
from aeformat.container.selection import selected_row
from aeformat.errors import BackendUnavailable, UsageError
from aeformat.loading.batches import LANES, WINDOW, Plan, kept_chunks
from aeformat.loading.order import Order, Share, Uneven
from aeformat.loading.progress import Progress
from aeformat.loading.reading import Batch, BatchReader, opened

try:
    import torch
    import torch.distributed
    import torch.utils.data
except ImportError as error:
    raise BackendUnavailable('PyTorch is not installed: pip install "aeformat[torch]"') from error

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["BatchSampler", "Dataset", "IterableDataset", "collate"]

_SMALL_BYTES: Final = 1 << 14
_TAKEN: Final = ("latents", "row", "name")  # keys of a batch that are no fields


class _Position:
    """Where the batches of a rank stand: what IterableDataset and BatchSampler have in common."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._shared_epoch = torch.zeros(1, dtype=torch.int64).share_memory_()  # with workers that live on
        self._progress = Progress(0)
        self._loaded: Progress | None = None

    @property
    def epoch(self) -> int:
        """The epoch of the next iteration."""
        return int(self._shared_epoch[0])

    def __len__(self) -> int:
        """Batches of this rank in a whole epoch."""
        return len(self._plan.of(self.epoch))

    def set_epoch(self, epoch: int) -> None:
        """The next iteration is that epoch, also in workers that live on.  A state that was loaded for another is
        forgotten.
        """
        self._plan.of(epoch)
        if epoch != self.epoch:
            self._loaded, self._progress = None, Progress(epoch)
        self._shared_epoch[0] = epoch

    def state_dict(self) -> dict[str, Any]:
        """Where the iteration of this process stands; of a worker for the same worker, as StatefulDataLoader asks for
        it.
        """
        return (self._loaded or self._progress).state(self._plan.id)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """The next iteration goes on from there, if it is of the same epoch.  Raises UsageError (other batches)."""
        self._loaded = Progress.from_state(state, self._plan.id)
        self._shared_epoch[0] = self._loaded.epoch

    def _begin(self, worker: int, n_workers: int) -> Progress:
        loaded, self._loaded = self._loaded, None
        if loaded is None or loaded.epoch != self.epoch:
            loaded = Progress(self.epoch)
        self._progress = loaded.in_worker(worker, n_workers)
        return self._progress

    def _rest(self, progress: Progress) -> Iterator[NDArray[np.int64]]:
        plan = self._plan.of(progress.epoch)
        while progress.next < len(plan):
            rows = plan[progress.next]
            progress.given += 1  # what is handed out counts as used
            yield rows


class IterableDataset(_Position, torch.utils.data.IterableDataset):  # type: ignore[misc]
    """Batches of a rank, each a dict, for DataLoader(..., batch_size=None), with any number of workers, forked or
    spawned.

    latents, batch_size, shuffle, window, lanes, drop_last, uneven, fields, names: as of aeformat.batches.  Each row
    comes once an epoch over all ranks and workers.  With lanes a multiple of ranks times workers, each chunk is read
    by one process. rank, world_size: by default those of torch.distributed, where it is initialised when this is made;
    else 0 of 1.

    The epoch decides the order: call set_epoch before each.  To go on in the middle of an epoch, give the state to
    this one (`batches_done(k)` makes it, where a plain DataLoader has handed out k batches), or use StatefulDataLoader
    of torchdata, which does it by itself. Can be pickled.  Raises UsageError, FormatError, OSError; in a worker
    DataLoader passes the text of FormatError on.
    """

    def __init__(
        self,
        latents: RowAccess | str | os.PathLike[str],
        batch_size: int,
        *,
        shuffle: int | None = None,
        window: int = WINDOW,
        lanes: int = LANES,
        drop_last: bool = False,
        uneven: Uneven = "pad",
        fields: Iterable[str] | None = None,
        names: bool = True,
        rank: int | None = None,
        world_size: int | None = None,
    ) -> None:
        order, share = Order(batch_size, shuffle, window, lanes, drop_last), _share(rank, world_size, uneven)
        source = opened(latents).as_bits()
        _Position.__init__(self, Plan(source, order, share))
        self._reader = _reader(source, fields, names=names, n_chunks=kept_chunks(order, share.world_size))

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """In a worker its part of the rank's batches, else all of them."""
        worker = torch.utils.data.get_worker_info()
        progress = self._begin(0, 1) if worker is None else self._begin(worker.id, worker.num_workers)
        return (_read(self._reader, rows) for rows in self._rest(progress))

    def batches_done(self, n_batches: int) -> dict[str, Any]:
        """The state of this epoch after so many batches of this rank."""
        return Progress(self.epoch, start=n_batches).state(self._plan.id)


class Dataset(torch.utils.data.Dataset):  # type: ignore[misc]
    """Rows by number, each a dict, for any sampler; a batch is read as a whole, each chunk once.

    latents, fields, names: as of aeformat.batches.  n_chunks: as many chunks (of about 128 KiB) are kept by each worker.
    Give `collate` as collate_fn: it takes whole batches as they are.  Can be pickled.
    """

    def __init__(
        self,
        latents: RowAccess | str | os.PathLike[str],
        *,
        fields: Iterable[str] | None = None,
        names: bool = True,
        n_chunks: int = WINDOW * LANES,
    ) -> None:
        self.latents = opened(latents).as_bits()
        self._reader = _reader(self.latents, fields, names=names, n_chunks=n_chunks)

    def __len__(self) -> int:
        """Rows."""
        return len(self.latents)

    def __getitem__(self, row: int) -> dict[str, Any]:
        """One row; numbers of a batch without their first axis.  Raises IndexError, FormatError."""
        sample: dict[str, Any] = _Rows(self._whole([selected_row(row, len(self))]))[0]
        return sample

    def __getitems__(self, rows: Sequence[int]) -> Sequence[dict[str, Any]]:
        """Many rows: what DataLoader asks for, and `collate` takes.  Raises IndexError, FormatError."""
        numbers = [selected_row(row, len(self)) for row in rows]
        header = self.latents.header
        if header.has_free_sizes and len({self.latents.sizes(row, row + 1).dims(0) for row in numbers}) > 1:
            return [self[row] for row in numbers]
        return _Rows(self._whole(numbers))

    def _whole(self, rows: list[int]) -> dict[str, Any]:
        import numpy as np

        return _read(self._reader, np.array(rows, np.int64))


class BatchSampler(_Position, torch.utils.data.Sampler):  # type: ignore[misc]
    """The numbers of the rows of each batch, for DataLoader(dataset, batch_sampler=...): the order of IterableDataset.

    dataset: the Dataset that the batches are of.  The rest: as of IterableDataset.  Rows of their own size come by
    shape. The epoch decides the order: call set_epoch before each.
    """

    def __init__(
        self,
        dataset: Dataset,
        batch_size: int,
        *,
        shuffle: int | None = None,
        window: int = WINDOW,
        lanes: int = LANES,
        drop_last: bool = False,
        uneven: Uneven = "pad",
        rank: int | None = None,
        world_size: int | None = None,
    ) -> None:
        order = Order(batch_size, shuffle, window, lanes, drop_last)
        _Position.__init__(self, Plan(dataset.latents, order, _share(rank, world_size, uneven)))

    def __iter__(self) -> Iterator[list[int]]:
        """An epoch, or what is left of it."""
        return (rows.tolist() for rows in self._rest(self._begin(0, 1)))


class _Rows(Sequence[dict[str, Any]]):
    """The rows of a batch, one by one, for collate functions that know nothing of whole batches."""

    def __init__(self, whole: dict[str, Any]) -> None:
        self.whole = whole

    def __len__(self) -> int:
        return len(self.whole["row"])

    def __getitem__(self, place: Any) -> Any:
        return {key: values[place] for key, values in self.whole.items()}


def collate(rows: Sequence[dict[str, Any]]) -> Any:
    """What Dataset gives for a batch -> the batch, a dict, without a copy; anything else as torch's default_collate
    does.
    """
    return rows.whole if isinstance(rows, _Rows) else torch.utils.data.default_collate(rows)


def _reader(source: RowAccess, fields: Iterable[str] | None, *, names: bool, n_chunks: int) -> BatchReader:
    reader = BatchReader(source, fields=fields, names=names, n_chunks=n_chunks)
    for name in reader.fields:
        if name in _TAKEN:
            raise UsageError(f"a batch has {name!r} of its own; leave the field of that name out: fields=...")
    return reader


def _share(rank: int | None, world_size: int | None, uneven: Uneven) -> Share:
    if (rank is None) != (world_size is None):
        raise UsageError("give rank and world_size together")
    if rank is not None and world_size is not None:
        return Share(rank, world_size, uneven).checked()
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return Share(torch.distributed.get_rank(), torch.distributed.get_world_size(), uneven)
    return Share(0, 1, uneven)


def _read(reader: BatchReader, rows: NDArray[np.int64]) -> dict[str, Any]:
    """A batch; in a worker of DataLoader one that costs little to send."""
    if torch.utils.data.get_worker_info() is None:
        batch = reader.read(rows)
        return _tensors(batch, reader, torch.from_numpy(batch.values))
    shared = _Shared()
    batch = reader.read(rows, shared.empty)
    return _Sent(_tensors(batch, reader, shared.tensor))


def _tensors(batch: Batch, reader: BatchReader, latents: Any) -> dict[str, Any]:
    if reader.latents.header.values == "bf16":
        latents = latents.view(torch.bfloat16)
    made = {"latents": latents, "row": torch.from_numpy(batch.rows)}
    for name, values in batch.fields.items():
        made[name] = values if isinstance(values, list) else torch.from_numpy(values)
    return made if batch.names is None else {**made, "name": batch.names}


class _Shared:
    """Makes one array in memory that the training process can have without a copy."""

    tensor: Any = None

    def empty(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
        """As numpy.empty; the same memory as `tensor`."""
        import numpy as np

        storage = torch.UntypedStorage._new_shared(math.prod(shape) * dtype.itemsize)  # as torch's default_collate does
        of = torch.from_numpy(np.empty(0, dtype)).dtype
        self.tensor = torch.empty(0, dtype=of).set_(storage).view(shape)
        made: NDArray[Any] = self.tensor.numpy()
        return made


class _Sent(dict[str, Any]):
    """A batch of a worker; in the training process it is a dict.

    Small tensors go through the pipe: each tensor in shared memory costs a handshake of two processes, which takes longer.
    """

    def __copy__(self) -> _Sent:
        return _Sent(self)

    def __reduce__(self) -> tuple[Any, ...]:
        small = [key for key, value in self.items() if _is_small(value)]
        return _received, ({key: value.numpy() if key in small else value for key, value in self.items()}, small)


def _received(values: dict[str, Any], small: list[str]) -> dict[str, Any]:
    return {key: torch.from_numpy(value) if key in small else value for key, value in values.items()}


def _is_small(value: Any) -> bool:
    if type(value) is not torch.Tensor or not value.is_cpu or value.requires_grad:
        return False
    return value.nbytes <= _SMALL_BYTES and value.dtype is not torch.bfloat16  # which NumPy does not have
