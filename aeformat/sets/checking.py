"""Validation of a set: its manifest, and every shard (spec/sets.md, section 3)."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from aeformat.container.reader import Latents
from aeformat.errors import AeformatError, FormatError, UsageError
from aeformat.paths import named
from aeformat.pipeline.checking import validate
from aeformat.remote import open_forward, read_whole
from aeformat.report import Problem, Report
from aeformat.sets.manifest import Manifest, Shard, parse_manifest
from aeformat.sets.opening import is_set
from aeformat.sets.places import beside, manifest_path, opener
from aeformat.sets.set_reader import check_shard

if TYPE_CHECKING:
    from aeformat.pipeline.models import AnyModel

_READ_BYTES: Final = 1 << 20
ValidateFile = Callable[[str], Report]


def validate_any(path: str | os.PathLike[str], decoder: AnyModel | None = None) -> Report:
    """Check a file, of latents or a model package, or a set, against the spec: every problem, not the first.

    decoder: a Model, or what load_model takes, for rows of codec rans and for receipts; by default the one inside the file,
    else this machine's.  The report's `problems` is empty for a good file; `not_checked` says what could not be checked.
    Of a set all shards are checked: a problem of one says its name, and `n_chunks` counts shards.

    Raises OSError; UsageError, DecoderMismatch for a decoder that is another.  Source: spec/README.md, spec/sets.md.
    """
    if not is_set(path):
        return validate(path, decoder)
    whole, *shards = set_reports(path, lambda name: validate(name, decoder))
    for report in shards:
        whole.problems += [replace(found, what=f"{report.name}: {found.what}") for found in report.problems]
        whole.not_checked = "; ".join(filter(None, (whole.not_checked, report.not_checked)))
    return whole


def set_reports(path: str | os.PathLike[str], validate_file: ValidateFile) -> Iterator[Report]:
    """A report of the manifest, then one of each shard.  Raises OSError where the manifest cannot be read."""
    place = manifest_path(path)
    report = Report(place)
    data = read_whole(place)
    report.kind, report.n_bytes = "set", len(data)
    try:
        manifest = parse_manifest(data)
    except FormatError as error:
        report.problems.append(Problem(error.code, error.rule, error.at, error.what))
        yield report
        return
    report.n_rows, report.n_chunks = manifest.n_rows, len(manifest.shards)
    yield report
    for shard in manifest.shards:
        yield _of_shard(beside(place, shard.name), shard, manifest, validate_file)


def _of_shard(name: str, shard: Shard, manifest: Manifest, validate_file: ValidateFile) -> Report:
    """S3-1 and S3-2, and all rules of the file itself."""
    try:
        report = validate_file(name)
        if report.problems:
            return report
        with named(name), Latents(name, open_file=opener(name)) as latents:
            check_shard(latents, shard, manifest)
        if _digest(name) != shard.digest:
            report.problems.append(Problem("set", "S3-2", 0, "the shard's SHA-256 is not the one in the manifest"))
    except FormatError as error:
        report.problems.append(Problem(error.code, error.rule, error.at, error.what))
    except OSError as error:
        report = Report(name, [Problem(UsageError.code, "", 0, f"cannot be read: {error.strerror or error}")])
    except AeformatError as error:
        report = Report(name, [Problem(error.code, "", 0, str(error))])
    return report


def _digest(name: str) -> bytes:
    """SHA-256 of a file at a path or a URL."""
    digest = hashlib.sha256()
    with open_forward(name) as file:
        while data := file.read(_READ_BYTES):
            digest.update(data)
    return digest.digest()
