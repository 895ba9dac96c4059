"""The demo photograph: a picture of 768 x 512 pixels that is part of the package.

tools/draw_photograph/ drew it, so no photographer's licence applies to it.
"""

from __future__ import annotations

import importlib.resources
from typing import TYPE_CHECKING, Final

from aeformat.images.files import load_pixels
from aeformat.images.fit import require_pillow

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

DEMO_PHOTOGRAPH: Final = "demo-photograph.webp"


def demo_photograph() -> NDArray[np.uint8]:
    """The picture: (512, 768, 3) uint8.  Raises UsageError where Pillow is missing, ImageError where it reads no WebP."""
    require_pillow("photographs")
    with importlib.resources.as_file(importlib.resources.files("aeformat") / "data" / DEMO_PHOTOGRAPH) as path:
        return load_pixels(path)
