"""Arrays of images <-> arrays of latents, with files where a file is at hand.

Owns what a Python caller needs of the main job without naming an output.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from aeformat.container.ragged import RaggedRows
from aeformat.container.selection import selected_rows
from aeformat.errors import UsageError
from aeformat.pipeline.decoders import FindDecoder, LoadNetwork, loader, own_decoder
from aeformat.pipeline.default_model import model_for_arrays
from aeformat.pipeline.models import Model, as_model
from aeformat.pipeline.unpack import n_computed, rows_array, unpack
from aeformat.reader import Latents, LatentStream, open_latents

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from aeformat.container.selection import Rows
    from aeformat.pipeline.models import AnyModel


def encode(
    images: NDArray[np.uint8] | Sequence[NDArray[np.uint8]],
    model: AnyModel | None = None,
    *,
    resize: bool = False,
    grayscale: bool = False,
    rgb: bool = False,
    backend: str = "auto",
) -> NDArray[Any] | Any:
    """Images -> latents: (n, h, w, c), or (n, h, w) of one channel, uint8 -> (n, *dims) in the encoder's own type.

    With a model of any size a list of arrays (h, w, c), each of its own size, becomes RaggedRows.
    model: a Model, what load_model takes, or the 32 bytes of a model id; by default the one for such images.
    resize, grayscale, rgb: fit images of another size, of three channels or of one, to the model.
    backend: "auto", "numpy" or "tensorflow".

    Raises ImageError (another shape or type), UsageError, FormatError, DecoderMismatch, GoldenMismatch, BackendUnavailable.
    Source: spec/model.md.
    """
    if model is None:
        model = model_for_arrays(images, resize=resize, grayscale=grayscale, rgb=rgb)
    return as_model(model).encode(images, resize=resize, grayscale=grayscale, rgb=rgb, backend=backend)


def decode(
    latents: NDArray[Any] | RaggedRows | Latents | LatentStream | str | os.PathLike[str],
    decoder: AnyModel | None = None,
    *,
    rows: Rows | None = None,
    backend: str = "auto",
) -> NDArray[np.uint8] | Any:
    """Latents -> images (n, h, w, c) uint8, checked against the receipts of the file where it has any.

    Where rows have sizes of their own, in a file or as RaggedRows: a list of images (h, w, c).
    latents: an open file, a path, or an array (n, *dims) or RaggedRows, which take a decoder.
    decoder: a Model, what load_model takes, or the 32 bytes of a model id; by default the one inside the file, else this
    machine's with the model id that the file names.
    rows: a range, a slice, a list of numbers or a mask; no more of the file is read and decoded than they need.
    backend: "auto", "numpy" or "tensorflow".

    Each chunk that is read is checked; the content id of the whole is checked only where a file is read forward: by `unpack`,
    or with latents=aeformat.stream(path).

    Raises DecoderMissing, DecoderMismatch, GoldenMismatch, FormatError, UsageError, BackendUnavailable, IndexError (no such
    row), TypeError (no selection of rows, latents of another type), OSError; for an array ValueError too.
    Source: spec/container.md, spec/model.md.
    """
    if isinstance(latents, (str, os.PathLike)):
        with open_latents(latents) as opened:
            return decode(opened, decoder, rows=rows, backend=backend)
    _check_latents(latents)
    model = None if decoder is None else as_model(decoder)
    if isinstance(latents, LatentStream):
        return _decode_stream(latents, model, rows, backend)
    if isinstance(latents, Latents):
        return _decode_rows(latents, model, slice(None) if rows is None else rows, backend)
    if model is None:
        raise UsageError("an array does not say which decoder its latents are for; give one")
    return model.decode(latents if rows is None else _picked(latents, rows), backend=backend)


def _check_latents(latents: object) -> None:
    if latents is None or isinstance(latents, (bytes, bytearray, memoryview)):
        what = f"latents are an array, a path or an opened file, and this is of type {type(latents).__name__}"
        raise UsageError(what)
    if isinstance(latents, Latents) and latents.has_bf16_bits:
        raise UsageError("these latents come as bits, which no decoder takes; give what as_bits was called on")
    if callable(getattr(latents, "read", None)):
        raise UsageError("this is a file object; aeformat.stream(file) makes latents of it")


def _picked(latents: NDArray[Any] | RaggedRows, rows: Rows) -> NDArray[Any] | RaggedRows:
    """Rows of an array, selected as those of a file are."""
    import numpy as np

    if isinstance(latents, RaggedRows):
        numbers = selected_rows(rows, len(latents))
        return latents[[numbers]] if isinstance(numbers, int) else latents[rows_array(numbers)]
    array = np.asarray(latents)
    chosen = selected_rows(rows, len(array) if array.ndim else 0)
    picked: NDArray[Any] = array[[chosen]] if isinstance(chosen, int) else array[rows_array(chosen)]
    return picked


def finder(model: Model | None) -> FindDecoder:
    """What finds the decoder of a file: the model's, if there is one, else own_decoder.  Raises UsageError."""
    if model is None:
        return own_decoder
    package = model.the_decoder
    return lambda latents: package


