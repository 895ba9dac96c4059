"""Files of images <-> files of latents, for Python callers.

Owns the defaults that both take, and the choice of what is read and written from what a caller names.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from aeformat.atomic import AtomicFile
from aeformat.backends.runtime import fetch_mnist
from aeformat.container.compression import DEFAULT_LEVEL
from aeformat.container.selection import selected_rows
from aeformat.destination import check_no_input
from aeformat.errors import UsageError
from aeformat.images import ImageFit, ImageSource, open_sink, open_source
from aeformat.images.memory import ArraySource
from aeformat.model.file_io import package_bytes
from aeformat.model.match import prior_of
from aeformat.pipeline import DEFAULT_MODEL
from aeformat.pipeline import pack as packing
from aeformat.pipeline.arrays import finder, network_loader
from aeformat.pipeline.models import as_model, batch_of
from aeformat.pipeline.pack import BATCH_ROWS, Packed, PackOptions, usual_codec
from aeformat.pipeline.progress import SILENT, Progress
from aeformat.pipeline.refine import Refinement
from aeformat.pipeline.unpack import Unpacked, runs_of, write_images
from aeformat.pipeline.unpack import unpack as decoded
from aeformat.reader import open_latents, stream_latents

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from aeformat.container.selection import Rows
    from aeformat.pipeline.arrays import AnyModel
    from aeformat.pipeline.unpack import Runs

    Input = str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | NDArray[np.uint8]

_log: Final = logging.getLogger(__name__)


def pack(
    inputs: Input,
    output: str | os.PathLike[str],
    *,
    model: AnyModel = DEFAULT_MODEL,
    encoding: str | None = None,
    codec: str | None = None,
    level: int = DEFAULT_LEVEL,
    embed_decoder: bool = False,
    receipts: bool = False,
    refine: float | None = None,
    refine_rounds: int = 2,
    record_encoder: bool = False,
    resize: bool = False,
    grayscale: bool = False,
    batch_rows: int = BATCH_ROWS,
    backend: str = "auto",
    force: bool = False,
    progress: Progress = SILENT,
) -> Packed:
    """Images to a file of latents, which appears whole or not at all; what was written.

    inputs: a path or several, of IDX (.gz too), .npy, .npz or one of its arrays ("FILE.npz:ARRAY"), image files and folders of
    them, "mnist:train" or "mnist:test"; or an array (n, h, w, c) uint8.  What is left out of a folder is logged.
    model: a Model, or what load_model takes.
    encoding: a name of spec/container.md; by default the latents' own.
    codec: "none", "zstd" or "rans"; by default the one that makes the smaller file.  level: zstd's.
    embed_decoder: let the decoder travel in the file.  record_encoder: name the encoder in the header.
    receipts: record digests of the decoded pixels; exact decoders only.
    refine: bits that a unit of squared error over an image is worth, to look for better latents than the encoder's.
    resize, grayscale: fit images of another size, or of three channels, to the model.
    batch_rows: images encoded at once; no effect on the file.  backend: "auto", "numpy" or "tensorflow".
    force: replace a file of that name.  progress: told of images as they are done.

    Raises UsageError, ImageError, FormatError, DecoderMismatch, GoldenMismatch, BackendUnavailable, OSError.
    """
    of = as_model(model)
    encoder, decoder = of.the_encoder, of.the_decoder
    height, width, channels = encoder.input.shape
    source = _source(inputs, ImageFit((height, width, channels), resize=resize, grayscale=grayscale))
    n_rows = source.n_rows
    n_tried = None if n_rows is None else n_rows * decoder.input.value.n_elements
    options = PackOptions(
        encoding=encoding,
        codec=codec or usual_codec(encoding, decoder),
        level=level,
        prior=prior_of(decoder),
        embed=package_bytes(decoder) if embed_decoder else None,
        record_encoder=record_encoder,
        batch_rows=batch_rows,
        refine=None if refine is None else Refinement(of.network(decoder, backend, n_tried), refine, refine_rounds),
        receipts_by=of.network(decoder, backend, n_rows) if receipts else None,
    )
    check_no_input(output, source.files)
    with AtomicFile(output, force=force) as file:
        return packing.pack(source, of.network(encoder, backend, n_rows), file, options, progress)


def unpack(
    file: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    decoder: AnyModel | None = None,
    rows: Rows | None = None,
    backend: str = "auto",
    force: bool = False,
    progress: Progress = SILENT,
) -> Unpacked:
    """A file of latents to images, which appear whole or not at all; what was written.

    output: .npy, .npz, IDX (.gz too), or a folder for PNG files under the rows' names.
    decoder: a Model, or what load_model takes; by default the one inside the file, else this machine's with the model id that
    the file names.
    rows: a range, a slice, a list of ascending numbers or a mask; no more of the file is read and decoded than they need.
    backend: "auto", "numpy" or "tensorflow".  force: replace the output.  progress: told of images as they are done.

    Without `rows` every byte of the file is checked.  Raises UsageError, FormatError, DecoderMissing, DecoderMismatch,
    GoldenMismatch, BackendUnavailable, IndexError (no such row), OSError.
    """
    model = None if decoder is None else as_model(decoder)
    find, target = finder(model), os.fspath(output)
    check_no_input(output, [file])
    with open_latents(file) as latents, stream_latents(file) as stream:
        runs = None if rows is None else _runs(rows, latents.n_rows)
        n_rows = latents.n_rows if runs is None else sum(stop - start for start, stop in runs)
        blocks = decoded(stream if runs is None else latents, find, network_loader(model, backend, n_rows), runs)
        with open_sink(target, latents.header.image, n_rows, force=force, inputs=[file]) as sink:
            return write_images(blocks, sink, progress)


def _source(inputs: Input, fit: ImageFit) -> ImageSource:
    import numpy as np

    if isinstance(inputs, np.ndarray):
        return ArraySource(fit.convert(batch_of(inputs, fit)))
    paths = [inputs] if isinstance(inputs, (str, os.PathLike)) else inputs
    source = open_source([os.fspath(path) for path in paths], fit, fetch_mnist=fetch_mnist)
    for line in source.left_out:
        _log.warning("%s", line)
    return source


def _runs(rows: Rows, n_rows: int) -> Runs:
    chosen = selected_rows(rows, n_rows)
    numbers = [chosen] if isinstance(chosen, int) else list(chosen)
    if not numbers:
        raise UsageError("no rows are chosen, and a file of no images cannot be written")
    if any(after <= before for before, after in pairwise(numbers)):
        raise UsageError("rows are unpacked in the order of the file; give them ascending, each once")
    return runs_of(numbers)
