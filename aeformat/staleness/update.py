"""`update`: a file or a set made current again, at the cost of the rows that are not.

Owns what is done with each row, and that it is done wholly or not at all.  How a file is written is rewriting.py's,
how a set is committed sets/replacing.py's.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from aeformat.atomic import temporary_in
from aeformat.container.described import Described
from aeformat.container.header import LatentsHeader
from aeformat.errors import UsageError
from aeformat.paths import checked_path, is_url
from aeformat.pipeline.create import checked_description
from aeformat.pipeline.opening import open_file
from aeformat.pipeline.progress import SILENT, Progress
from aeformat.sets.manifest import NAME, Manifest, Shard, parse_manifest
from aeformat.sets.opening import is_set, open_latents_or_set
from aeformat.sets.places import manifest_path
from aeformat.sets.replacing import commit_replaced
from aeformat.sets.set_reader import LatentsSet
from aeformat.sets.set_writer import finished, shard_of
from aeformat.staleness.check import Checked, compared, images_for, rows_of
from aeformat.staleness.compare import CHANGED, CURRENT, GONE, RENAMED, UNKNOWN, Matched, Row
from aeformat.staleness.encoding import Encode, Encoder
from aeformat.staleness.folder import Image, Images
from aeformat.staleness.preparation import given_network
from aeformat.staleness.rewriting import DROP, ENCODE, KEEP, Action, begun, write_new, write_rows

if TYPE_CHECKING:
    from aeformat.exchange.network_id import NetworkId
    from aeformat.reader import Latents

BATCH_ROWS: Final = 32


class Updated(NamedTuple):
    """What `update` did.  encoded: rows made, new ones among them; kept: bit for bit, renamed ones among them.

    checked: what `check` says now.  left_behind: shards that the set no longer names, and that are still there.
    """

    encoded: int
    new: int
    kept: int
    renamed: int
    pruned: int
    checked: Checked
    left_behind: tuple[Path, ...] = ()


class _Plan(NamedTuple):
    """actions: of each row.  images: to be encoded, in the order of their rows, then new ones."""

    header: LatentsHeader
    rows: tuple[Row, ...]
    actions: list[Action]
    images: list[Image]
    new: list[Image]

    @property
    def changes(self) -> bool:
        """Whether anything is to be written."""
        return bool(self.new) or any(action != Action(KEEP) for action in self.actions)


def update(
    path: str | os.PathLike[str],
    images: Images,
    encode: Encode,
    *,
    decoder: str | os.PathLike[str] | bytes | None = None,
    described: Described | None = None,
    prune: bool = False,
    encode_unknown: bool = False,
    arrays: bool = False,
    batch_rows: int = BATCH_ROWS,
    fast: bool = False,
    progress: Progress = SILENT,
) -> Updated:
    """Encode what is changed or new, give renamed rows their new names, and keep all other rows bit for bit.

    encode: a function that takes a list of paths of images, at most batch_rows, and returns their latents: an array (n, *dims),
    a list of n arrays, or an Encoded, which has fields too.  arrays: it takes images (h, w, c) uint8 in place of paths.
    A row that is encoded keeps its place, label and fields, but for those that encode returns; new rows come at the end.
    images, decoder, described, fast: as of `check`.  Where the decoder or the preprocessing is another, all rows are encoded,
    and the file names what was given.
    prune: drop rows whose image is gone.  encode_unknown: encode rows that do not say what they were made from, if there is an
    image of their name; else they are kept, and stay unknown.  progress: told of rows as they are encoded.

    A file is replaced, and of a set the manifest, in one step at the end: before it, and after any error or crash, all is as it
    was.  Shards that hold what is not kept are written anew, others are not touched.
    Raises UsageError, ImageError, FormatError, OSError, and what encode raises.  Source: docs/checking.md.
    """
    if isinstance(batch_rows, bool) or not isinstance(batch_rows, int) or batch_rows < 1:
        raise UsageError(f"batch_rows is {batch_rows!r}, and must be an integer of 1 or more")
    for name in (path, images):
        if is_url(name):
            raise UsageError(
                f"{name}: what is at a URL is checked there, and updated in a folder: copy it, and put it back"
            )
    network = given_network(decoder)
    found = images_for(path, images, fast=fast)
    checked, match = compared(path, found, network, described)
    with open_latents_or_set(path) as latents:
        header = _new_header(latents.header, checked, network, described)
    plan = _plan(header, checked, match, prune=prune, encode_unknown=encode_unknown)
    encoder = Encoder(encode, [*plan.images, *plan.new], batch_rows=batch_rows, arrays=arrays, progress=progress)
    left_behind: tuple[Path, ...] = ()
    if plan.changes and is_set(path):
        left_behind = _update_set(Path(manifest_path(path)), plan, encoder)
    elif plan.changes:
        _update_file(Path(checked_path(path)), plan, encoder)
    after, _ = compared(path, found, network, described)
    done = Counter(action.what for action in plan.actions)
    n_renamed = sum(action.name is not None and action.what == KEEP for action in plan.actions)
    return Updated(encoder.n_rows, len(plan.new), done[KEEP], n_renamed, done[DROP], after, left_behind)


def _new_header(
    header: LatentsHeader, checked: Checked, network: NetworkId | None, described: Described | None
) -> LatentsHeader:
    """What the file says from now on.  Raises UsageError for another package, and for a description that does not fit."""
    if checked.is_decoder_stale and network is not None:
        if network.is_package or header.decoder:
            raise UsageError(
                f"{checked.name}: the decoder is another one, and a package is among the two; pack the images anew, with "
                "aeformat.pack"
            )
        names_encoder = header.encoder is not None or (
            header.described is not None and header.described.foreign_encoder is not None
        )
        if names_encoder and described is None:
            raise UsageError(
                f"{checked.name} names the encoder as well, which may be another now too; give described, with "
                "foreign_encoder as it is now"
            )
        header = header._replace(foreign_decoder=network.id, encoder=None)
    if checked.described and described is not None:
        header = header._replace(described=checked_description(described, header))
    return header


def _plan(header: LatentsHeader, checked: Checked, match: Matched, *, prune: bool, encode_unknown: bool) -> _Plan:
    """Raises UsageError where a row would have to be encoded, and cannot."""
    is_all_stale = checked.is_decoder_stale or bool(checked.described)
    encoded = {CHANGED} | ({UNKNOWN} if encode_unknown else set())
    encoded |= {CURRENT, RENAMED, UNKNOWN} if is_all_stale else set()
    actions = []
    for number, (state, image) in enumerate(zip(match.states, match.images, strict=True)):
        if state == GONE and prune:
            actions.append(Action(DROP))
        elif image is not None and state in encoded:
            actions.append(Action(ENCODE))
        elif is_all_stale:
            name, advice = checked.rows[number].name or "without a name", "; prune drops it" if state == GONE else ""
            raise UsageError(
                f"{checked.name}: row {number} ({name}) has no image, so it cannot be encoded as the others must be{advice}"
            )
        else:
            is_renamed = state == RENAMED and image is not None and checked.rows[number].name is not None
            actions.append(Action(KEEP, image.name if is_renamed and image is not None else None))
    of_rows = [
        image
        for image, action in zip(match.images, actions, strict=True)
        if action.what == ENCODE and image is not None
    ]
    _check_one_row_each(checked, of_rows)
    if not match.new and all(action.what == DROP for action in actions):
        raise UsageError(f"{checked.name}: no row would be left, and a file has one at least; delete it instead")
    return _Plan(header, checked.rows, actions, of_rows, match.new)


def _check_one_row_each(checked: Checked, images: Sequence[Image]) -> None:
    """Several rows of one image (crops, mirrored ones): a function that sees an image cannot know which is meant."""
    for name, count in Counter(image.name for image in images).items():
        if count > 1:
            raise UsageError(
                f"{checked.name}: {count} rows are of the image {name}, which must be encoded, and encode cannot know which of "
                "them is meant: write these rows anew"
            )


def _check_unchanged(latents: Latents | LatentsSet, plan: _Plan) -> None:
    """That nobody has written the file or the set since it was compared.  Raises UsageError."""
    if tuple(rows_of(latents)) != plan.rows:
        raise UsageError(f"{latents.name} was changed by another writer meanwhile; nothing was written, start again")


def _update_file(path: Path, plan: _Plan, encoder: Encoder) -> None:
    with open_file(path) as latents:
        _check_unchanged(latents, plan)
        file = begun(path, plan.header, latents.field_types, latents, force=True)
        with file:
            write_rows(latents, file, plan.actions, encoder)
            write_new(file, len(plan.new), encoder)
            latents.close()  # some systems replace no file that is open


def _update_set(place: Path, plan: _Plan, encoder: Encoder) -> tuple[Path, ...]:
    """The shards that are no longer named."""
    if place.name != NAME:
        raise UsageError(f"{place} is not called {NAME}, as a set must be that is written to")
    with LatentsSet(place) as latents:
        manifest = latents.manifest
        _check_unchanged(latents, plan)
    is_new_header = plan.header != manifest.header
    ends = list(accumulate(shard.rows for shard in manifest.shards))
    replaced: dict[bytes, Shard | None] = {}
    for shard, end in zip(manifest.shards, ends, strict=True):
        actions = plan.actions[end - shard.rows : end]
        if is_new_header or any(action != Action(KEEP) for action in actions):
            replaced[shard.digest] = _new_shard(place.parent, shard, manifest, plan, actions, encoder)
    added = [_shard_of_new(place.parent, manifest, plan, encoder)] if plan.new else []
    commit_replaced(place.parent, manifest, plan.header, replaced, added)
    now = {shard.name for shard in parse_manifest(place.read_bytes()).shards}
    return tuple(place.parent / shard.name for shard in manifest.shards if shard.name not in now)


def _new_shard(
    folder: Path, shard: Shard, manifest: Manifest, plan: _Plan, actions: list[Action], encoder: Encoder
) -> Shard | None:
    """A shard in the place of one; None if none of its rows is left."""
    if all(action.what == DROP for action in actions):
        return None
    temporary = temporary_in(folder)
    with (
        open_file(folder / shard.name) as latents,
        begun(temporary, plan.header, manifest.field_types, latents, force=False) as file,
    ):
        write_rows(latents, file, actions, encoder)
    return shard_of(folder, finished(temporary))[0]


def _shard_of_new(folder: Path, manifest: Manifest, plan: _Plan, encoder: Encoder) -> Shard:
    temporary = temporary_in(folder)
    with ExitStack() as opened:
        first = manifest.shards[0].name if manifest.shards else None
        like = None if first is None else opened.enter_context(open_file(folder / first))
        with begun(temporary, plan.header, manifest.field_types, like, force=False) as file:
            write_new(file, len(plan.new), encoder)
    return shard_of(folder, finished(temporary))[0]
