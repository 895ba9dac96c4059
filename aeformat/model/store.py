"""Find, list and install model packages.

There are three places: the shipped models, files and folders that the user names, and a cache of packages under their model
ids.  Owns the order of the search, and the check that a package found is the one asked for.  Does not know how a network is
run: the caller of `install` passes the check of the golden set.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

from aeformat.atomic import AtomicFile
from aeformat.errors import DecoderMismatch, DecoderMissing, FormatError, Hint, UsageError
from aeformat.model import places
from aeformat.model.file_io import read_heading, read_package
from aeformat.model.identity import read_model_id
from aeformat.model.manifest import DECODER, ENCODER, Manifest
from aeformat.model.package import ModelPackage
from aeformat.model.published import DISTRIBUTION, published_name

_log: Final = logging.getLogger("aeformat")
_SUFFIX: Final = {ENCODER: ".encoder.aef", DECODER: ".decoder.aef"}
_HEX: Final = frozenset("0123456789abcdef")
_N_KEPT: Final = 8  # packages that stay in memory
_MIN_PREFIX: Final = 8  # hexadecimal digits
_SHOWN: Final = 80  # characters of a wrong name in an error


@dataclass(frozen=True, slots=True)
class Listed:
    """One package on this machine.  place: "shipped" or "cache".  name: from a shipped file's name, else the header."""

    path: Path
    place: str
    name: str | None
    model_id: bytes
    manifest: Manifest


def shipped_names() -> list[str]:
    """The names of the shipped models."""
    names, suffix = _shipped_paths(), _SUFFIX[ENCODER]
    return [name.removesuffix(suffix) for name in names if name.endswith(suffix)]


def one_size_names() -> list[str]:
    """Those of the shipped models that take images of one size."""
    names = ((name, _shipped_paths()[name + _SUFFIX[ENCODER]]) for name in shipped_names())
    return [name for name, path in names if read_heading(path).manifest.scale is None]


def shipped_file(name: str, role: str) -> Path:
    """The file of one half of a shipped model.  Raises UsageError."""
    path = _shipped_paths().get(name + _SUFFIX[role])
    if path is None:
        raise _not_here(name) or UsageError(
            f"there is no shipped {role} {name!r}; there are {', '.join(shipped_names()) or 'none'}"
        )
    return path


def find_pair(name_or_path: str) -> tuple[ModelPackage, ModelPackage]:
    """Encoder and decoder, by the name of a shipped model, a path, or a model id (8 digits of it are enough).

    A name that is shipped means that model, whatever lies in the current folder; "./NAME" is a path.  A path is
    one of the two files NAME.encoder.aef and NAME.decoder.aef, their common beginning, or a folder with one such pair.

    Raises UsageError where there is no such model, DecoderMismatch where the two do not belong together.
    """
    files = _files_of_name(name_or_path) or _files_of_path(_path(name_or_path))
    if files is not None:
        pair = _kept_package(files[0]), _kept_package(files[1])
    elif _is_model_id(name_or_path):
        pair = _pair_of_model_id(name_or_path)
    else:
        known = ", ".join(shipped_names()) or "none"
        if _is_file(Path(name_or_path)):
            raise UsageError(
                f"{name_or_path} is no model: a model is two files, NAME.encoder.aef and NAME.decoder.aef beside it"
            )
        raise _not_here(name_or_path) or UsageError(
            f"no model {name_or_path[:_SHOWN]!r}: not a shipped one ({known}), not a path, not a model id in the cache"
        )
    encoder, decoder = pair
    if (encoder.role, decoder.role) != (ENCODER, DECODER) or encoder.manifest.decoder != decoder.model_id:
        raise DecoderMismatch(f"{name_or_path}: encoder and decoder do not belong together")
    return encoder, decoder


def find_decoder(model_id: bytes, *, given: str | Path | None = None) -> ModelPackage:
    """The decoder with a model id, from this machine; or from the file `given`, and then from nowhere else.

    Raises DecoderMissing; DecoderMismatch for a package that is another; FormatError and UsageError for a file that is
    broken, not there, or no package.
    """
    wanted = model_id.hex()
    if given is not None:
        found = read_model_id(given)
        if found != model_id:
            raise DecoderMismatch(
                f"{given} holds model {found.hex()[:12]}, the file needs decoder {wanted}", hint=Hint.GIVE_OTHER_DECODER
            )
        return _as_decoder(read_package(given))
    here = _find_here(model_id)
    if here is not None:
        return _as_decoder(here)
    known = published_name(wanted)
    if known is not None:
        what = f"decoder {wanted} is not here: it is that of model {known}, which comes with {DISTRIBUTION}"
        raise DecoderMissing(what, hint=Hint.INSTALL_MODELS)
    raise DecoderMissing(f"decoder {wanted} is not here", hint=Hint.GET_DECODER)


def find_packages(name_or_path: str) -> list[ModelPackage]:
    """The packages that a name, a path or a model id stands for: a file's one package, else both halves of a pair.

    Raises UsageError, DecoderMismatch, FormatError.
    """
    path = _path(name_or_path)
    is_named = name_or_path in shipped_names()
    return [_kept_package(path)] if not is_named and _is_file(path) else list(find_pair(name_or_path))


