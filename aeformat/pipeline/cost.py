"""The break-even point: from how many images on latents and their decoder together are smaller than the images.

A receiver without the decoder gets it once.  Each image then saves the difference between its size in another format and the
size of its latent.  N images save the decoder's size: N = ceil(decoder bytes / (image bytes - latent bytes)).
"""

from __future__ import annotations

import io
import lzma
import math
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

from aeformat.container.assigned import TEXT19_CELL_BYTES
from aeformat.pipeline.evaluate import Fidelity, compare
from aeformat.pipeline.progress import SILENT, Progress

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

TEXT_BASIS: Final = "19-digit text"  # against this one the latents are text too
N_MEASURED: Final = 4  # slow baselines; each reports its progress once for every image

AVIF_OPTIONS: Final[dict[str, Any]] = {"subsampling": "4:0:0", "advanced": {"tune": "psnr"}}
"""The options that gave the smallest grey sheet at a given PSNR, at libavif's default speed."""

_SHEET_COLUMNS: Final = 30
_SHEET_IMAGES: Final = 900
_XZ_SLICE: Final = 1 << 18  # bytes between two updates of the progress
_PNG_KINDS: Final = {1: 0, 3: 2}  # channels -> colour type


@dataclass(frozen=True, slots=True)
class Basis:
    """A baseline: another way to send the same images.  n_bytes: of one image, on average."""

    name: str
    n_bytes: float
    is_lossless: bool
    note: str = ""


def break_even(decoder_bytes: int, image_bytes: float, latent_bytes: float) -> int | None:
    """The number of images from which on latents and decoder together are smaller; None if they never are."""
    saved = image_bytes - latent_bytes
    return math.ceil(decoder_bytes / saved) if saved > 0 else None


def bases(images: NDArray[np.uint8], fidelity: Fidelity, progress: Progress = SILENT) -> Iterator[Basis]:
    """The baselines, measured on these images, (n, h, w, c) uint8.

    fidelity: of the model's images; the lossy baseline is made as good.  progress: counts every image N_MEASURED times.
    """
    n_images, n_pixels = len(images), images[0].size
    yield Basis(TEXT_BASIS, n_pixels * TEXT19_CELL_BYTES, True)
    yield Basis("raw pixels", n_pixels, True)
    yield Basis("PNG, one file each", png_bytes(images, progress), True)
    yield Basis("zlib -9, each", _deflated(images, progress) / n_images, True)
    yield Basis("xz -6, all in one", _xz_bytes(images, progress) / n_images, True)
    avif = _avif(images, fidelity)
    progress.update(n_images)
    if avif is not None:
        yield avif


def _deflated(images: NDArray[np.uint8], progress: Progress) -> int:
    """Bytes of all images as raw deflate streams, without zlib's header and checksum."""
    total = 0
    for image in images:
        compressor = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
        total += len(compressor.compress(image.tobytes())) + len(compressor.flush())
        progress.update(1)
    return total


def _xz_bytes(images: NDArray[np.uint8], progress: Progress) -> int:
    compressor = lzma.LZMACompressor(preset=6)
    data, total, n_reported = memoryview(images.tobytes()), 0, 0
    for at in range(0, len(data), _XZ_SLICE):
        total += len(compressor.compress(data[at : at + _XZ_SLICE]))
        n_done = min(at + _XZ_SLICE, len(data)) * len(images) // len(data)
        progress.update(n_done - n_reported)
        n_reported = n_done
    return total + len(compressor.flush())


def png_bytes(images: NDArray[np.uint8], progress: Progress = SILENT) -> float:
    """Mean size of one image as a PNG file: Pillow's best where it is installed, or unfiltered where that is smaller."""
    has_pillow = find_spec("PIL") is not None
    total = 0
    for image in images:
        n_bytes = len(unfiltered_png(image))
        total += min(n_bytes, _pillow_png_bytes(image)) if has_pillow else n_bytes
        progress.update(1)
    return total / len(images)


def _pillow_png_bytes(image: NDArray[np.uint8]) -> int:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image).save(buffer, format="PNG", optimize=True)
    return buffer.tell()


def unfiltered_png(image: NDArray[np.uint8]) -> bytes:
    """(h, w, 1 or 3) as a PNG whose rows are not filtered: often the smallest for small drawings; Pillow does not try it."""
    import numpy as np

    height, width, channels = image.shape
    rows = np.zeros((height, 1 + width * channels), np.uint8)  # each row begins with its filter, 0
    rows[:, 1:] = image.reshape(height, -1)
    header = struct.pack(">IIBBBBB", width, height, 8, _PNG_KINDS[channels], 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes(), 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(payload)) + tag + payload + struct.pack(">I", zlib.crc32(tag + payload))
        for tag, payload in chunks
    )


def _avif(images: NDArray[np.uint8], fidelity: Fidelity) -> Basis | None:
    """The smallest AVIF of a sheet of images with at least the model's fidelity; None where Pillow cannot write AVIF."""
    try:
        from PIL import Image, features
    except ImportError:
        return None
    n_images = min(len(images), _SHEET_IMAGES) // _SHEET_COLUMNS * _SHEET_COLUMNS
    if not features.check("avif") or not n_images or images.shape[3] != 1:
        return None
    import numpy as np

    n, height, width = n_images, images.shape[1], images.shape[2]
    grid = images[:n, :, :, 0].reshape(-1, _SHEET_COLUMNS, height, width)
    sheet = grid.transpose(0, 2, 1, 3).reshape(-1, _SHEET_COLUMNS * width)
    low, high = 0, 100  # the lowest quality that is good enough lies in low..high
    best: tuple[int, float] | None = None
    while low <= high:
        quality = (low + high) // 2
        buffer = io.BytesIO()
        Image.fromarray(sheet).save(buffer, format="AVIF", quality=quality, **AVIF_OPTIONS)
        decoded = np.asarray(Image.open(buffer).convert("L"))
        reached = compare([sheet[None, :, :, None]], [decoded[None, :, :, None]])
        if reached.mse <= fidelity.mse:
            best, high = (buffer.tell(), reached.psnr), quality - 1
        else:
            low = quality + 1
    if best is None:
        return None
    return Basis("AVIF, one sheet", best[0] / n, False, f"{best[1]:.1f} dB, {n} images")
