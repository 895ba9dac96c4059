"""The bare TensorFlow loop: a file of uint8 to a file of float32 latents, or back, and nothing else.

    python -m tools.bench_main_job.bare encoder|decoder MODEL IN.npy OUT

No container, no compression, no checksum, no check: what the work costs when nothing is promised.  The network has the layers
and the weights of the model, as float32; where the model has lookups, it has sigmoids.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any, Final

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import numpy as np
import tensorflow as tf

from aeformat.model.store import find_pair

_BATCH: Final = 4096
_WHITE: Final = 255.0


def main(half: str, model: str, source: str, target: str) -> None:
    """Run the loop."""
    package = find_pair(model)[half == "decoder"]
    layers = [
        tuple(tf.constant(step.arrays[name].astype(np.float32)) for name in ("weights", "bias"))
        for step in package.plan
        if step.kind == "dense"
    ]

    def network(x: Any) -> Any:
        x = tf.cast(x, tf.float32) / _WHITE if half == "encoder" else x
        for weights, bias in layers:
            x = tf.sigmoid(tf.matmul(x, weights) + bias)
        return tf.cast(x * _WHITE + 0.5, tf.uint8) if half == "decoder" else x

    rows = np.load(source, mmap_mode="r")
    width = package.input.value.n_elements
    signature = tf.TensorSpec((None, width), tf.uint8 if half == "encoder" else tf.float32)
    compiled = tf.function(network, input_signature=[signature])
    with Path(target).open("wb") as out:
        for start in range(0, len(rows), _BATCH):
            out.write(compiled(rows[start : start + _BATCH].reshape(-1, width)).numpy().data)


if __name__ == "__main__":
    main(*sys.argv[1:])
