"""What a model costs to send, and from how many images on sending latents pays.

A receiver without the decoder gets it once.  That pays from N images on, where N times what one image saves is more than the
decoder: N = ceil(decoder bytes / (bytes of an image otherwise - bytes of its latent)).
"""

from __future__ import annotations

import io
import lzma
import math
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aeformat.pipeline.evaluate import Fidelity, compare
from aeformat.registry import TEXT19_CELL_BYTES

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_SHEET_COLUMNS: Final = 30
_SHEET_IMAGES: Final = 900


@dataclass(frozen=True, slots=True)
class Basis:
    """Another way to send the same images.  n_bytes: of one image, on average."""

    name: str
    n_bytes: float
    is_lossless: bool
    note: str = ""


def break_even(decoder_bytes: int, image_bytes: float, latent_bytes: float) -> int | None:
    """Images from which on latents and decoder together are smaller; None if never."""
    saved = image_bytes - latent_bytes
    return math.ceil(decoder_bytes / saved) if saved > 0 else None


def bases(images: NDArray[np.uint8], fidelity: Fidelity) -> Iterator[Basis]:
    """The rivals, measured on these images, (n, h, w, c) uint8.  fidelity: what the model reaches, for the lossy rival."""
    n_images, n_pixels = len(images), images[0].size
    yield Basis("19-digit text", n_pixels * TEXT19_CELL_BYTES, True)
    yield Basis("raw pixels", n_pixels, True)
    png = png_bytes(images)
    if png is not None:
        yield Basis("PNG, one file each", png, True)
    yield Basis("zlib -9, each", sum(_deflated_bytes(image.tobytes()) for image in images) / n_images, True)
    yield Basis("xz -6, all in one", len(lzma.compress(images.tobytes(), preset=6)) / n_images, True)
    avif = _avif(images, fidelity)
    if avif is not None:
        yield avif


def _deflated_bytes(data: bytes) -> int:
    """Size without zlib's own header and checksum, which a rival would not need."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return len(compressor.compress(data)) + len(compressor.flush())


def png_bytes(images: NDArray[np.uint8]) -> float | None:
    """Mean size of one image as a PNG file, None where Pillow is not installed."""
    try:
        from PIL import Image
    except ImportError:
        return None
    total = 0
    for image in images:
        buffer = io.BytesIO()
        Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image).save(buffer, format="PNG", optimize=True)
        total += buffer.tell()
    return total / len(images)


def _avif(images: NDArray[np.uint8], fidelity: Fidelity) -> Basis | None:
    """The smallest AVIF of a sheet of images that is at least as good as the model; None where Pillow cannot write it."""
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
        Image.fromarray(sheet).save(buffer, format="AVIF", quality=quality)
        decoded = np.asarray(Image.open(buffer).convert("L"))
        reached = compare([sheet[None, :, :, None]], [decoded[None, :, :, None]])
        if reached.mse <= fidelity.mse:
            best, high = (buffer.tell(), reached.psnr), quality - 1
        else:
            low = quality + 1
    if best is None:
        return None
    return Basis("AVIF, one sheet", best[0] / n, False, f"{best[1]:.1f} dB, {n} images")
