"""Draw a folder of small images to try the command line on: rings, 28 x 28 grey PNG files.

    python examples/draw_photos.py photos

Needs Pillow: pip install "aeformat[images]".
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image


def main(folder: Path) -> None:
    """Write ring-00.png to ring-19.png."""
    folder.mkdir(parents=True, exist_ok=True)
    y, x = np.mgrid[0:28, 0:28] - 13.5
    for number, size in enumerate(np.linspace(4, 9, 20)):
        ring = 255 * np.exp(-((np.hypot(x, 1.2 * y) - size) ** 2) / 3)
        Image.fromarray(np.round(ring).astype(np.uint8)).save(folder / f"ring-{number:02}.png")
    print(f"{folder}: 20 images")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "photos"))
