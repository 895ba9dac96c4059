"""Where model packages are on this machine.

Owns the folder of shipped models, the cache, and the search in both by the headers of the files.  Needs no NumPy.  store.py
reads and verifies the packages.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from aeformat.errors import FormatError
from aeformat.model.identity import read_model_id

_log: Final = logging.getLogger("aeformat")


def shipped_folder() -> Path | None:
    """The folder of the models that came with this software: in the wheel, or models/ in a checkout."""
    package = Path(__file__).resolve().parents[1]
    inside = package / "shipped_models"
    if inside.is_dir():
        return inside
    beside = package.parent / "models"
    return beside if beside.is_dir() and (package.parent / "pyproject.toml").is_file() else None


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
    yield from shipped_files(model_id)


def shipped_files(model_id: bytes) -> Iterator[Path]:
    """The shipped packages whose header states this model id.  One that cannot be read is left out, and logged."""
    folder = shipped_folder()
    for path in sorted(folder.glob("*.aef")) if folder is not None else ():
        try:
            if read_model_id(path) == model_id:
                yield path
        except FormatError as error:
            _log.warning("%s is damaged: %s", path, error)
