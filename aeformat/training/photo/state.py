"""What is kept on disk between two epochs of a photograph model, so that a run can stop anywhere and go on as if it had not.

Owns runs/NAME/checkpoint.npz.  Knows nothing of TensorFlow.  A checkpoint appears whole or not at all.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aeformat.errors import Hint, UsageError
from aeformat.training.checkpoint import FILE_NAME, read_record, write_record
from aeformat.training.photo.recipe import PhotoRecipe

Arrays = dict[str, NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class PhotoState:
    """A run after `epoch` epochs.  first, second: moments of each weight; empty at the start of a phase."""

    epoch: int
    seconds: float  # spent training so far
    weights: Arrays
    first: Arrays = field(default_factory=dict)
    second: Arrays = field(default_factory=dict)

    def save(self, runs: Path, recipe: PhotoRecipe) -> None:
        """Write runs/NAME/checkpoint.npz, replacing the one that is there."""
        about = {"recipe": repr(recipe.until(self.epoch)), "epoch": self.epoch, "seconds": self.seconds}
        arrays = {
            f"{role}:{name}": array
            for role, found in (("weights", self.weights), ("first", self.first), ("second", self.second))
            for name, array in found.items()
        }
        write_record(runs / recipe.name / FILE_NAME, about, arrays)

    @classmethod
    def load(cls, runs: Path, recipe: PhotoRecipe) -> PhotoState:
        """Read the last checkpoint of that recipe.  Raises UsageError if there is none or it belongs to another one."""
        path = runs / recipe.name / FILE_NAME
        if not path.exists():
            raise UsageError(f"no checkpoint to resume from at {path}")
        state, made_by = _read(path)
        if made_by != repr(recipe.until(state.epoch)):
            raise UsageError(f"{path} was made by another recipe, seed or number of epochs")
        return state

    @classmethod
    def load_base(cls, runs: Path, base: str) -> PhotoState:
        """Read what the recipe `base` has come to.  Raises UsageError if it was not trained here."""
        path = runs / base / FILE_NAME
        if not path.exists():
            raise UsageError(f"training starts from {base}, and there is no {path}", hint=Hint.TRAIN_BASE_FIRST)
        return _read(path)[0]


def _read(path: Path) -> tuple[PhotoState, str]:
    about, arrays = read_record(path)
    roles: dict[str, Arrays] = {"weights": {}, "first": {}, "second": {}}
    for key, array in arrays.items():
        role, name = key.split(":", 1)
        roles[role][name] = array
    return PhotoState(about["epoch"], about["seconds"], **roles), about["recipe"]
