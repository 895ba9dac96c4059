"""Files of images <-> files of latents, for Python callers.

Owns the defaults that both take, and the choice of what is read and written from what a caller names.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

from aeformat.atomic import AtomicFile
from aeformat.backends.runtime import fetch_mnist
from aeformat.container.selection import selected_rows
from aeformat.destination import check_no_input
from aeformat.errors import UsageError
from aeformat.images import ImageFit, ImageSource, open_sink, open_source
from aeformat.images.memory import ArraySource, ArraysSource
from aeformat.paths import checked_path
from aeformat.pipeline import BATCH_ROWS
from aeformat.pipeline.arrays import finder, network_loader
from aeformat.pipeline.default_model import ChosenByTheFirst, model_for_arrays, model_for_inputs
from aeformat.pipeline.models import as_model, batch_of
from aeformat.pipeline.opening import open_file, stream_file
from aeformat.pipeline.pack import Packed
from aeformat.pipeline.progress import SILENT, Progress
from aeformat.pipeline.refinement import Price
from aeformat.pipeline.unpack import Unpacked, n_computed, one_size, write_images
from aeformat.pipeline.unpack import unpack as decoded
from aeformat.pipeline.wishes import Wishes

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from aeformat.container.selection import Rows
    from aeformat.pipeline.models import AnyModel
    from aeformat.pipeline.unpack import Numbers

    Input = str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | NDArray[np.uint8]

_log: Final = logging.getLogger(__name__)


def pack(
    inputs: Input,
    output: str | os.PathLike[str],
    *,
    model: AnyModel | None = None,
    encoding: str | None = None,
    codec: str | None = None,
    level: int | None = None,
    embed_decoder: bool = False,
    receipts: bool = False,
    refine: Price | None = None,
    refine_rounds: int | None = None,
    record_encoder: bool = False,
    sources: bool = False,
    resize: bool = False,
    grayscale: bool = False,
    rgb: bool = False,
    background: str | None = None,
    batch_rows: int = BATCH_ROWS,
    backend: str = "auto",
    force: bool = False,
    progress: Progress = SILENT,
) -> Packed:
    """Images to a file of latents, which appears whole or not at all; what was written.

    inputs: a path or several, of IDX (.gz too), .npy, .npz or one of its arrays ("FILE.npz:ARRAY"), image files and folders of
    them, "mnist:train" or "mnist:test"; or an array (n, h, w, c) uint8, or a list of arrays (h, w, c) of many sizes for a
    model that takes any.  What is left out of a folder is logged.
    model: a Model, or what load_model takes; by default the one for such images.
    encoding: a name of spec/container.md; by default the latents' own.
    codec: "none", "zstd" or "rans"; by default the one that makes the smaller file.  level: zstd's, 1 to 22.
    embed_decoder: let the decoder travel in the file.  record_encoder: name the encoder in the header.
    receipts: record digests of the decoded pixels; exact decoders only.
    sources: record the SHA-256 of each image file, by which `check` tells whether a row is current; image files only.
    refine: bits that a unit of squared error over an image is worth, to look for better latents than the encoder's, in
    refine_rounds rounds (1 to 16; by default 2); "auto" for the price that goes with the decoder's steps, of a model that takes
    images of any size.
    resize, grayscale, rgb: fit images of another size, of three channels or of one, to the model.
    background: the colour that transparent image files are flattened on, such as "white" or "#20c0ff".
    batch_rows: images encoded at once, 1 to 2^20; no effect on the file.  backend: "auto", "numpy" or "tensorflow".
    force: replace a file of that name.  progress: told of images as they are done.

    Raises UsageError, ImageError, FormatError, DecoderMismatch, GoldenMismatch, BackendUnavailable, OSError.
    """
    wishes = Wishes(
        encoding=encoding,
        codec=codec,
        level=level,
        embed_decoder=embed_decoder,
        receipts=receipts,
        refine=refine,
        refine_rounds=refine_rounds,
        record_encoder=record_encoder,
        sources=sources,
        resize=resize,
        grayscale=grayscale,
        rgb=rgb,
        background=background,
        batch_rows=batch_rows,
        backend=backend,
    )
    explained = ChosenByTheFirst(None)
    if model is None:
        model = _default_model(inputs, resize=resize, grayscale=grayscale, rgb=rgb)
        explained = ChosenByTheFirst(None if resize or grayscale else model)
    of = as_model(model)
    with explained:
        source = _source(inputs, checked_path(output), wishes.fit(of))
    with AtomicFile(output, force=force) as file, explained:
        return wishes.pack(source, of, file, progress)


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

    output: .npy, .npz, IDX (.gz too), or a folder for PNG files under the rows' names.  Where images have sizes of their own,
    an .npz has an array for each, and the other kinds of one array take images that are all of one size.
    decoder: a Model, or what load_model takes; by default the one inside the file, else this machine's with the model id that
    the file names.
    rows: a range, a slice, a list of ascending numbers or a mask; no more of the file is read and decoded than they need.
    backend: "auto", "numpy" or "tensorflow".  force: replace the output.  progress: told of images as they are done.

    Without `rows` every byte of the file is checked.  Raises UsageError, FormatError, DecoderMissing, DecoderMismatch,
    GoldenMismatch, BackendUnavailable, IndexError (no such row), OSError.
    """
    model = None if decoder is None else as_model(decoder)
    find, target = finder(model), checked_path(output)
    check_no_input(target, [checked_path(file)])
    with open_file(file) as latents, stream_file(file) as stream:
        chosen = None if rows is None else ascending(rows, latents.n_rows)
        n_rows = latents.n_rows if chosen is None else len(chosen)
        load = network_loader(model, backend, n_rows if chosen is None else n_computed(latents, chosen))
        blocks = decoded(stream if chosen is None else latents, find, load, chosen, ahead=True)
        size = one_size(latents, chosen)
        shape = latents.header.image_shape
        with open_sink(target, shape, n_rows, force=force, inputs=[file], one_size=size) as sink:
            return write_images(blocks, sink, progress)


