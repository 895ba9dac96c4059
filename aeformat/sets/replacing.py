"""A set whose shards are replaced: rows that were made anew, renamed or dropped (spec/sets.md, S4-2).

Owns that nothing is lost that others have committed meanwhile.  What is in the new shards is for whoever wrote them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from aeformat.container.header import LatentsHeader
from aeformat.errors import UsageError
from aeformat.sets.manifest import NAME, Manifest, Shard, parse_manifest
from aeformat.sets.set_writer import locked, read_manifest, replace_manifest


def commit_replaced(
    folder: Path,
    read: Manifest,
    header: LatentsHeader,
    replaced: Mapping[bytes, Shard | None],
    added: Sequence[Shard],
) -> Manifest:
    """Put other shards in the place of some, or nothing, and new ones behind, in one step; returns the new manifest.

    read: the manifest that this was made from.  replaced: by the digest of a shard in it.  Shards that were added meanwhile
    stay, unless the header is another.  The old files stay too: readers may hold the old manifest.

    Raises UsageError where another writer has replaced what this would replace; then nothing is committed.
    """
    with locked(folder):
        data = read_manifest(folder)
        now = read if data is None else parse_manifest(data)
        listed = {shard.digest for shard in now.shards}
        is_theirs_stale = header != read.header and now.shards != read.shards
        if data is None or now.header != read.header or not replaced.keys() <= listed or is_theirs_stale:
            raise UsageError(
                f"{folder / NAME} was changed by another writer meanwhile; nothing was committed, start again"
            )
        kept = [replaced.get(shard.digest, shard) for shard in now.shards]
        shards = tuple(dict.fromkeys([shard for shard in kept if shard is not None] + list(added)))
        if len({shard.digest for shard in shards}) < len(shards):
            raise UsageError(f"{folder / NAME}: two shards would be the same file; nothing was committed")
        made = now._replace(
            header=header,
            shards=shards,
            generation=now.generation + 1,
            previous=hashlib.sha256(data).digest(),
        )
        replace_manifest(folder, made)
    return made
