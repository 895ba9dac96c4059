"""aeformat check: which rows are stale, and with --update, what makes them current."""

from __future__ import annotations

import argparse
import json
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from aeformat.cli import common
from aeformat.errors import UsageError

if TYPE_CHECKING:
    from aeformat.container.described import Described
    from aeformat.staleness.encoding import Encode
    from aeformat.staleness.update import Updated


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `aeformat check`."""
    parser.epilog = (
        "Exit codes: 0 all is current; 4 the decoder is another, or the file names none; 1 rows are outdated, changed, "
        "renamed, gone or unknown; 3 nothing but new images."
    )
    parser.add_argument("set", metavar="SET", help="a latents file, or a set")
    parser.add_argument(
        "--images",
        required=True,
        metavar="DIR",
        help="the folder, or the URL, whose images the rows are of, by their names",
    )
    parser.add_argument(
        "--decoder", metavar="FILE", help="the decoder in use: .safetensors, .keras, .h5, .onnx, or a package"
    )
    parser.add_argument(
        "--described", metavar="FILE.json",
        help="how images are prepared now: keywords of aeformat.Described, or what aeformat info --json prints of a file",
    )  # fmt: skip
    parser.add_argument(
        "--fast", action="store_true",
        help="do not read images of the same length and time of last change; misses what was given both back",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="one JSON document, with all rows that are not current")
    update = parser.add_argument_group("to make it current")
    update.add_argument(
        "--update", metavar="MODULE:FUNCTION",
        help="encode what is changed or new with this Python function of yours, which is run: a list of paths in, latents out",
    )  # fmt: skip
    update.add_argument("--prune", action="store_true", help="drop rows whose image is gone")
    update.add_argument(
        "--encode-unknown", action="store_true", help="encode rows too that do not say what they were made from"
    )
    update.add_argument(
        "--arrays", action="store_true", help="the function takes arrays (h, w, c) uint8 in place of paths"
    )
    update.add_argument(
        "--batch-rows",
        type=common.bounded_int(1, 1 << 20),
        metavar="N",
        help="images given to it at once (default: 32)",
    )


def run(options: argparse.Namespace) -> int:
    """Print what is stale.  Returns 0, or what the kind of staleness stands for."""
    from aeformat.cli.check_report import as_dict, done, exit_code_of, print_report
    from aeformat.staleness.check import check

    common.file_or_set(options.set)
    described = None if options.described is None else read_described(options.described)
    if options.decoder is not None:
        common.existing(options.decoder)
    updated = None
    if options.update is None:
        _refuse_without_update(options)
        with common.ProgressBar("comparing", None) as progress:
            checked = check(
                options.set,
                options.images,
                decoder=options.decoder,
                described=described,
                fast=options.fast,
                progress=progress,
            )
    else:
        updated = _update(options, described)
        checked = updated.checked
    common.say_left_out([] if checked.left_out is None else [checked.left_out])
    code = exit_code_of(checked)
    if options.json:
        common.print_json(
            as_dict(checked) | ({} if updated is None else {"updated": done(updated)}) | {"exit_code": code}
        )
    else:
        print_report(checked, updated)
    return code


def read_described(path: str) -> Described:
    """What a JSON file says of the preprocessing.  Raises UsageError."""
    from aeformat.container.described import DESCRIBED_KEYS, Described

    try:
        said = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise UsageError(f"{path}: is no JSON: {error}") from None
    if isinstance(said, dict) and "described" in said and "file" in said:
        said = said["described"] or {}
    if not isinstance(said, dict):
        raise UsageError(f"{path}: is no map of keywords of aeformat.Described")
    if unknown := said.keys() - DESCRIBED_KEYS:
        raise UsageError(
            f"{path}: unknown keys {', '.join(sorted(unknown))}; there are {', '.join(sorted(DESCRIBED_KEYS))}"
        )
    if isinstance(said.get("foreign_encoder"), str):
        try:
            said = said | {"foreign_encoder": bytes.fromhex(said["foreign_encoder"])}
        except ValueError:
            raise UsageError(f"{path}: foreign_encoder is not hexadecimal") from None
    return Described(**said)


def _refuse_without_update(options: argparse.Namespace) -> None:
    given = {
        "--prune": options.prune, "--encode-unknown": options.encode_unknown, "--arrays": options.arrays,
        "--batch-rows": options.batch_rows is not None,
    }  # fmt: skip
    for name in (name for name, is_given in given.items() if is_given):
        raise UsageError(f"{name} says how to update; give --update MODULE:FUNCTION too")


def _update(options: argparse.Namespace, described: Described | None) -> Updated:
    from aeformat.staleness.update import BATCH_ROWS, update

    encode = _function(options.update)
    with common.ProgressBar("encoding", None) as progress:
        return update(
            options.set,
            options.images,
            encode,
            decoder=options.decoder,
            described=described,
            prune=options.prune,
            encode_unknown=options.encode_unknown,
            arrays=options.arrays,
            batch_rows=options.batch_rows or BATCH_ROWS,
            fast=options.fast,
            progress=progress,
        )


def _function(name: str) -> Encode:
    """A function of a person's own module, in the current folder or installed.  Raises UsageError."""
    module, _, function = name.partition(":")
    if not module or not function:
        raise UsageError(f"--update takes MODULE:FUNCTION, such as encode_images:encode, and not {name!r}")
    if "" not in sys.path:
        sys.path.insert(0, "")  # as python -m has it
    try:
        home = import_module(module)
    except ModuleNotFoundError as error:
        raise UsageError(f"--update {name}: {error}") from None
    if not hasattr(home, function):
        raise UsageError(f"--update {name}: module {module} has no {function}")
    found: Encode = getattr(home, function)
    return found
