"""Proving rows of their own size (spec/container.md, section 7; spec/model.md, M3-12).

Owns what a run of such rows costs, and the digest of the pixels that a decoder of any size makes of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from aeformat.backends.base import array_type, checked_rows
from aeformat.container.payloads import Block
from aeformat.container.ragged import RaggedRows
from aeformat.errors import ValueInvalid
from aeformat.model.free_sizes import Size, check_sizes
from aeformat.model.work import row_work

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from aeformat.backends.base import Network
    from aeformat.model.manifest import Manifest

_PROOF_BYTES: Final = 1 << 22  # of pixels that are decoded at a time, unless one image has more


def sized_work(run: Block, manifest: Manifest) -> int:
    """The units of C13-1 that the rows of a run take in a decoder of any size."""
    rows: Any = run.values
    form = rows.sizes.form
    latents = ((entry.n_rows, form.dims_of(entry.sizes)) for entry in rows.sizes.runs())
    return sum(n_rows * row_work(manifest.at((dims[0], dims[1]))) for n_rows, dims in latents)


def sized_digest(run: Block, decoder: Network) -> bytes:
    """The digest of the pixels of one run.

    Raises ValueInvalid, LimitExceeded for sizes that M3-12 refuses, ValueInvalid for a latent outside the decoder's range
    (M4-7), both before anything is decoded.
    """
    package = decoder.package
    manifest = package.manifest
    rows: Any = run.values
    assert isinstance(rows, RaggedRows) and manifest.scale is not None  # C3-14
    channels = package.input.shape[2], package.output.shape[2]
    parts = list(_parts(rows, array_type(package.input)))
    for number, latents, image in parts:
        check_sizes(manifest.scale, latents.shape[1:3], image, n_channels=channels, at=run.byte_of(number))
    for number, latents, _ in parts:
        try:
            checked_rows(package.input, latents)
        except ValueInvalid as error:
            raise ValueInvalid("M4-7", run.byte_of(number + error.at // latents.itemsize), error.what) from None
    made = sha256()
    for _, latents, image in parts:
        step = max(1, _PROOF_BYTES // (image[0] * image[1] * channels[1]))
        for start in range(0, len(latents), step):
            made.update(decoder.run(latents[start : start + step], image).data)
    return made.digest()


def _parts(rows: RaggedRows, dtype: Any) -> Iterator[tuple[int, NDArray[Any], Size]]:
    """Rows that follow one another and have the same sizes: where their values begin, (n, *dims), the size of their images."""
    form, number = rows.sizes.form, 0
    for entry in rows.sizes.runs():
        dims, (height, width, _) = form.dims_of(entry.sizes), form.image_of(entry.sizes)
        values = rows.flat[number : number + entry.n_rows * entry.n_values]
        yield number, values.reshape(entry.n_rows, *dims).astype(dtype, copy=False), (height, width)
        number += values.size
