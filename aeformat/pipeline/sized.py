"""Decoding and proving rows of their own size (spec/container.md, section 7; spec/model.md, M3-12).

Owns what a run of such rows costs, the images that a decoder of any size makes of it, and the digest of their pixels.  A few
megabytes of pixels are in memory at a time, unless one image has more.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from aeformat.backends.base import array_type, checked_rows
from aeformat.container.payloads import Block
from aeformat.container.ragged import RaggedRows
from aeformat.errors import ReceiptMismatch, ValueInvalid
from aeformat.model.free_sizes import Size, check_sizes
from aeformat.model.match import check_receipted
from aeformat.model.work import row_work

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from aeformat.backends.base import Network
    from aeformat.container.receipts import Receipts
    from aeformat.model.manifest import Manifest
    from aeformat.model.package import ModelPackage

_PROOF_BYTES: Final = 1 << 22  # of pixels that are decoded at a time, unless one image has more


def sized_work(run: Block, manifest: Manifest) -> int:
    """The units of C13-1 that the rows of a run take in a decoder of any size."""
    rows: Any = run.values
    form = rows.sizes.form
    latents = ((entry.n_rows, form.dims_of(entry.sizes)) for entry in rows.sizes.runs())
    return sum(n_rows * row_work(manifest.at((dims[0], dims[1]))) for n_rows, dims in latents)


def sized_digest(run: Block, decoder: Network) -> bytes:
    """The digest of the pixels of one run.  Raises as sized_images does."""
    made = sha256()
    for _, images in sized_images(run, decoder):
        made.update(images.data)
    return made.digest()


def sized_images(rows: Block, decoder: Network) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """(the first row, counted from the first here; images (n, h, w, c)) of rows that follow one another and have one size.

    Raises, before anything is decoded, ValueInvalid and LimitExceeded for sizes that M3-12 refuses, ValueInvalid for a latent
    outside the decoder's range (M4-7).
    """
    package = decoder.package
    channels = package.output.shape[2]
    row = 0
    for latents, image in _checked_parts(rows, package):
        step = max(1, _PROOF_BYTES // (image[0] * image[1] * channels))
        for start in range(0, len(latents), step):
            images: NDArray[np.uint8] = decoder.run(latents[start : start + step], image)
            yield row + start, images
            del images
        row += len(latents)


def proved_images(block: Block, decoder: Network) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """The same, held against the receipts of the block if it has any: no image comes before its run is proved.

    Raises ReceiptMismatch (C7-6) too, StructureInvalid (C7-5).
    """
    if block.receipts is None:
        yield from sized_images(block, decoder)
        return
    check_receipted(block.receipts, decoder.package)
    start = 0
    for stop in block.receipts.ends:
        run = block.slice(start, stop)
        made = list(sized_images(run, decoder))
        assert run.receipts is not None
        _check_receipt(run, run.receipts, made)
        while made:
            first, images = made.pop(0)
            yield start + first, images
            del images
        start = stop


def _check_receipt(run: Block, receipts: Receipts, made: list[tuple[int, NDArray[np.uint8]]]) -> None:
    """C7-6, of the images of one run."""
    digest = sha256()
    for _, images in made:
        digest.update(images.data)
    if digest.digest() != receipts.digests:
        first, last = run.first_row, run.first_row + len(run.values) - 1
        what = f"the pixels of rows {first} to {last} are not those that their receipt names"
        raise ReceiptMismatch("C7-6", receipts.at, what)


def _checked_parts(run: Block, package: ModelPackage) -> list[tuple[NDArray[Any], Size]]:
    """Latents (n, *dims) of one size and the size of their images, which the decoder takes."""
    rows: Any = run.values
    scale = package.manifest.scale
    assert isinstance(rows, RaggedRows) and scale is not None  # C3-14
    channels = package.input.shape[2], package.output.shape[2]
    parts = list(_parts(rows, array_type(package.input)))
    for number, latents, image in parts:
        check_sizes(scale, latents.shape[1:3], image, n_channels=channels, at=run.byte_of(number))
    for number, latents, _ in parts:
        try:
            checked_rows(package.input, latents)
        except ValueInvalid as error:
            raise ValueInvalid("M4-7", run.byte_of(number + error.at // latents.itemsize), error.what) from None
    return [(latents, image) for _, latents, image in parts]


def _parts(rows: RaggedRows, dtype: Any) -> Iterator[tuple[int, NDArray[Any], Size]]:
    """Rows that follow one another and have the same sizes: where their values begin, (n, *dims), the size of their images."""
    form, number = rows.sizes.form, 0
    for entry in rows.sizes.runs():
        dims, (height, width, _) = form.dims_of(entry.sizes), form.image_of(entry.sizes)
        values = rows.flat[number : number + entry.n_rows * entry.n_values]
        yield number, values.reshape(entry.n_rows, *dims).astype(dtype, copy=False), (height, width)
        number += values.size
