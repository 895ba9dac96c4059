"""Where model packages are on this machine.

Owns the folders of shipped models (this software's own, and that of the distribution aeformat-models), the cache, and the
search in all of them by the headers of the files.  Needs no NumPy.  store.py reads and verifies the packages.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from aeformat.errors import FormatError
from aeformat.model.identity import read_model_id

_log: Final = logging.getLogger("aeformat")
_MORE_MODELS: Final = (
    "aeformat_models"  # the folder that the distribution aeformat-models installs (models/pyproject.toml)
)


def shipped_folder() -> Path | None:
    """The folder of the models that came with this software: a few in the wheel, all of models/ in a checkout."""
    package = Path(__file__).resolve().parents[1]
    inside = package / "shipped_models"
    if inside.is_dir():
        return inside
    beside = package.parent / "models"
    return beside if beside.is_dir() and (package.parent / "pyproject.toml").is_file() else None


def shipped_files() -> list[Path]:
    """The shipped packages, by name: this software's own, and those of aeformat-models where it is installed.

    Of two files with one name, the one of this software counts.
    """
    own = shipped_folder()
    found = importlib.util.find_spec(_MORE_MODELS)
    more = [] if found is None else map(Path, found.submodule_search_locations or ())
    folders = [*more, *([] if own is None else [own])]
    return [
        path for _, path in sorted({path.name: path for folder in folders for path in folder.glob("*.aef")}.items())
    ]


def cache_folder() -> Path:
    """The folder of the cache; it need not exist.  $AEFORMAT_CACHE, else the system's folder for caches."""
    if chosen := os.environ.get("AEFORMAT_CACHE"):
        return Path(chosen) / "models"
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or str(Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = str(Path.home() / "Library" / "Caches")
    else:
        base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "aeformat" / "models"


def cached_path(model_id: bytes) -> Path:
    """The path of a package in the cache; the file need not exist."""
    return cache_folder() / f"{model_id.hex()}.aef"


def files_of(model_id: bytes) -> Iterator[Path]:
    """The file in the cache for a model id, unread; then the shipped files whose header states that id."""
    path = cached_path(model_id)
    if path.is_file():
        yield path
    yield from shipped_files_of(model_id)


def shipped_files_of(model_id: bytes) -> Iterator[Path]:
    """The shipped packages whose header states this model id.  One that cannot be read is left out, and logged."""
    for path in shipped_files():
        try:
            if read_model_id(path) == model_id:
                yield path
        except FormatError as error:
            _log.warning("%s is damaged: %s", path, error)