def install(source: bytes | str | Path, check: Callable[[ModelPackage], None]) -> bytes:
    """Check a package, put it into the cache, and return its model id.  A package that is already there is kept.

    check: runs the golden set and raises GoldenMismatch.  Raises FormatError, UsageError.
    """
    data = source if isinstance(source, bytes) else _read(Path(source))
    package = read_package(data)
    if _read_cached(package.model_id) is not None:
        return package.model_id
    check(package)
    path = places.cached_path(package.model_id)
    path.parent.mkdir(parents=True, exist_ok=True)
    with AtomicFile(path, force=True) as file:
        file.write(data)
    return package.model_id


def list_models() -> list[Listed]:
    """All packages on this machine.  One that cannot be read is left out, and logged."""
    return [*_listed(places.shipped_files(), "shipped"), *_listed(_cached_files(), "cache")]


def _path(text: str) -> Path:
    if not text:
        raise UsageError('no model is named: "" is neither a name nor a path')
    return Path(text)


def _is_file(path: Path) -> bool:
    """Whether it is one; no name that the system cannot have is (too long, or with a NUL)."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def _files_of_path(path: Path) -> tuple[Path, Path] | None:
    if _is_folder(path):
        encoders = sorted(path.glob("*" + _SUFFIX[ENCODER]))
        if len(encoders) != 1:
            raise UsageError(f"{path} has {len(encoders)} files *{_SUFFIX[ENCODER]}; name the one you mean")
        path = encoders[0]
    for suffix in _SUFFIX.values():
        if path.name.endswith(suffix):
            path = path.with_name(path.name.removesuffix(suffix))
    files = tuple(path.with_name(path.name + suffix) for suffix in _SUFFIX.values())
    if not any(map(_is_file, files)):
        return None
    for file in files:
        if not _is_file(file):
            raise UsageError(f"{file} is not there; a model is two files, *.encoder.aef and *.decoder.aef")
    return files[0], files[1]


def _files_of_name(name: str) -> tuple[Path, Path] | None:
    encoder = _shipped_paths().get(name + _SUFFIX[ENCODER])
    return None if encoder is None else _files_of_path(encoder)


def _not_here(name_or_id: str) -> UsageError | None:
    """What to say of a model that is not here, where it is one of aeformat-models."""
    known = published_name(name_or_id)
    if known is None:
        return None
    return UsageError(f"model {known} is not here: it comes with {DISTRIBUTION}", hint=Hint.INSTALL_MODELS)


def _kept_package(path: Path) -> ModelPackage:
    """The package in a file, which is read again only when size or time of the file have changed."""
    try:
        status = path.stat()
    except OSError:
        return read_package(path)
    return _read_once(path.absolute(), status.st_size, status.st_mtime_ns, status.st_ino)


@lru_cache(maxsize=_N_KEPT)
def _read_once(path: Path, size: int, mtime_ns: int, number: int) -> ModelPackage:
    return read_package(path)


def _is_model_id(text: str) -> bool:
    return _MIN_PREFIX <= len(text) <= 64 and set(text) <= _HEX


def _pair_of_model_id(prefix: str) -> tuple[ModelPackage, ModelPackage]:
    """The pair that a model id, of either half, belongs to."""
    listed = list_models()
    hits = {found.model_id for found in listed if found.model_id.hex().startswith(prefix)}
    if len(hits) != 1:
        if not hits and (error := _not_here(prefix)):
            raise error
        count = "no model here" if not hits else f"{len(hits)} models here"
        raise UsageError(f"{count} with a model id that begins with {prefix}")
    (model_id,) = hits
    for found in listed:
        decoder = found.manifest.decoder
        if decoder is not None and model_id in (found.model_id, decoder):
            return read_package(found.path), find_decoder(decoder)
    raise UsageError(f"the encoder that belongs to decoder {prefix} is not here")


def _find_here(model_id: bytes) -> ModelPackage | None:
    """The package in the cache or among the shipped ones."""
    found = _read_cached(model_id)
    if found is not None:
        return found
    for path in places.shipped_files_of(model_id):
        try:
            return read_package(path)
        except FormatError as error:
            _log.warning("%s is damaged: %s", path, error)
    return None


def _read_cached(model_id: bytes) -> ModelPackage | None:
    """The package from the cache, or None.  A file that is damaged or is another package is removed, and logged."""
    path = places.cached_path(model_id)
    if not path.is_file():
        return None
    try:
        package = read_package(path)
        if package.model_id == model_id:
            return package
        what = f"it holds {package.model_id.hex()[:12]}"
    except FormatError as error:
        what = str(error)
    _log.warning("removed %s from the cache, it was damaged: %s", path.name, what)
    path.unlink(missing_ok=True)
    return None


def _as_decoder(package: ModelPackage) -> ModelPackage:
    if package.role != DECODER:
        raise DecoderMismatch(f"{package.model_id.hex()} is an encoder, not a decoder")
    return package


def _shipped_paths() -> dict[str, Path]:
    """File name -> path."""
    return {path.name: path for path in places.shipped_files()}


def _cached_files() -> list[Path]:
    folder = places.cache_folder()
    return [path for path in sorted(folder.glob("*.aef")) if len(path.stem) == 64] if folder.is_dir() else []


def _listed(paths: Iterable[Path], place: str) -> Iterator[Listed]:
    for path in paths:
        try:
            heading = read_heading(path)
        except FormatError as error:
            _log.warning("%s is damaged: %s", path, error)
            continue
        role = heading.manifest.role
        name = path.name.removesuffix(_SUFFIX[role]) if place == "shipped" else heading.name
        yield Listed(path, place, name, heading.model_id, heading.manifest)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
