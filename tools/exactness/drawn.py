"""Models of any size: images that are drawn, and what is computed of them: latents, pixels, and the passes of the prior.

Owns the images.  The passes are computed by NumPy as a decoder does, pass by pass; with the backend tensorflow also by its layers, all
at once, since the latents are known.
"""

from __future__ import annotations

import hashlib
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from aeformat.backends.numpy_passes import known, prior_of
from aeformat.backends.tiled import own_sides
from aeformat.container.passes import PHASES, PassesPrior
from aeformat.model.package import ModelPackage
from aeformat.model.passes import STAGES

SIZES: Final = ((1, 1), (3, 50), (33, 17), (70, 41))  # of images
N_DRAWN: Final = len(SIZES)


def images() -> list[NDArray[np.uint8]]:
    """Waves of several lengths, an edge, and grain; by integers alone, so that they are the same everywhere."""
    return [_drawn(height, width) for height, width in SIZES]


def _drawn(height: int, width: int) -> NDArray[np.uint8]:
    y, x, c = np.indices((height, width, 3), dtype=np.int64)
    waves = np.abs((3 * x + 5 * y + 40 * c) % 256 - 128) + np.abs((x * x + 7 * y) % 64 - 32)
    edge = np.where(2 * x > y + c, 60, 0)
    grain = (x * 7919 + y * 104_729 + c * 1_299_709) * 2_654_435_761 % 2**32 >> 28
    made: NDArray[np.uint8] = np.clip(waves + edge + grain - 16, 0, 255).astype(np.uint8)
    return made


def digest_of_passes(decoder: ModelPackage, latents: list[NDArray[Any]], *, by_tensorflow: bool) -> str:
    """SHA-256 of the means and picks of all passes of all latents (h, w, channels), in the order of decoding."""
    found = hashlib.sha256()
    for row in latents:
        for mean, pick in (_by_tensorflow if by_tensorflow else _by_numpy)(decoder, row):
            found.update(mean.astype("<i2").tobytes() + pick.astype(np.uint8).tobytes())
    return found.hexdigest()


def _by_numpy(decoder: ModelPackage, row: NDArray[Any]) -> list[tuple[NDArray[Any], NDArray[Any]]]:
    prior = prior_of(decoder).prior
    assert isinstance(prior, PassesPrior)
    passing, made = prior.network.row(*row.shape[:2]), []
    for place in prior.passes(*row.shape[:2]):
        made.append(passing.expect())
        passing.put(row[place])
    return made


def _by_tensorflow(decoder: ModelPackage, row: NDArray[Any]) -> list[tuple[NDArray[Any], NDArray[Any]]]:
    """Each value by TensorFlow's layers, as it is asked for."""
    from aeformat.backends.runtime import load_tensorflow
    from aeformat.backends.tensorflow_layers import make_op

    tf, plan = load_tensorflow(), decoder.passes
    assert plan is not None
    spec, values = plan.graph.spec, dict[int, Any]()
    ends = np.cumsum([0, *spec.groups])
    n_known = STAGES * len(spec.groups)

    def value(number: int) -> Any:
        if number not in values:
            if number < n_known:
                group, stage = divmod(number, STAGES)
                whole = row[None, :, :, ends[group] : ends[group + 1]]
                values[number] = tf.constant(known(np.ascontiguousarray(whole), stage))
            else:
                step = plan.steps[number - n_known]
                values[number] = make_op(tf, step)(*map(value, step.inputs), own_sides(step))
        return values[number]

    made = []
    for number, (mean, pick) in enumerate(spec.outputs):
        y, x = PHASES[number % len(PHASES)]
        if y < row.shape[0] and x < row.shape[1]:
            made.append((value(mean).numpy()[0], value(pick).numpy()[0]))
    return made
