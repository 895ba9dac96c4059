"""The models of the distribution aeformat-models, by name and by model id, known where it is not installed.

Owns the index data/models.json (written by tools/model_index.py), so that "not here" can say where it comes from.
"""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from typing import Final

DISTRIBUTION: Final = "aeformat-models"
_MIN_PREFIX: Final = 8  # hexadecimal digits of a model id


def published_name(text: str) -> str | None:
    """The name of the model in aeformat-models that a name, or the first digits of a model id of either half, mean."""
    index = _index()
    if text in index or len(text) < _MIN_PREFIX:
        return text if text in index else None
    return next((name for name, ids in index.items() if any(of.startswith(text) for of in ids.values())), None)


@cache
def _index() -> dict[str, dict[str, str]]:
    """Name -> role -> model id, in hexadecimal digits."""
    index: dict[str, dict[str, str]] = json.loads(
        resources.files("aeformat").joinpath("data/models.json").read_text(encoding="utf-8")
    )
    return index
