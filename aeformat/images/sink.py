"""Images out: the choice of a writer for OUT.

Owns which suffix means which format, and the promise of every sink: OUT appears whole at `commit`, or not at all.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from aeformat.destination import open_stream
from aeformat.errors import Hint, UsageError
from aeformat.images import idx, npy
from aeformat.images.arrays import ArraySink, gzip_body, npz_body, plain_body, stdout_body, stream_body
from aeformat.images.folder import FolderSink
from aeformat.images.named_arrays import NamedArraysSink

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    import numpy as np
    from numpy.typing import NDArray

    from aeformat.images.fit import Shape

_KINDS: Final = (
    ".npy, .npz, IDX (.idx, .idx3, -idx3-ubyte, each also .gz), a folder for PNGs (end it in /), - for .npy on stdout"
)
_IDX_NAME: Final = re.compile(
    r"(\.idx|\.idx(?P<dotted>[34])|[-.]idx(?P<rank>[34])-ubyte)(?P<gz>\.gz)?\Z", re.IGNORECASE
)


class ImageSink(Protocol):
    """Takes images front to back.  As a context manager it commits on a clean exit and aborts on any exception.

    Every method may raise OSError (a full disk, a closed pipe); after `abort` nothing is left of what was written.
    """

    def write(self, images: NDArray[np.uint8], names: Sequence[str] | None) -> None:
        """Append (n, h, w, c) and, for all blocks or for none, a name per image.

        Raises ImageError where a name is unsafe as a file name, ValueError where the shape is not the sink's.
        """
        ...

    def commit(self) -> None:
        """Put the output under its name."""
        ...

    def abort(self) -> None:
        """Remove what was written.  Does nothing after a commit or an earlier abort."""
        ...

    def __enter__(self) -> ImageSink: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def open_sink(
    out: str,
    shape: Shape,
    n_rows: int | None,
    *,
    force: bool,
    inputs: Sequence[str | os.PathLike[str]] = (),
    one_size: tuple[int, int] | None = None,
) -> ImageSink:
    """Open OUT for images of shape (h, w, c), where h and w are 0 if each image has its own.

    .npy, .npz (array "images") and IDX leave the channel axis out where c is 1.  A folder gets PNG files under the
    rows' names, or 00000.png and so on.  n_rows: how many images will come, None where that is not known.
    A pipe or a device is written as it comes, with .npy as "-" is, or with IDX where its name says so.
    force: replace a file; write into a folder that is not empty, replacing the files whose names are the same.
    inputs: files that are being read; none of them is replaced in a folder.
    one_size: of images that could have sizes of their own, height and width if they are known to be the same: one array takes
    them then.  A folder and an .npz, which has an array for each image, take any.
    Raises UsageError, before anything is written: OUT exists, cannot be created, or has no known suffix.
    """
    if not out:
        raise UsageError("the output has no name; is a shell variable empty?")
    path = Path(out)
    is_array = out == "-" or not (path.suffix.lower() == ".npz" or _is_folder(out))
    if 0 in shape and is_array:
        shape = _only_shape(out, shape, one_size)
    if out == "-":
        return ArraySink(stdout_body(), npy.encode_header, shape, n_rows)
    idx_name = _IDX_NAME.search(path.name)
    stream = open_stream(path)
    if stream is not None:
        encode = idx.encode_header if idx_name and not idx_name["gz"] else npy.encode_header
        return ArraySink(stream_body(stream), encode, shape, n_rows)
    if _is_folder(out):
        return FolderSink(path, shape, n_rows, force=force, inputs=inputs)
    suffix = path.suffix.lower()
    if suffix == ".npy":
        return ArraySink(plain_body(path, force=force), npy.encode_header, shape, n_rows)
    if suffix == ".npz" and 0 in shape:
        return NamedArraysSink(path, shape, n_rows, force=force)
    if suffix == ".npz":
        return ArraySink(npz_body(path, force=force), npy.encode_header, shape, n_rows)
    if idx_name:
        rank = idx_name["dotted"] or idx_name["rank"]
        if rank and (rank == "3") != (shape[2] == 1):
            raise UsageError(f"{out}: images of {shape[2]} channels do not make an idx{rank}; call it .idx")
        body = (gzip_body if idx_name["gz"] else plain_body)(path, force=force)
        return ArraySink(body, idx.encode_header, shape, n_rows)
    raise UsageError(f"{out}: unknown kind of output; possible are {_KINDS}")


def _is_folder(out: str) -> bool:
    path = Path(out)
    return out.endswith(("/", "\\")) or path.is_dir() or not (_IDX_NAME.search(path.name) or path.suffix)


def _only_shape(out: str, shape: Shape, one_size: tuple[int, int] | None) -> Shape:
    """The shape of all images of one array.  Raises UsageError."""
    if one_size is None:
        name = "standard output" if out == "-" else out
        what = f"{name}: one array takes images of one size, and these have sizes of their own"
        raise UsageError(what, hint=Hint.UNPACK_TO_FOLDER)
    return (*one_size, shape[2])