def _source(inputs: Input, output: str, fit: ImageFit) -> ImageSource:
    """The images, none of which is in the output.  Raises UsageError, ImageError."""
    import numpy as np

    if fit.background is not None and _is_arrays(inputs):
        raise UsageError("background is for image files with transparency; an array of images has none")
    if isinstance(inputs, (list, tuple)) and _is_arrays(inputs) and fit.takes_any_size:
        return ArraysSource(inputs, fit)
    if isinstance(inputs, np.ndarray):
        return ArraySource(fit.convert(batch_of(inputs, fit)))
    paths = _paths(inputs)
    check_no_input(output, paths)  # before a pipe is opened, which waits for its writer
    source = open_source(paths, fit, fetch_mnist=fetch_mnist)
    check_no_input(output, source.files)
    for line in source.left_out:
        _log.warning("%s", line)
    return source


def _is_arrays(inputs: Input) -> bool:
    """Whether images are given as they are, and not as paths."""
    import numpy as np

    first = next(iter(inputs), None) if isinstance(inputs, (list, tuple)) else inputs
    return isinstance(first, np.ndarray)


def _default_model(inputs: Input, *, resize: bool, grayscale: bool, rgb: bool) -> str:
    """The model for these images, where nobody names one."""
    if _is_arrays(inputs):
        return model_for_arrays(inputs, resize=resize, grayscale=grayscale, rgb=rgb)  # type: ignore[arg-type]  # as was just seen
    return model_for_inputs(_paths(inputs), resize=resize, grayscale=grayscale, rgb=rgb)


def _paths(inputs: str | os.PathLike[str] | Iterable[str | os.PathLike[str]]) -> list[str]:
    advice = "; one array goes in as it is, several by np.concatenate"
    if isinstance(inputs, (str, os.PathLike, bytes)) or not isinstance(inputs, Iterable) or hasattr(inputs, "read"):
        return [checked_path(inputs, instead=advice)]
    return [checked_path(path, instead=advice) for path in inputs]


def ascending(rows: Rows, n_rows: int) -> Numbers:
    """Rows that a caller has picked, by their numbers.  Raises UsageError for none, and where they do not ascend."""
    import numpy as np

    chosen = selected_rows(rows, n_rows)
    if isinstance(chosen, int):
        return range(chosen, chosen + 1)
    if not len(chosen):
        raise UsageError("no rows are chosen, and a file of no images cannot be written")
    if not (chosen.step > 0 or len(chosen) == 1 if isinstance(chosen, range) else bool((np.diff(chosen) > 0).all())):
        raise UsageError("rows are unpacked in the order of the file; give them ascending, each once")
    return chosen
