"""Unpacking for Python callers: one file, or a set."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from aeformat.destination import check_no_input
from aeformat.errors import UsageError
from aeformat.images import open_sink
from aeformat.paths import checked_path
from aeformat.pipeline.arrays import finder, network_loader
from aeformat.pipeline.files import ascending
from aeformat.pipeline.files import unpack as unpack_file
from aeformat.pipeline.models import as_model
from aeformat.pipeline.progress import SILENT, Progress
from aeformat.pipeline.unpack import Unpacked, write_images
from aeformat.sets.forward import SetStream
from aeformat.sets.opening import is_set

if TYPE_CHECKING:
    from aeformat.container.selection import Rows
    from aeformat.pipeline.models import AnyModel


def unpack_any(
    file: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    decoder: AnyModel | None = None,
    rows: Rows | None = None,
    backend: str = "auto",
    force: bool = False,
    progress: Progress = SILENT,
) -> Unpacked:
    """A file of latents, or a set, to images, which appear whole or not at all; what was written.

    file: a path or a URL; of a set its manifest, or what that lies in.
    output: .npy, .npz, IDX (.gz too), or a folder for PNG files under the rows' names.  Where images have sizes of their own,
    an .npz has an array for each, and the other kinds of one array take images that are all of one size.
    decoder: a Model, or what load_model takes; by default the one inside the file, else this machine's with the model id that
    the file names.
    rows: a range, a slice, a list of ascending numbers or a mask; no more of the file is read and decoded than they need.
    backend: "auto", "numpy" or "tensorflow".  force: replace the output.  progress: told of images as they are done.

    Without `rows` every byte of the file is checked.  Raises UsageError, FormatError, DecoderMissing, DecoderMismatch,
    GoldenMismatch, BackendUnavailable, IndexError (no such row), OSError.
    """
    if not is_set(file):
        return unpack_file(file, output, decoder=decoder, rows=rows, backend=backend, force=force, progress=progress)
    model, target = None if decoder is None else as_model(decoder), checked_path(output)
    whole = SetStream(file)
    if not whole.n_rows:
        raise UsageError(f"{whole.name}: the set has no rows")
    check_no_input(target, [whole.name])
    chosen = None if rows is None else ascending(rows, whole.n_rows)
    n_rows = whole.n_rows if chosen is None else len(chosen)
    images = whole.images(finder(model), network_loader(model, backend, n_rows), chosen)
    with open_sink(target, whole.header.image_shape, n_rows, force=force) as sink:
        return write_images(images, sink, progress)
