"""The latents that diffusion-pipe keeps: folders with metadata.db, an SQLite file, and shard_0.bin, shard_1.bin and so on.

A shard is what torch.save has written, one dict after the other; the tables of metadata.db say where each begins.  Kept are
also the shard of each row, and the fingerprint, without which the tool would make its cache anew.
As of utils/cache.py of tdrussell/diffusion-pipe, commit 0b78c6b5dd5914dffe114343027c5d84676043ed.
"""

from __future__ import annotations

import contextlib
import re
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any, Final

from aeformat.adapters.items import LATENT, CacheFormat, Contents, Item, chosen_key
from aeformat.adapters.tensors import Tensor
from aeformat.adapters.torch_files import contents_of, loaded, saved
from aeformat.container.limits import ROW_BYTES
from aeformat.errors import CacheInvalid

_DATABASE: Final = "metadata.db"
_SHARD: Final = re.compile(r"shard_\d{1,9}\.bin")
_TEXTS: Final = re.compile(r"text_embeddings_\d+")  # as utils/dataset.py of the tool calls such folders
_FINGERPRINT: Final = "fingerprint"
_IN_SHARD: Final = "shard"
_MOST_SHARDS: Final = 10**9


class DiffusionPipeFiles(CacheFormat):
    """A folder `latents` of its cache, or one above it."""

    name, suffix, many = "diffusion-pipe", _DATABASE, True

    def why_not(self, name: str) -> str | None:
        """As CacheFormat's; a shard is part of its database."""
        return "" if _SHARD.fullmatch(name) else super().why_not(name)

    def why_not_below(self, folder: str) -> str | None:
        """As CacheFormat's."""
        return "text embeddings, which are a set of their own" if _TEXTS.fullmatch(folder) else None

    def items(self, path: Path, file: str, key: str | None) -> Iterator[Item]:
        """As CacheFormat's."""
        with (
            _sql_errors(),
            contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database,
        ):
            found = database.execute("SELECT value FROM fingerprint").fetchone()
            about: dict[str, Any] = {_FINGERPRINT: found[0] if found else None}
            for number, (shard, data) in enumerate(_pieces(database, path.parent)):
                contents = contents_of(loaded(data), {})
                chosen = chosen_key(list(contents.tensors), key)
                keys = {LATENT if name == chosen else name: name for name in contents.tensors}
                extras = {name: tensor for name, tensor in contents.tensors.items() if name != chosen}
                metadata = {**about, _IN_SHARD: shard, **(contents.metadata or {})}
                yield Item(file, f"{file}/{number:08d}", contents.tensors[chosen], keys, extras, metadata)
                about = {}

    def write(self, path: Path, items: Iterable[Item]) -> list[str]:
        """As CacheFormat's."""
        with contextlib.closing(sqlite3.connect(path)) as database, contextlib.ExitStack() as stack:
            database.execute("CREATE TABLE fingerprint(value)")
            database.execute("CREATE TABLE items(shard, shard_index)")
            shards: dict[int, tuple[IO[bytes], int]] = {}
            opened: IO[bytes]
            for item in items:
                about = dict(item.metadata or {})
                if _FINGERPRINT in about:
                    database.execute("INSERT INTO fingerprint VALUES (?)", (about.pop(_FINGERPRINT),))
                shard = _number(about.pop(_IN_SHARD, 0))
                if shard not in shards:
                    opened = stack.enter_context((path.parent / f"shard_{shard}.bin").open("xb"))
                    database.execute(f"CREATE TABLE shard_{shard}(offset, size)")
                    shards[shard] = opened, 0
                opened, index = shards[shard]
                data = saved(Contents(_tensors(item), about))
                database.execute("INSERT INTO items VALUES (?, ?)", (shard, index))
                database.execute(f"INSERT INTO shard_{shard} VALUES (?, ?)", (opened.tell(), len(data)))
                opened.write(data)
                shards[shard] = opened, index + 1
            database.commit()
        return []


def _tensors(item: Item) -> dict[str, Tensor]:
    values = {LATENT: item.latent, **item.extras}
    return {key: value for field, key in item.keys.items() if isinstance(value := values.get(field), Tensor)}


@contextlib.contextmanager
def _sql_errors() -> Iterator[None]:
    """What is wrong with the database as CacheInvalid."""
    try:
        yield
    except sqlite3.Error as error:
        raise CacheInvalid(f"no database of diffusion-pipe: {error}") from None


def _number(value: Any, most: int = _MOST_SHARDS) -> int:
    if type(value) is not int or not 0 <= value < most:
        raise CacheInvalid(f"its tables have {value!r} where a number from 0 to {most - 1:,} must be")
    return value


def _pieces(database: sqlite3.Connection, folder: Path) -> Iterator[tuple[int, bytes]]:
    """The shard and the bytes of each row."""
    with contextlib.ExitStack() as stack:
        files: dict[int, IO[bytes]] = {}
        for shard, index in database.execute("SELECT shard, shard_index FROM items ORDER BY rowid"):
            _number(shard)
            found = database.execute(
                f"SELECT offset, size FROM shard_{shard} ORDER BY rowid LIMIT 1 OFFSET ?", (_number(index),)
            ).fetchone()
            if found is None:
                raise CacheInvalid(f"row {index} of shard {shard} is not in its table")
            if shard not in files:
                files[shard] = stack.enter_context((folder / f"shard_{shard}.bin").open("rb"))
            size = _number(found[1], 4 * ROW_BYTES)
            files[shard].seek(_number(found[0], 1 << 62))
            data = files[shard].read(size)
            if len(data) < size:
                raise CacheInvalid(f"shard_{shard}.bin ends before row {index} of it does")
            yield shard, data
