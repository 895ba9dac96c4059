"""What the first image of some inputs looks like, from its header alone.

Owns the look ahead for who chooses a model by the images.  Reads no pixels and raises nothing: whoever opens the input reports
what is wrong with it.
"""

from __future__ import annotations

import contextlib
import warnings
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from aeformat.errors import AeformatError
from aeformat.images.exact_read import damage_as_image_error
from aeformat.images.files import readable_formats
from aeformat.images.fit import Shape
from aeformat.images.listing import is_image_name, list_images
from aeformat.images.npy import NAMED_ARRAY, NpyHeader, array_names, check_open

if TYPE_CHECKING:
    from collections.abc import Sequence

_GREY_MODES = ("1", "L", "LA", "P", "PA")  # a palette may be of greys: it is taken for grey


def first_shape(inputs: Sequence[str]) -> Shape | None:
    """(h, w, c) of the first image as it is stored; None where it cannot be told without reading the input."""
    if not inputs:
        return None
    path = Path(inputs[0])
    with contextlib.suppress(AeformatError, OSError, ValueError):
        if path.is_dir():
            files = list_images(path).files
            return _shape_of_file(files[0][1]) if files else None
        if path.is_file() and is_image_name(path.name):
            return _shape_of_file(path)
        if path.is_file() and path.suffix.lower() == ".npy":
            with path.open("rb") as file:
                return shape_in_array(NpyHeader.read(file, path.name).shape)
        if path.is_file() and path.suffix.lower() == ".npz":
            return _shape_in_archive(path, None)
        array = NAMED_ARRAY.fullmatch(inputs[0])
        if array:
            return _shape_in_archive(Path(array["file"]), array["key"])
    return None


def _shape_in_archive(path: Path, key: str | None) -> Shape | None:
    """Of the array of that name; else of the first one that could be of images."""
    with damage_as_image_error(path.name), zipfile.ZipFile(path) as archive:
        members = array_names(archive)
        names = list(members) if key is None else [key.removesuffix(".npy")]
        for member in (members[name] for name in names if name in members):
            with contextlib.suppress(AeformatError):
                check_open(member, path.name)
                with archive.open(member) as file:
                    shape = shape_in_array(NpyHeader.read(file, path.name).shape)
                if shape is not None:
                    return shape
    return None


def shape_in_array(shape: tuple[int, ...]) -> Shape | None:
    """(h, w, c) of an image of an array of this shape; None where it could be anything."""
    if len(shape) == 4:
        return shape[1], shape[2], shape[3]
    if len(shape) == 3:
        return (shape[0], shape[1], 3) if shape[2] == 3 else (shape[1], shape[2], 1)
    return None


def _shape_of_file(path: Path) -> Shape | None:
    with contextlib.suppress(ImportError):
        from PIL import Image

        with warnings.catch_warnings(), contextlib.suppress(Image.DecompressionBombError, SyntaxError):
            warnings.simplefilter("ignore")
            with Image.open(path, formats=readable_formats()) as picture:
                return picture.height, picture.width, 1 if picture.mode in _GREY_MODES else 3
    return None
