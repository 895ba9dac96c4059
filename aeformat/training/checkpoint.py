"""What is kept on disk between two epochs, so that a run can stop anywhere and go on as if it had not.

Owns runs/NAME/checkpoint.npz and, for recipes that start from this one, runs/NAME/phase-N.npz.  Knows nothing of
TensorFlow.  A checkpoint appears whole or not at all.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from aeformat.atomic import AtomicFile
from aeformat.errors import Hint, UsageError
from aeformat.training.recipe import Recipe
from aeformat.training.stack import Parameters, parameters_of

FILE_NAME: Final = "checkpoint.npz"
_LISTS: Final = ("weights", "mixture", "steps", "units", "first_moments", "second_moments")

Arrays = list[NDArray[np.float32]]


def phase_file(number: int) -> str:
    """What is kept at the end of a phase, counted from 0."""
    return f"phase-{number}.npz"


def write_record(path: Path, about: dict[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write what JSON can hold and named arrays into one .npz file, replacing the one that is there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with AtomicFile(path, force=True) as file:
        np.savez(file, about=np.frombuffer(json.dumps(about).encode(), np.uint8), **arrays)  # type: ignore[arg-type]


def read_record(path: Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """What `write_record` wrote."""
    with np.load(path, allow_pickle=False) as stored:
        return json.loads(stored["about"].tobytes()), {name: stored[name] for name in stored.files if name != "about"}


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The whole state of a run after `epoch` epochs.  weights: weights, bias, weights, bias, ... of encoder and decoder."""

    epoch: int
    seconds: float  # spent training so far
    weights: Arrays
    mixture: Arrays = field(default_factory=list)  # logits, means, scales; empty where there is no prior
    steps: Arrays = field(default_factory=list)  # for each layer, of what is rounded to; empty where that is not kept
    units: list[np.float32] = field(default_factory=list)
    first_moments: Arrays = field(default_factory=list)  # empty at the start of a phase
    second_moments: Arrays = field(default_factory=list)
    generator: dict[str, Any] = field(default_factory=dict)  # state of the numpy bit generator; empty at the start

    def parameters(self) -> list[Parameters]:
        """For each layer with weights its weights, bias and, where it is known, what it rounds to."""
        return parameters_of(self.weights, self.steps, self.units)

    def save(self, runs: Path, recipe: Recipe, name: str = FILE_NAME) -> None:
        """Write runs/NAME/`name`, replacing the one that is there."""
        lists: dict[str, Any] = {role: getattr(self, role) for role in _LISTS}
        about = {
            "recipe": repr(recipe.until(self.epoch)), "epoch": self.epoch, "seconds": self.seconds,
            "generator": self.generator, "counts": {role: len(arrays) for role, arrays in lists.items()},
        }  # fmt: skip
        arrays = {f"{role}_{i}": array for role, found in lists.items() for i, array in enumerate(found)}
        write_record(runs / recipe.name / name, about, arrays)

    @classmethod
    def load(cls, runs: Path, recipe: Recipe) -> Checkpoint:
        """Read the last checkpoint of that recipe.  Raises UsageError if there is none or it belongs to another one."""
        path = runs / recipe.name / FILE_NAME
        state, made_by = _read(path)
        if made_by != repr(recipe.until(state.epoch)):
            raise UsageError(f"{path} was made by another recipe, seed or number of epochs")
        return state

    @classmethod
    def load_base(cls, runs: Path, base: str) -> Checkpoint:
        """Read what the recipe `base` had after its first phase.  Raises UsageError if it was not trained here."""
        path = runs / base / phase_file(0)
        if not path.exists():
            raise UsageError(f"training starts from {base}, and there is no {path}", hint=Hint.TRAIN_BASE_FIRST)
        return _read(path)[0]


def _read(path: Path) -> tuple[Checkpoint, str]:
    if not path.exists():
        raise UsageError(f"no checkpoint to resume from at {path}")
    about, arrays = read_record(path)
    lists: dict[str, Any] = {role: [arrays[f"{role}_{i}"] for i in range(n)] for role, n in about["counts"].items()}
    state = Checkpoint(epoch=about["epoch"], seconds=about["seconds"], generator=about["generator"], **lists)
    return state, about["recipe"]
