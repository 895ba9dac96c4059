"""Images to a file and back, with the default model."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

import aeformat


def drawings() -> np.ndarray:
    """(20, 28, 28, 1) uint8: white rings of different sizes on black."""
    y, x = np.mgrid[0:28, 0:28] - 13.5
    radius = np.hypot(x, y)
    rings = [255 * np.exp(-((radius - size) ** 2) / 3) for size in np.linspace(4, 9, 20)]
    return np.round(rings).astype(np.uint8)[..., np.newaxis]


def main() -> None:
    """Write a file, read it, and compare."""
    images = drawings()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rings.aef"
        model = aeformat.load_model("mnist-exact")
        with aeformat.create(path, decoder=model) as file:
            file.append(model.encode(images))
        with aeformat.open(path) as latents:
            restored = aeformat.decode(latents)
            print(f"{latents.n_rows} images of {images[0].size} bytes, {path.stat().st_size} bytes in the file")
    error = np.mean((images.astype(float) - restored) ** 2)
    print(f"mean squared error {error:.1f} of 255^2, PSNR {10 * np.log10(255**2 / error):.1f} dB")


if __name__ == "__main__":
    main()
