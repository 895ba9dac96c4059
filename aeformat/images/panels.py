"""A page that shows one photograph in several versions side by side, and below each a part of it enlarged.

Owns the layout of this page.  Colours, and how a page is written: picture.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aeformat.images.fit import require_pillow
from aeformat.images.picture import INK, PALE, PAPER

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image as Images

_GAP: Final = 12  # of the page, in its pixels
_FONT: Final = 14


@dataclass(frozen=True, slots=True)
class Panel:
    """One version of the photograph: its pixels, (h, w, 3) uint8, what it is called, and a line below it."""

    pixels: NDArray[np.uint8]
    caption: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a photograph: first row and column, rows and columns, and screen pixels for each of its pixels."""

    top: int
    left: int
    height: int
    width: int
    scale: int = 2


def panels_page(panels: Sequence[Panel], part: Part) -> Images.Image:
    """Each panel as wide as the enlarged part below it.  Raises UsageError where Pillow is missing."""
    require_pillow("pictures")
    from PIL import Image, ImageDraw, ImageFont

    height, width = part.height * part.scale, part.width * part.scale
    whole = round(panels[0].pixels.shape[0] * width / panels[0].pixels.shape[1])
    font = ImageFont.load_default(_FONT)
    line = round(_FONT * 1.5)
    size = (_GAP + len(panels) * (width + _GAP), 2 * _GAP + line + whole + _GAP + height + line)
    page = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(page)
    for number, panel in enumerate(panels):
        x, y = _GAP + number * (width + _GAP), _GAP
        draw.text((x, y), panel.caption, fill=INK, font=font)
        y += line
        page.paste(Image.fromarray(panel.pixels).resize((width, whole), Image.Resampling.LANCZOS), (x, y))
        y += whole + _GAP
        shown = panel.pixels[part.top : part.top + part.height, part.left : part.left + part.width]
        page.paste(Image.fromarray(shown).resize((width, height), Image.Resampling.NEAREST), (x, y))
        draw.text((x, y + height + _FONT // 4), panel.note, fill=PALE, font=font)
    return page


def stacked(pages: Sequence[Images.Image]) -> Images.Image:
    """The pages below each other, as one."""
    from PIL import Image

    whole = Image.new("RGB", (max(page.width for page in pages), sum(page.height for page in pages)), PAPER)
    y = 0
    for page in pages:
        whole.paste(page, (0, y))
        y += page.height
    return whole
