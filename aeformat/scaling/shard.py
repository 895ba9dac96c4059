"""The shard of one range: what one machine calls for each, and each worker of many (spec/sets.md, section 5).

Owns that a range is made once, as far as anybody can tell: who finds it made takes it as it is (S5-3).
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, NamedTuple

from aeformat.atomic import NO_ROOM
from aeformat.container.field_types import FieldTypes, pack_types, parse_types
from aeformat.container.header import LatentsHeader, parse_header
from aeformat.errors import FormatError, ImageError, SetInvalid
from aeformat.images.ranged import RangedSource
from aeformat.paths import named
from aeformat.pipeline.models import Model
from aeformat.scaling.packages import model_here
from aeformat.scaling.plan import Plan, mark_name, read_part, read_plan
from aeformat.sets.manifest import Shard
from aeformat.sets.places import Place, place_at
from aeformat.sets.set_writer import shard_of

_TRIES: Final = 3  # of a range whose files cannot be read or written
_PAUSE: Final = 1.0  # seconds before the second try; twice as long before the next


class Mark(NamedTuple):
    """What a range has become.  shard: None where no row is left.  skipped: (row name, reason) of rows that were left out.

    was_there: it had been made before.
    """

    shard: Shard | None
    header: LatentsHeader | None
    field_types: FieldTypes
    skipped: tuple[tuple[str, str], ...]
    was_there: bool = False

    def to_bytes(self) -> bytes:
        """The mark's file."""
        said: dict[str, Any] = {"skipped": [list(row) for row in self.skipped]}
        if self.shard is not None and self.header is not None:
            shard = {
                key: value.hex() if isinstance(value, bytes) else value for key, value in self.shard._asdict().items()
            }
            said |= {"shard": shard, "flags": self.header.flags, "header": self.header.to_bytes().hex()}
            said |= {"fields": pack_types(self.field_types).hex()} if self.field_types else {}
        return json.dumps(said, sort_keys=True).encode("ascii")


def parse_mark(data: bytes) -> Mark:
    """The mark in a file.  Raises SetInvalid (S5-3)."""
    try:
        said = json.loads(data)
        skipped = tuple((str(name), str(reason)) for name, reason in said["skipped"])
        if "shard" not in said:
            return Mark(None, None, {}, skipped, was_there=True)
        shard = said["shard"]
        digests = {key: bytes.fromhex(shard[key]) for key in ("digest", "content_id")}
        header = parse_header(bytes.fromhex(said["header"]), 0, int(said["flags"]))
        types = parse_types(bytes.fromhex(said["fields"])) if "fields" in said else {}
        made = Shard(
            str(shard["name"]), digests["digest"], int(shard["rows"]), digests["content_id"], int(shard["bytes"])
        )
    except (ValueError, KeyError, TypeError, FormatError) as error:
        raise SetInvalid("S5-3", 0, f"this is no mark of a range: {error}") from None
    if not isinstance(header, LatentsHeader):
        raise SetInvalid("S5-3", 0, "the mark has the header of a model")
    return Mark(made, header, types, skipped, was_there=True)


@dataclass(frozen=True)
class RangeTask:
    """Called with the number of a range, it makes the shard.  It is all that is sent to a worker: names, no model, no image.

    output: the place of the set.  model: as the job was told.  skips: leave out bad images.
    """

    output: str
    plan_id: str
    model: str
    skips: bool
    batch_rows: int
    backend: str

    def __call__(self, number: int) -> Mark:
        """Make the shard of a range, unless it is made; again where a file could not be read or written.

        Raises ImageError, UsageError, FormatError, DecoderError, OSError.
        """
        for wait in range(_TRIES):
            try:
                return self._made(number)
            except (FileNotFoundError, PermissionError):
                raise
            except OSError as error:
                if error.errno in NO_ROOM or wait + 1 == _TRIES:
                    raise
            time.sleep(_PAUSE * 2**wait)
        raise AssertionError("the last try has raised its error")

    def _made(self, number: int) -> Mark:
        place, plan = _opened(self.output, self.plan_id)
        name = mark_name(self.plan_id, number)
        found = place.read(name)
        if found is not None and (mark := _standing(place, name, found[0])) is not None:
            return mark
        model = model_here(plan.request.encoder, plan.request.decoder, self.model)
        mark = self._new_shard(place, plan, number, model)
        if place.put(name, mark.to_bytes(), replaces=None if found is None else found[1]):
            return mark
        return _of_another(place, name)

    def _new_shard(self, place: Place, plan: Plan, number: int, model: Model) -> Mark:
        wishes, first = plan.request.wishes, plan.first_row(number)
        wishes = type(wishes)(**{**vars(wishes), "batch_rows": self.batch_rows, "backend": self.backend})
        pieces = read_part(place, plan, number)
        label = f"rows {first:,} to {first + plan.parts[number][0] - 1:,}"
        ranged = RangedSource(pieces, wishes.fit(model), label, skips=self.skips)
        with place.temporary() as path:
            try:
                with path.open("wb") as file:
                    wishes.pack(ranged.source, model, file)
            except ImageError:  # S5-5: none is left, or one is bad
                if len(ranged.skipped) < ranged.n_rows:
                    raise
                return Mark(None, None, {}, tuple(ranged.skipped))
            return _kept(place, path, tuple(ranged.skipped))


def _kept(place: Place, path: Path, skipped: tuple[tuple[str, str], ...]) -> Mark:
    """A file as a shard of the place, under its digest (S4-1)."""
    found, alone = shard_of(path.parent, path)
    shard = found._replace(name=f"{found.digest.hex()}.aef")
    place.keep(path, shard.name)
    return Mark(shard, alone.header, alone.field_types, skipped)


def _standing(place: Place, name: str, data: bytes) -> Mark | None:
    """The mark, if its shard is there with its length (S5-3)."""
    with named(place.path(name)):
        mark = parse_mark(data)
    is_there = mark.shard is None or place.size(mark.shard.name) == mark.shard.bytes
    return mark if is_there else None


def _of_another(place: Place, name: str) -> Mark:
    """The mark that another process was faster with."""
    found = place.read(name)
    mark = None if found is None else _standing(place, name, found[0])
    if mark is None:
        with named(place.path(name)):
            raise SetInvalid("S5-3", 0, "the mark names a shard that is not there")
    return mark


@lru_cache(maxsize=4)
def _opened(output: str, plan_id: str) -> tuple[Place, Plan]:
    """The place, and the plan, which never changes: read once a process.  Raises SetInvalid, OSError."""
    place = place_at(output)
    plan = read_plan(place, plan_id)
    if plan is None:
        raise SetInvalid("S5-1", 0, f"{place.name} has no plan {plan_id}: does this machine see the same files?")
    return place, plan
