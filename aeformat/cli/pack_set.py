"""aeformat pack, into a set: shards of a fixed number of images, made by this process or by a Dask cluster."""

from __future__ import annotations

import argparse
import sys
from typing import Final

from aeformat.cli import common
from aeformat.errors import UsageError
from aeformat.paths import is_url

_MOST_ROWS: Final = 1 << 24
_MOST_SHOWN: Final = 5  # images that were left out


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of a set."""
    group = parser.add_argument_group("to make a set: shards below a folder or s3://, and one manifest")
    group.add_argument(
        "--rows-per-shard", type=common.bounded_int(1, _MOST_ROWS), metavar="N",
        help="images in a shard, the unit of work; the same command goes on where an earlier one ended (default: 4096)",
    )  # fmt: skip
    group.add_argument(
        "--dask", metavar="ADDRESS",
        help="have the workers of a Dask cluster make the shards: the address of its scheduler, or local",
    )  # fmt: skip
    group.add_argument(
        "--skip-bad-images", action="store_true",
        help="leave out images that cannot be read or do not fit, and record each with its reason in the set's plan",
    )  # fmt: skip


def is_wanted(options: argparse.Namespace) -> bool:
    """Whether OUT is a set and not one file: a URL, or one of the options above is given."""
    has_option = options.rows_per_shard is not None or options.dask is not None or options.skip_bad_images
    return has_option or is_url(options.output) or options.output.endswith(".aefset")


def run(options: argparse.Namespace) -> int:
    """Pack images into a set.  Says on stderr what came of it."""
    from aeformat.scaling.job import ROWS_PER_SHARD, pack_set

    _check(options)
    try:
        with common.ProgressBar("packing", None, unit="shard") as progress:
            done = pack_set(
                options.inputs,
                options.output,
                model=options.model,
                dask=options.dask,
                rows_per_shard=options.rows_per_shard or ROWS_PER_SHARD,
                skip_bad_images=options.skip_bad_images,
                encoding=options.encoding,
                codec=options.codec,
                level=options.level,
                embed_decoder=options.embed_decoder,
                receipts=options.receipts,
                refine=options.refine,
                refine_rounds=options.refine_rounds,
                record_encoder=options.record_encoder,
                sources=options.sources,
                resize=options.resize,
                grayscale=options.grayscale,
                rgb=options.rgb,
                background=options.background,
                batch_rows=options.batch_rows,
                backend=options.backend,
                progress=progress,
                notify=say,
            )
    except KeyboardInterrupt:
        say("no manifest was written; shards that are done are kept, and the same command goes on with the others")
        raise
    for name, reason in done.skipped[:_MOST_SHOWN]:
        say(f"left out {name}: {reason}")
    if len(done.skipped) > _MOST_SHOWN:
        say(f"left out {len(done.skipped) - _MOST_SHOWN:,} more images: the marks of the plan list them")
    there = f", {done.n_there:,} of which were there" if done.n_there else ""
    each = done.n_bytes / done.n_rows
    print(
        f"{common.output_name(done.name)}: {done.n_rows:,} images in {done.n_shards:,} shards{there}, "
        f"{common.size(done.n_bytes)}, {each:,.1f} bytes an image",
        file=sys.stderr,
    )
    return 0


def say(line: str) -> None:
    """A line on stderr."""
    common.say_left_out([line])


def _check(options: argparse.Namespace) -> None:
    if options.output == "-" or options.output.endswith(".aef"):
        raise UsageError(f"{common.output_name(options.output)}: a set is a folder, or a prefix below s3://")
    if options.force:
        raise UsageError("a set is added to and never replaced; leave --force out, or give another folder")
    if options.model is None:
        raise UsageError("a set takes --model, so that all shards are made with the same one")
