"""Latents for TensorFlow: whole batches as a tf.data.Dataset, from a file or a set.

    import aeformat.tf

    for epoch in range(3):
        for batch in aeformat.tf.dataset("cache.aef", 256, shuffle=0, epoch=epoch):
            batch["latents"], batch["label"], batch["name"]

A batch is a dict: "latents" (n, *dims), "row" (n,) int64, the fields of the file by their names, and "name" where rows
have names.  bf16 is tf.bfloat16, and is never widened; texts and bytes are tf.string, empty where a row has none.  The
order is that of aeformat/loading/order.py, however many threads read.

Owns the bridge to tf.data.  TensorFlow is loaded by `dataset`, through backends/runtime.py.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from aeformat.backends.runtime import load_tensorflow
from aeformat.container.row_access import RowAccess
from aeformat.errors import UsageError
from aeformat.loading.batches import LANES, WINDOW, Plan, kept_chunks
from aeformat.loading.order import Order, Share, Uneven
from aeformat.loading.reading import BatchReader, opened

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["dataset"]

_TAKEN = ("latents", "row", "name")  # keys of a batch that are no fields


def dataset(
    latents: RowAccess | str | os.PathLike[str],
    batch_size: int,
    *,
    shuffle: int | None = None,
    epoch: int = 0,
    start: int = 0,
    window: int = WINDOW,
    lanes: int = LANES,
    drop_last: bool = False,
    rank: int = 0,
    world_size: int = 1,
    uneven: Uneven = "pad",
    fields: Iterable[str] | None = None,
    names: bool = True,
    threads: int | None = None,
) -> Any:
    """One epoch as a tf.data.Dataset of batches, each a dict; the options are those of aeformat.batches.

    start: leave out so many batches at the beginning, to go on in the middle of an epoch.
    threads: batches that are read at a time; by default as many as tf.data finds good.

    Raises BackendUnavailable, UsageError, FormatError, OSError; while it is iterated over,
    tf.errors.InvalidArgumentError or UnknownError with the text of a FormatError.
    """
    tf = load_tensorflow()
    order, share = Order(batch_size, shuffle, window, lanes, drop_last), Share(rank, world_size, uneven)
    source = opened(latents).as_bits()
    plan = Plan(source, order, share).of(epoch)
    if isinstance(start, bool) or not isinstance(start, int) or not 0 <= start <= len(plan):
        raise UsageError(f"start is {start!r}, and must be a whole number of 0 to {len(plan)}")
    reader = BatchReader(
        source, fields=fields, names=names and _has_names(source), n_chunks=kept_chunks(order, world_size)
    )
    spec = _spec(tf, reader)

    def read(number: NDArray[Any]) -> list[Any]:
        batch = reader.read(plan[int(number)])
        given = {"latents": batch.values, "row": batch.rows, **batch.fields, "name": batch.names}
        return [_bytes(given[key]) if isinstance(given[key], list) else given[key] for key in spec]

    def made(number: Any) -> dict[str, Any]:
        read_types = [tf.uint16 if of.dtype == tf.bfloat16 else of.dtype for of in spec.values()]
        tensors = tf.numpy_function(read, [number], read_types, stateful=False)
        return {key: _as_spec(tf, tensor, of) for tensor, (key, of) in zip(tensors, spec.items(), strict=True)}

    n_threads = tf.data.AUTOTUNE if threads is None else threads
    numbers = tf.data.Dataset.range(start, len(plan))
    return numbers.map(made, num_parallel_calls=n_threads, deterministic=True).prefetch(tf.data.AUTOTUNE)


def _has_names(source: RowAccess) -> bool:
    first = source.names(0)
    return first is not None and first.names is not None


def _spec(tf: Any, reader: BatchReader) -> dict[str, Any]:
    """Key -> tf.TensorSpec of a batch, in the order of the keys."""
    header, spec = reader.latents.header, tf.TensorSpec
    dims = [None, *(size or None for size in header.dims)]
    own = tf.bfloat16 if header.values == "bf16" else tf.as_dtype(reader.latents.dtype)
    made = {"latents": spec(dims, own), "row": spec([None], tf.int64)}
    for name in reader.fields:
        if name in _TAKEN:
            raise UsageError(f"a batch has {name!r} of its own; leave the field of that name out: fields=...")
        of = reader.latents.fields[name].type
        made[name] = spec([None, *of.sizes], tf.string if of.is_variable else tf.as_dtype(of.name))
    return {**made, "name": spec([None], tf.string)} if reader.has_names else made


def _bytes(values: list[str | bytes | None]) -> NDArray[Any]:
    import numpy as np

    given = [value.encode() if isinstance(value, str) else value or b"" for value in values]
    array = np.empty(len(given), object)
    array[:] = given
    return array


def _as_spec(tf: Any, tensor: Any, of: Any) -> Any:
    if of.dtype == tf.bfloat16:
        tensor = tf.bitcast(tensor, tf.bfloat16)
    tensor.set_shape(of.shape)
    return tensor
