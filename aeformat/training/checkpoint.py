"""What is kept on disk between two epochs, so that a run can stop anywhere and go on as if it had not.

Owns <directory>/checkpoint.npz.  Knows nothing of TensorFlow.  Files are written beside the target and renamed, so a
checkpoint is always whole.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aeformat.errors import UsageError
from aeformat.training.recipe import Recipe

FILE_NAME = "checkpoint.npz"
_ROLES = ("weights", "first_moments", "second_moments")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The whole state of a run after `epoch` epochs: each list holds weights, bias, weights, bias, ... float32."""

    epoch: int
    seconds: float  # spent training so far
    weights: list[NDArray[np.float32]]
    first_moments: list[NDArray[np.float32]]
    second_moments: list[NDArray[np.float32]]
    shuffler: dict[str, Any]  # state of the numpy bit generator that orders the images

    def save(self, directory: Path, recipe: Recipe) -> None:
        """Write the checkpoint, replacing the one that is there."""
        arrays = {f"{role}_{i}": array for role in _ROLES for i, array in enumerate(getattr(self, role))}
        about = {"recipe": repr(recipe), "epoch": self.epoch, "seconds": self.seconds, "shuffler": self.shuffler}
        directory.mkdir(parents=True, exist_ok=True)
        target = directory / FILE_NAME
        beside = directory / f".{FILE_NAME}.{os.getpid()}"
        with beside.open("wb") as file:
            np.savez(file, about=np.frombuffer(json.dumps(about).encode(), np.uint8), **arrays)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(target)

    @classmethod
    def load(cls, directory: Path, recipe: Recipe) -> Checkpoint:
        """Read the checkpoint of that recipe.  Raises UsageError if there is none or it belongs to another recipe."""
        path = directory / FILE_NAME
        if not path.exists():
            raise UsageError(f"no checkpoint to resume from at {path}")
        with np.load(path, allow_pickle=False) as stored:
            about = json.loads(stored["about"].tobytes())
            if about["recipe"] != repr(recipe):
                raise UsageError(f"{path} was made by another recipe, seed or number of epochs")
            n_arrays = 2 * len(recipe.layers)
            roles = {role: [stored[f"{role}_{i}"] for i in range(n_arrays)] for role in _ROLES}
        return cls(epoch=about["epoch"], seconds=about["seconds"], shuffler=about["shuffler"], **roles)
