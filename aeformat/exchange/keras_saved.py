"""The description of a network inside a Keras file: JSON in a .keras archive, or an attribute of an .h5 file.

Owns reading it without Keras, and a copy of the file with another description.  Knows nothing of what the description means
(keras_modern.py does), or of weights.
"""

from __future__ import annotations

import json
import shutil
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from aeformat.errors import UsageError

ARCHIVE: Final = ".keras"
_CONFIG, _METADATA = "config.json", "metadata.json"
_H5_CONFIG: Final = "model_config"


@dataclass(frozen=True, slots=True)
class Saved:
    """config: the whole network, as Keras wrote it.  version, backend: of the Keras that did; "" where it is not said."""

    config: dict[str, Any]
    version: str
    backend: str = ""

    @property
    def is_old(self) -> bool:
        """Written by a Keras before 3: tf.keras, tf_keras, or Keras by itself."""
        return self.version.split(".")[0] in ("", "0", "1", "2")


def read_saved(path: Path) -> Saved:
    """The description.  Raises UsageError."""
    try:
        return _read_archive(path) if path.suffix == ARCHIVE else _read_h5(path)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise UsageError(f"{path}: Keras cannot load it: {_first_line(error)}") from error


def write_with_config(path: Path, config: dict[str, Any], target: Path) -> None:
    """A copy of the file at target, with another description."""
    text = json.dumps(config)
    if path.suffix != ARCHIVE:
        import h5py

        shutil.copyfile(path, target)
        target.chmod(0o600)
        with h5py.File(target, "r+") as file:
            file.attrs[_H5_CONFIG] = text
        return
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(target, "w") as copy:
        for item in source.infolist():
            with source.open(item) as data, copy.open(item.filename, "w", force_zip64=True) as out:
                if item.filename == _CONFIG:
                    out.write(text.encode())
                else:
                    shutil.copyfileobj(data, out)


def _read_archive(path: Path) -> Saved:
    if not zipfile.is_zipfile(path):
        raise UsageError(f"{path}: is no .keras file, which is a zip archive; it is another file, or cut short")
    with zipfile.ZipFile(path) as archive:
        config = json.loads(archive.read(_CONFIG))
        names = archive.namelist()
        metadata = json.loads(archive.read(_METADATA)) if _METADATA in names else {}
    return Saved(_map(config), str(_map(metadata).get("keras_version", "")))


def _read_h5(path: Path) -> Saved:
    import h5py

    with h5py.File(path, "r") as file:
        if _H5_CONFIG not in file.attrs:
            raise UsageError(f"{path}: holds weights and no network; save the whole model, with model.save")
        config = json.loads(_text(file.attrs[_H5_CONFIG]))
        version, backend = (_text(file.attrs.get(key, "")) for key in ("keras_version", "backend"))
    return Saved(_map(config), version, backend)


def _text(value: Any) -> str:
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)


def _map(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"a {type(value).__name__} where a JSON object belongs")
    return value


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0][:300]
