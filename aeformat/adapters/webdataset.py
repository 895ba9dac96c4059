"""WebDataset: tar files in which the members of one row follow one another, and share their name up to its first dot.

The latent is a member in .npy.  Other members in .npy become arrays, .txt, .json and .cls texts, all others stay as bytes; each
is a field called by its extension.  Names and order of members are kept; their dates, owners and modes are not.
As of src/webdataset/tariterators.py of webdataset/webdataset, commit e0953f9bba17b416d5792d5a263b171c266e78be.
"""

from __future__ import annotations

import contextlib
import io
import re
import tarfile
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import IO, Final

from aeformat.adapters.arrays import npy_bytes, npy_tensor
from aeformat.adapters.items import LATENT, CacheFormat, Item, Value, chosen_key, value_of
from aeformat.adapters.tensors import Tensor
from aeformat.container.limits import ROW_BYTES
from aeformat.container.names import BadNames, check_name
from aeformat.errors import CacheInvalid

_NAME: Final = re.compile(r"((?:.*/|)[^.]+)\.([^/]*)", re.DOTALL)
_USUAL: Final = ("npy", "latents.npy", "latent.npy")
_TEXTS: Final = ("txt", "json", "cls")
_MODE: Final = 0o444
_PIECE_BYTES: Final = 1 << 20


class WebDatasets(CacheFormat):
    """A folder of .tar."""

    name, suffix, many = "webdataset", ".tar", True

    def items(self, path: Path, file: str, key: str | None) -> Iterator[Item]:
        """As CacheFormat's."""
        lost = ["dates, owners and modes of the members of a tar"]
        with _tar_errors():
            tar = tarfile.open(path, "r:")  # noqa: SIM115 - the next line closes it
        with tar:
            for base, members in groupby(_members(tar), key=lambda member: _split(member.name)[0]):
                with _tar_errors():
                    item = _item(tar, file, base, list(members), key)
                yield item._replace(lost=[*item.lost, *lost])
                lost = []

    def write(self, path: Path, items: Iterable[Item]) -> list[str]:
        """As CacheFormat's."""
        with tarfile.open(path, "w") as tar:
            for item in items:
                base = item.name.removeprefix(f"{item.file}/")
                for field, extension in item.keys.items():
                    value = value_of(item, field)
                    data = npy_bytes(value) if isinstance(value, Tensor) else value
                    _add(tar, f"{base}.{extension}", data.encode() if isinstance(data, str) else data)
        return []


@contextlib.contextmanager
def _tar_errors() -> Iterator[None]:
    """What is wrong with an archive as CacheInvalid."""
    try:
        yield
    except (tarfile.TarError, EOFError) as error:
        raise CacheInvalid(f"no whole .tar file: {error}") from None


def _members(tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """The files in it, one by one: the list of them, which Python's library keeps, stays empty."""
    while True:
        with _tar_errors():
            member = tar.next()
        if member is None:
            _check_end(tar)
            return
        tar.members = []  # type: ignore[attr-defined]
        if member.isfile():
            yield member
        elif not member.isdir():
            raise CacheInvalid(f"member {member.name!r} is a link or a device, which is not followed")


def _check_end(tar: tarfile.TarFile) -> None:
    """Python's library ends without an error where a tar is cut, or a head in it is damaged."""
    file = tar.fileobj
    assert file is not None  # it is open
    file.seek(tar.offset)
    data = file.read(tarfile.BLOCKSIZE)
    if len(data) < tarfile.BLOCKSIZE:
        raise CacheInvalid("no whole .tar file: it ends without the mark of an end")
    while data:
        if data.count(0) != len(data):
            raise CacheInvalid(f"no whole .tar file: no head of a member, and no end, at byte {tar.offset}")
        data = file.read(_PIECE_BYTES)


def _split(name: str) -> tuple[str, str]:
    """What the members of a row share, and the extension."""
    found = _NAME.fullmatch(name)
    if found is None:
        raise CacheInvalid(f"member {name!r} has no extension, and so belongs to no row")
    return found[1], found[2]


def _item(tar: tarfile.TarFile, file: str, base: str, members: list[tarfile.TarInfo], key: str | None) -> Item:
    extensions = [_split(member.name)[1] for member in members]
    if len(set(extensions)) < len(extensions):
        raise CacheInvalid(f"row {base!r} has two members of one extension")
    values: dict[str, Value] = {}
    lost: list[str] = []
    for extension, member in zip(extensions, members, strict=True):
        values[extension], changed = _value(tar, member, extension)
        lost += changed
    arrays = [extension for extension, value in values.items() if isinstance(value, Tensor)]
    usual = [extension for extension in _USUAL if extension in arrays]
    try:
        chosen = usual[0] if usual and key is None else chosen_key(arrays, key)
    except CacheInvalid as error:
        raise CacheInvalid(f"row {base!r}: {error.sentence}") from None
    latent = values.pop(chosen)
    assert isinstance(latent, Tensor)  # it is one of the arrays
    keys = {LATENT if extension == chosen else extension: extension for extension in extensions}
    return Item(file, f"{file}/{base}", latent, keys, values, lost=lost)


def _value(tar: tarfile.TarFile, member: tarfile.TarInfo, extension: str) -> tuple[Value, list[str]]:
    if member.size > ROW_BYTES:
        raise CacheInvalid(f"member {member.name!r} has {member.size:,} bytes; a row has {ROW_BYTES:,} at most")

    def opened() -> IO[bytes]:
        file = tar.extractfile(member)
        assert file is not None  # it is a file
        return file

    if extension.endswith("npy"):
        try:
            return npy_tensor(opened(), opened)
        except CacheInvalid as error:
            raise CacheInvalid(f"member {member.name!r}: {error.sentence}") from None
    data = opened().read()
    if extension.rpartition(".")[2] not in _TEXTS:
        return data, []
    try:
        return data.decode(), []
    except UnicodeDecodeError:
        raise CacheInvalid(f"member {member.name!r} is no text in UTF-8") from None


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    try:
        check_name(name)
    except BadNames as error:
        raise CacheInvalid(f"the name of a member: {error.what}") from None
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(data), _MODE
    tar.addfile(member, io.BytesIO(data))
