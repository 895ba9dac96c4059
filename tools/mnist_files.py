"""Write MNIST as its four gzipped IDX files, from the copy that Keras downloads: for a machine that has none, as CI's.

    python -m tools.mnist_files FOLDER

Needs TensorFlow.  Tests and commands look for the files in $AEFORMAT_DATA/mnist.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aeformat.backends.runtime import load_tensorflow
from tools.draw_digits import write_idx

Split = tuple[NDArray[np.uint8], NDArray[np.uint8]]  # images (n, 28, 28) uint8, labels (n,) uint8


def write(folder: Path, train: Split, test: Split) -> None:
    """The files, under the names that they have everywhere."""
    folder.mkdir(parents=True, exist_ok=True)
    for stem, (images, labels) in (("train", train), ("t10k", test)):
        write_idx(folder / f"{stem}-images-idx3-ubyte.gz", images)
        write_idx(folder / f"{stem}-labels-idx1-ubyte.gz", labels)


def main() -> int:
    """Download and write."""
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    write(Path(sys.argv[1]), *load_tensorflow().keras.datasets.mnist.load_data())
    return 0


if __name__ == "__main__":
    sys.exit(main())
