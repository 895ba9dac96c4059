"""The plan of a set: which rows go into which shard, decided once (spec/sets.md, section 5).

Owns the files of a plan, and that all who ask for the same work by the same plan.  Knows nothing of how a shard is made.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, NamedTuple

from aeformat.errors import SetInvalid, UsageError
from aeformat.images.ranged import ArrayRows, ImageFiles, Piece
from aeformat.paths import named
from aeformat.pipeline.wishes import Wishes
from aeformat.scaling.listing import Found, cut
from aeformat.sets.places import Place

_FORMAT: Final = "aeformat-plan-1"
_ID_DIGITS: Final = 16
_AT_A_TIME: Final = 16  # parts that are written together
_NOT_ASKED: Final = ("batch_rows", "backend")  # wishes that have no effect on the file


@dataclass(frozen=True)
class Request:
    """What is asked for.  inputs: as all machines call them.  encoder, decoder: model ids, hexadecimal."""

    inputs: tuple[str, ...]
    encoder: str
    decoder: str
    rows_per_shard: int
    wishes: Wishes

    @property
    def id(self) -> str:
        """What the plan is found by."""
        return hashlib.sha256(_json(self.as_dict())).hexdigest()[:_ID_DIGITS]

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        wishes = {key: value for key, value in asdict(self.wishes).items() if key not in _NOT_ASKED}
        return {
            "inputs": list(self.inputs),
            "encoder": self.encoder,
            "decoder": self.decoder,
            "rows_per_shard": self.rows_per_shard,
            "wishes": wishes,
        }


class Plan(NamedTuple):
    """parts: rows and SHA-256 of each range.  left_out: what was found and is no image."""

    request: Request
    parts: tuple[tuple[int, str], ...]
    left_out: tuple[str, ...]

    @property
    def n_rows(self) -> int:
        """Rows of all ranges."""
        return sum(n_rows for n_rows, _ in self.parts)

    def first_row(self, number: int) -> int:
        """The first row of a range."""
        return sum(n_rows for n_rows, _ in self.parts[:number])

    def to_bytes(self) -> bytes:
        """plan.json."""
        parts = [list(part) for part in self.parts]
        return _json(
            {"format": _FORMAT, "asked": self.request.as_dict(), "parts": parts, "left_out": list(self.left_out)}
        )


def plan_name(plan_id: str) -> str:
    """What plan.json is called in the place of the set."""
    return f"plans/{plan_id}/plan.json"


def _part_name(plan_id: str, digest: str) -> str:
    return f"plans/{plan_id}/{digest}.rows"


def mark_name(plan_id: str, number: int) -> str:
    """What the mark of a range is called."""
    return f"plans/{plan_id}/{number:08d}.done"


def write_plan(place: Place, request: Request, found: Found) -> Plan:
    """Cut the rows into ranges and write the plan, parts first; if another process was faster, its plan (S5-1).

    Raises OSError, UsageError.
    """
    from concurrent.futures import ThreadPoolExecutor

    plan_id = request.id

    def write(pieces: Sequence[Piece]) -> tuple[int, str]:
        data = zlib.compress(_json([_as_dict(piece) for piece in pieces]), 6)
        digest = hashlib.sha256(data).hexdigest()
        place.put(_part_name(plan_id, digest), data, replaces=None)
        return sum(piece.n_rows for piece in pieces), digest

    with ThreadPoolExecutor(_AT_A_TIME) as pool:
        parts = tuple(pool.map(write, cut(found.pieces, request.rows_per_shard)))
    made = Plan(request, parts, found.left_out)
    if place.put(plan_name(plan_id), made.to_bytes(), replaces=None):
        return made
    there = read_plan(place, plan_id)
    if there is None:
        raise UsageError(f"{place.path(plan_name(plan_id))} was taken away while it was read")
    return there


def read_plan(place: Place, plan_id: str) -> Plan | None:
    """The plan of that id; None where there is none.  Raises SetInvalid, UsageError, OSError."""
    found = place.read(plan_name(plan_id))
    if found is None:
        return None
    with named(place.path(plan_name(plan_id))):
        return _parsed(found[0], plan_id)


def read_part(place: Place, plan: Plan, number: int) -> list[Piece]:
    """The rows of one range.  Raises SetInvalid (S5-1), UsageError, OSError."""
    n_rows, digest = plan.parts[number]
    name = _part_name(plan.request.id, digest)
    found = place.read(name)
    with named(place.path(name)):
        if found is None:
            raise SetInvalid("S5-1", 0, "a part of the plan is not there")
        if hashlib.sha256(found[0]).hexdigest() != digest:
            raise SetInvalid("S5-1", 0, "a part of the plan is not the one that the plan names")
        pieces = [_piece(piece) for piece in json.loads(zlib.decompress(found[0]))]
        if sum(piece.n_rows for piece in pieces) != n_rows:
            raise SetInvalid("S5-1", 0, "a part of the plan has another number of rows than the plan says")
    return pieces


def _parsed(data: bytes, plan_id: str) -> Plan:
    try:
        said = json.loads(data)
        asked = said["asked"]
        wishes = Wishes(**asked["wishes"])
        request = Request(
            tuple(asked["inputs"]), asked["encoder"], asked["decoder"], int(asked["rows_per_shard"]), wishes
        )
        parts = tuple((int(n_rows), str(digest)) for n_rows, digest in said["parts"])
        plan = Plan(request, parts, tuple(said["left_out"]))
    except (ValueError, KeyError, TypeError) as error:
        raise SetInvalid("S5-1", 0, f"this is no plan that is understood here: {error}") from None
    if said.get("format") != _FORMAT or request.id != plan_id:
        raise SetInvalid("S5-1", 0, "the plan is of another version, or of another job")
    return plan


def _as_dict(piece: Piece) -> dict[str, Any]:
    return {"files": piece.files} if isinstance(piece, ImageFiles) else {"array": asdict(piece)}


def _piece(said: dict[str, Any]) -> Piece:
    if "array" in said:
        return ArrayRows(**said["array"])
    return ImageFiles(tuple((name, url) for name, url in said["files"]))


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode("ascii")
