"""A picture that compares originals with decoded images: one PNG, each original above its decoded image.

Owns the layout of these pages, and the colours of all.  The picture is for people; no program reads it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from aeformat.atomic import AtomicFile
from aeformat.images.fit import require_pillow

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from PIL import Image as Images

PAPER: Final = (250, 249, 246)
INK: Final = (52, 52, 56)
PALE: Final = (128, 128, 132)


def save_comparison(
    path: Path,
    originals: NDArray[np.uint8],
    reconstructions: NDArray[np.uint8],
    *,
    columns: int = 10,
    scale: int = 3,
    captions: tuple[str, str] = ("original", "decoded"),
    title: str | None = None,
    force: bool = False,
) -> None:
    """Write a PNG of originals above reconstructions, pair by pair, each pair with its PSNR in dB.

    originals, reconstructions: (n, h, w, c) uint8, c is 1 or 3.  scale: screen pixels per image pixel.
    captions: what the two rows are called.  Raises UsageError (Pillow is missing, the file exists), OSError.
    """
    page = comparison(originals, reconstructions, columns=columns, scale=scale, captions=captions, title=title)
    save_page(path, page, force=force)


def comparison(
    originals: NDArray[np.uint8],
    reconstructions: NDArray[np.uint8],
    *,
    columns: int = 10,
    scale: int = 3,
    captions: tuple[str, str] = ("original", "decoded"),
    title: str | None = None,
) -> Images.Image:
    """The page that `save_comparison` writes.  Raises UsageError where Pillow is missing."""
    if originals.shape != reconstructions.shape or originals.ndim != 4 or not len(originals):
        raise ValueError(f"expected two (n, h, w, c) of one shape, not {originals.shape} and {reconstructions.shape}")
    require_pillow("pictures")
    return _draw(originals, reconstructions, min(columns, len(originals)), scale, captions, title)


def save_page(path: Path, page: Images.Image, *, force: bool) -> None:
    """Write a page as PNG.  Raises UsageError where the file exists, OSError."""
    with AtomicFile(path, force=force) as file:
        page.save(file, format="PNG", optimize=True)


def psnr(original: NDArray[np.uint8], reconstruction: NDArray[np.uint8]) -> float:
    """Peak signal-to-noise ratio in dB with a peak of 255; infinity where the two are equal."""
    error = float(np.mean((original.astype(np.float64) - reconstruction.astype(np.float64)) ** 2))
    return math.inf if error == 0 else 10 * math.log10(255**2 / error)


def _draw(
    originals: NDArray[np.uint8],
    reconstructions: NDArray[np.uint8],
    columns: int,
    scale: int,
    captions: Sequence[str],
    title: str | None,
) -> Images.Image:
    from PIL import Image, ImageDraw, ImageFont

    height, width = originals.shape[1] * scale, originals.shape[2] * scale
    small = max(11, min(16, width // 6))
    font, title_font = ImageFont.load_default(small), ImageFont.load_default(round(small * 1.4))
    margin, gap, seam = 2 * small, max(6, width // 10), max(2, width // 28)
    left = margin + math.ceil(max(font.getlength(caption) for caption in captions)) + small
    top = margin + (round(small * 2.6) if title else 0)
    pair_height = 2 * height + seam + round(small * 1.9)
    n_lines = math.ceil(len(originals) / columns)
    page_width = left + columns * (width + gap) - gap + margin
    if title:
        page_width = max(page_width, 2 * margin + math.ceil(title_font.getlength(title)))
    page = Image.new("RGB", (page_width, top + n_lines * (pair_height + gap) - gap + margin - small // 2), PAPER)
    draw = ImageDraw.Draw(page)
    if title:
        draw.text((margin, margin - small // 4), title, fill=INK, font=title_font)
    for line in range(n_lines):
        y = top + line * (pair_height + gap)
        for caption, middle in zip(captions, (y + height // 2, y + height + seam + height // 2), strict=True):
            draw.text((left - small, middle), caption, fill=INK, font=font, anchor="rm")
    for at, (original, reconstruction) in enumerate(zip(originals, reconstructions, strict=True)):
        x = left + at % columns * (width + gap)
        y = top + at // columns * (pair_height + gap)
        for image, offset in ((original, 0), (reconstruction, height + seam)):
            tile = Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)
            page.paste(tile.resize((width, height), Image.Resampling.NEAREST), (x, y + offset))
        value = psnr(original, reconstruction)
        text = "exact" if math.isinf(value) else f"{value:.1f} dB"
        draw.text((x + width // 2, y + 2 * height + seam + small // 2), text, fill=PALE, font=font, anchor="ma")
    return page
