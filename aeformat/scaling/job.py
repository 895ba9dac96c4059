"""A set of images, made by one process or by many: planned once, made range by range, committed in one step.

Owns the order of these steps, and what happens when one fails.  Where the ranges are made is workers.py's, or this process.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Final

from aeformat.errors import AeformatError, Hint, ImageError, SetInvalid, UsageError
from aeformat.paths import absolute, checked_path, is_url, named
from aeformat.pipeline import BATCH_ROWS
from aeformat.pipeline.models import Model
from aeformat.pipeline.pack import check_number, usual_codec
from aeformat.pipeline.progress import SILENT, Progress
from aeformat.pipeline.wishes import Wishes
from aeformat.scaling.listing import find_rows, named_once
from aeformat.scaling.packages import model_at
from aeformat.scaling.plan import Plan, Request, read_plan, write_plan
from aeformat.scaling.shard import Mark, RangeTask
from aeformat.sets.manifest import NAME, Manifest, Shard, parse_manifest
from aeformat.sets.places import Place, place_at

if TYPE_CHECKING:
    from aeformat.pipeline.refinement import Price

_log: Final = logging.getLogger(__name__)
ROWS_PER_SHARD: Final = 4096
_MOST_ROWS: Final = 1 << 24
_COMMITS: Final = 100  # tries; each that fails means that another writer has committed
_LOST_ANSWERS: Final = 5
Outcome = tuple[int, "Mark | AeformatError | OSError"]


@dataclass(frozen=True)
class PackedSet:
    """What a set has become.  n_there: shards that had been made before.  skipped: (row name, reason) of rows left out."""

    name: str
    n_rows: int
    n_bytes: int
    n_shards: int
    n_there: int
    skipped: tuple[tuple[str, str], ...] = field(repr=False)
    generation: int


def pack_set(
    inputs: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    output: str | os.PathLike[str],
    *,
    model: str | os.PathLike[str],
    dask: str | None = None,
    rows_per_shard: int = ROWS_PER_SHARD,
    skip_bad_images: bool = False,
    encoding: str | None = None,
    codec: str | None = None,
    level: int | None = None,
    embed_decoder: bool = False,
    receipts: bool = False,
    refine: Price | None = None,
    refine_rounds: int | None = None,
    record_encoder: bool = False,
    sources: bool = False,
    resize: bool = False,
    grayscale: bool = False,
    rgb: bool = False,
    background: str | None = None,
    batch_rows: int = BATCH_ROWS,
    backend: str = "auto",
    progress: Progress = SILENT,
    notify: Callable[[str], object] = _log.warning,
) -> PackedSet:
    """Images to a set of latents, by one process or by many; what was committed.

    inputs: image files, folders of them, .npy and IDX (.gz too), as paths, URLs, or patterns ("s3://bucket/images/**").
    output: a folder, or a URL of S3.  All workers must reach inputs and output by these names.
    model: a name, a path, a model id, or a URL as a path has it; each worker finds it by its id, or there.
    dask: the address of a Dask scheduler; "local" for a cluster of this machine's cores; None: in this process.
    rows_per_shard: images in one shard, the unit of work.
    skip_bad_images: leave out images that cannot be read or do not fit, and record which; else they are an error, once all
    other shards have been made.
    The other keywords are those of `pack`.  progress: told of shards.  notify: told in one line what was left out of folders,
    and of a scheduler that is gone; by default it is logged.

    The rows are listed once, and the plan is kept beside the shards: the same call goes on where an earlier one ended, and does
    nothing twice.  All rows are in the set when it returns, or none: the manifest is the only commit.
    Raises UsageError, ImageError, FormatError, DecoderError, OSError.  Source: spec/sets.md, section 5.
    """
    check_number("rows_per_shard", rows_per_shard, 1, _MOST_ROWS)
    wishes = Wishes(
        encoding=encoding,
        codec=codec,
        level=level,
        embed_decoder=embed_decoder,
        receipts=receipts,
        refine=refine,
        refine_rounds=refine_rounds,
        record_encoder=record_encoder,
        sources=sources,
        resize=resize,
        grayscale=grayscale,
        rgb=rgb,
        background=background,
    )
    name = checked_path(model)
    of = model_at(name)
    place = place_at(absolute(checked_path(output)))
    plan = planned(place, _named(inputs), of, wishes, rows_per_shard)
    for line in plan.left_out:
        notify(line)
    task = RangeTask(place.name, plan.request.id, _model_name(name), skip_bad_images, batch_rows, backend)
    return finished(place, plan, _runner(dask, notify)(task, range(len(plan.parts))), progress)


def _named(inputs: str | os.PathLike[str] | Sequence[str | os.PathLike[str]]) -> tuple[str, ...]:
    several = [inputs] if isinstance(inputs, (str, os.PathLike)) else inputs
    return tuple(named_once(checked_path(name)) for name in several)


def _model_name(name: str) -> str:
    """By which another process finds the model: a path from the root where it is one."""
    is_path = not is_url(name) and any(os.path.exists(name + half) for half in ("", ".encoder.aef"))  # noqa: PTH110
    return absolute(name) if is_path else name


def planned(place: Place, inputs: tuple[str, ...], of: Model, wishes: Wishes, rows_per_shard: int) -> Plan:
    """The plan of this job: the one that is there, else a new one (S5-1).  Raises as listing does."""
    codec = wishes.codec or usual_codec(wishes.encoding, of.the_decoder)
    wishes = Wishes(**(asdict(wishes) | {"codec": codec}))
    ids = of.the_encoder.model_id.hex(), of.the_decoder.model_id.hex()
    request = Request(inputs, *ids, rows_per_shard, wishes)
    plan = read_plan(place, request.id)
    if plan is None:
        wishes.options(of, None)  # what does not go together is said before anything is listed
        plan = write_plan(place, request, find_rows(inputs, wishes.fit(of)))
    return plan


def _runner(
    dask: str | None, notify: Callable[[str], object]
) -> Callable[[RangeTask, Iterable[int]], Iterator[Outcome]]:
    if dask is None:
        return run_here
    from aeformat.scaling.workers import DaskWorkers

    return DaskWorkers(dask, notify=notify).run


def run_here(task: RangeTask, numbers: Iterable[int]) -> Iterator[Outcome]:
    """Make the ranges in this process, one after the other."""
    for number in numbers:
        try:
            yield number, task(number)
        except (AeformatError, OSError) as error:
            yield number, error


def finished(place: Place, plan: Plan, outcomes: Iterator[Outcome], progress: Progress) -> PackedSet:
    """Take the marks of all ranges as they come, and commit them.  Raises the first error of a range."""
    marks: dict[int, Mark] = {}
    bad: list[ImageError] = []
    for number, outcome in outcomes:
        if isinstance(outcome, ImageError):
            bad.append(outcome)
        elif isinstance(outcome, (AeformatError, OSError)):
            raise outcome
        else:
            marks[number] = outcome
            progress.update(1)
    if bad:
        raise _summed_up(bad, len(marks), len(plan.parts))
    return commit_marks(place, [marks[number] for number in sorted(marks)], len(plan.parts))


def _summed_up(bad: Sequence[ImageError], n_made: int, n_ranges: int) -> ImageError:
    """The first error, with what has become of the job."""
    others = "" if len(bad) == 1 else f", {len(bad)} of them have such an image"
    what = f"nothing is committed; {n_made:,} of {n_ranges:,} shards are made and kept{others}"
    return ImageError(f"{bad[0].sentence}; {what}", hint=bad[0].hint or Hint.SKIP_BAD_IMAGES)


def commit_marks(place: Place, marks: Sequence[Mark], n_ranges: int) -> PackedSet:
    """Put the shards of all marks into the manifest, in one step (S5-4, S4-2 to S4-4).

    Raises UsageError, ImageError, SetInvalid, OSError.
    """
    if len(marks) != n_ranges:
        raise SetInvalid("S5-4", 0, f"{n_ranges - len(marks)} ranges have no mark")
    made = [(mark.shard, mark.header, mark.field_types) for mark in marks if mark.shard is not None]
    skipped = tuple(row for mark in marks for row in mark.skipped)
    if not made:
        raise ImageError(f"{place.name}: no image is left: all {len(skipped):,} were left out")
    shards = [shard for shard, _, _ in made if shard is not None]
    header, types = made[0][1], made[0][2]
    if header is None or any((other, dict(fields)) != (header, dict(types)) for _, other, fields in made):
        raise UsageError(
            f"{place.name}: shards were made with different headers, by different versions; give another folder"
        )
    manifest = _committed(place, Manifest(header, types), shards)
    n_bytes = sum(shard.bytes for shard in shards)
    n_there = sum(mark.was_there for mark in marks)
    n_rows = sum(shard.rows for shard in shards)
    return PackedSet(place.path(NAME), n_rows, n_bytes, len(shards), n_there, skipped, manifest.generation)


def _committed(place: Place, empty: Manifest, shards: Sequence[Shard]) -> Manifest:
    """empty: of a set that is not there yet."""
    n_lost = 0
    for _ in range(_COMMITS):
        there = place.read(NAME)
        with named(place.path(NAME)):
            now = empty if there is None else parse_manifest(there[0])
        if (now.header, dict(now.field_types)) != (empty.header, dict(empty.field_types)):
            raise UsageError(
                f"{place.path(NAME)} has another header or other fields than these shards; give another folder"
            )
        new = now.with_shards(shards, None if there is None else there[0])
        if there is not None and new.shards == now.shards:
            return now
        try:
            if place.put(NAME, new.to_bytes(), replaces=None if there is None else there[1]):
                return new
        except OSError:  # S4-4: it may have been written all the same
            n_lost += 1
            if n_lost == _LOST_ANSWERS:
                raise
            time.sleep(n_lost)
    raise UsageError(f"{place.path(NAME)}: other writers were faster {_COMMITS} times; call again")