def network_loader(model: Model | None, backend: str, n_rows: int | None) -> LoadNetwork:
    """What makes a decoder ready to run: kept in the model, if there is one."""
    if model is None:
        return loader(backend, n_rows)
    kept = model
    return lambda package: kept.network(package, backend, n_rows)


def _decode_stream(stream: LatentStream, model: Model | None, rows: Rows | None, backend: str) -> Any:
    import numpy as np

    if rows is not None:
        raise UsageError("rows of a stream cannot be picked; open the file by its path")
    blocks = unpack(stream, finder(model), network_loader(model, backend, None))
    if stream.header.has_free_sizes:
        return [image for block in blocks for image in block.images]
    nothing = np.empty((0, *stream.header.image), np.uint8)
    return np.concatenate([nothing, *(block.images for block in blocks)])


def _decode_rows(latents: Latents, model: Model | None, rows: Rows, backend: str) -> Any:
    """Each row that is wanted is decoded once, in the order of the file."""
    import numpy as np

    chosen = selected_rows(rows, latents.n_rows)
    if isinstance(chosen, int):
        chosen = range(chosen, chosen + 1)
    if latents.header.has_free_sizes:
        return _decode_sized(latents, model, rows_array(chosen), backend)
    if not len(chosen):
        return np.empty((0, *latents.header.image), np.uint8)
    if isinstance(chosen, range) and chosen.step > 0:
        return _decode_ascending(latents, model, chosen, backend)
    once, place = np.unique(rows_array(chosen), return_inverse=True)
    return _decode_ascending(latents, model, once, backend)[place]


def _decode_sized(
    latents: Latents, model: Model | None, rows: NDArray[np.int64], backend: str
) -> list[NDArray[np.uint8]]:
    """The same of rows of their own size."""
    import numpy as np

    if not len(rows):
        return []
    once, place = np.unique(rows, return_inverse=True)
    load = network_loader(model, backend, n_computed(latents, once))
    images = [image for block in unpack(latents, finder(model), load, once) for image in block.images]
    return [images[number] for number in place]


def _decode_ascending(
    latents: Latents, model: Model | None, rows: range | NDArray[np.int64], backend: str
) -> NDArray[np.uint8]:
    import numpy as np

    load = network_loader(model, backend, n_computed(latents, rows))
    blocks = unpack(latents, finder(model), load, rows)
    first = next(blocks).images
    if len(first) == len(rows):
        return first
    images = np.empty((len(rows), *first.shape[1:]), np.uint8)  # the first ones are here: the file is no empty promise
    images[: len(first)], n_done = first, len(first)
    for block in blocks:
        images[n_done : n_done + len(block.images)] = block.images
        n_done += len(block.images)
    return images
