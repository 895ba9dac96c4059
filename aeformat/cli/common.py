"""Helpers of several commands: options, opening files by name, progress, sizes as text."""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import stat
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, BinaryIO

from aeformat.cli.streams import shown
from aeformat.errors import DecoderError, FormatError, UsageError
from aeformat.paths import is_url
from aeformat.pipeline import DEFAULT_MODEL as DEFAULT_MODEL

if TYPE_CHECKING:
    from aeformat.backends.base import Network
    from aeformat.images import ImageFit
    from aeformat.model.manifest import Manifest
    from aeformat.model.package import ModelPackage


def add_force(parser: argparse.ArgumentParser) -> None:
    """Add the option --force."""
    parser.add_argument("--force", action="store_true", help="replace the output if it exists")


def add_backend(parser: argparse.ArgumentParser) -> None:
    """Add the option --backend."""
    parser.add_argument(
        "--backend",
        choices=("auto", "tensorflow", "numpy"),
        default="auto",
        help="what computes the network; auto: what is installed and cheapest for the work",
    )


def add_codec(parser: argparse.ArgumentParser, *, is_new: bool) -> None:
    """Add the options --encoding, --codec and --level.  is_new: the file is made from images, not converted."""
    from aeformat.container.assigned import CODECS, ENCODINGS
    from aeformat.container.compression import MAX_LEVEL

    note = "f16le and bf16le round float32 latents" if is_new else "only what holds them without loss"
    kept = "the latents' own" if is_new else "the file's own"
    parser.add_argument(
        "--encoding", choices=tuple(ENCODINGS), help=f"how numbers are stored (default: {kept}); {note}"
    )
    text = "rans where the decoder has a prior, else zstd" if is_new else "the file's own"
    parser.add_argument("--codec", choices=CODECS, help=f"compression (default: {text})")
    parser.add_argument(
        "--level",
        type=bounded_int(1, MAX_LEVEL),
        metavar="N",
        help=f"of zstd, 1 to {MAX_LEVEL} (default: 1 where a number takes several bytes, else 3)",
    )


def add_fit(parser: argparse.ArgumentParser) -> None:
    """Add the options --resize, --grayscale, --rgb and --background."""
    parser.add_argument("--resize", action="store_true", help="scale images to the model's size")
    parser.add_argument("--grayscale", action="store_true", help="make colour images grey where the model wants it")
    parser.add_argument(
        "--rgb", action="store_true", help="repeat grey as red, green and blue where the model wants it"
    )
    parser.add_argument(
        "--background", metavar="COLOUR", help="flatten transparent image files on a colour: white, #20c0ff"
    )


def fit_of(options: argparse.Namespace, shape: tuple[int, ...]) -> ImageFit:
    """What add_fit's options allow for a model that takes images of this shape.  Raises UsageError."""
    from aeformat.images import ImageFit
    from aeformat.images.colours import named_colour

    height, width, channels = shape
    return ImageFit(
        (height, width, channels),
        resize=options.resize,
        grayscale=options.grayscale,
        rgb=options.rgb,
        background=None if options.background is None else named_colour(options.background),
    )


def level_of(options: argparse.Namespace, codec: str) -> int | None:
    """The level for zstd, if one is given.  Raises UsageError if --level is given with another codec."""
    from aeformat.pipeline.pack import checked_level

    checked_level(options.level, codec)
    level: int | None = options.level
    return level


class bounded_int:  # noqa: N801 - used like a function, as an argparse type
    """An argparse type: an integer from least to most."""

    def __init__(self, least: int, most: int) -> None:
        self._least, self._most = least, most

    def __call__(self, text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = self._least - 1
        if not self._least <= number <= self._most:
            raise argparse.ArgumentTypeError(f"{text!r} is not an integer from {self._least} to {self._most}")
        return number


@contextlib.contextmanager
def error_source(source: str) -> Iterator[None]:
    """Put the name of a file into a FormatError that is raised in this block."""
    try:
        yield
    except FormatError as error:
        error.source = error.source or input_name(source)
        raise


@contextlib.contextmanager
def opening(source: str) -> Iterator[None]:
    """Put the name of a file into any error that is raised while it is opened in this block."""
    try:
        with error_source(source):
            yield
    except (UsageError, DecoderError) as error:
        error.source = error.source or input_name(source)
        raise


def input_name(name: str) -> str:
    """The name of an input in messages."""
    return "standard input" if name == "-" else shown(name)


def output_name(name: str) -> str:
    """The name of an output in messages."""
    return "standard output" if name == "-" else shown(name)


@contextlib.contextmanager
def input_file(name: str) -> Iterator[BinaryIO]:
    """A file to read, at a path or a URL, or standard input for "-".  Raises UsageError if there is none."""
    if name == "-":
        with error_source(name):
            yield sys.stdin.buffer
        return
    if is_url(name):
        from aeformat.remote import open_forward

        with error_source(name), open_forward(name) as file:
            yield file
        return
    with error_source(name), open(existing(name), "rb") as file:  # noqa: PTH123 - see existing
        yield file


def existing(name: str) -> str:
    """The name of a file that exists.  Raises UsageError.  (os.path, because pathlib alone takes a tenth of info's time.)"""
    if not name:
        raise UsageError("a FILE has no name; is a shell variable empty?")
    if is_url(name):  # whoever opens it says what is wrong
        return name
    if not os.path.exists(name):  # noqa: PTH110
        raise UsageError(f"{shown(name)}: no such file")
    if os.path.isdir(name):  # noqa: PTH112
        raise UsageError(f"{shown(name)}: is a folder, not an .aef file")
    return name


def is_set(name: str) -> bool:
    """Whether a name is that of a set: its manifest, or a folder with one, or the URL of either."""
    if not name.endswith(".aefset") and not is_url(name) and not os.path.isdir(name):  # noqa: PTH112 - see existing
        return False
    from aeformat.sets.opening import is_set as is_that

    return is_that(name)


def file_or_set(name: str) -> str:
    """The name of a file that exists, or of a set.  Raises UsageError."""
    return name if is_set(name) else existing(name)


def refuse_set(name: str) -> None:
    """Raises UsageError for a set, where a command takes one file."""
    if is_set(name):
        raise UsageError(
            f"{shown(name)}: is a set, and this command takes one file; give one of its shards, which `aeformat info` lists"
        )


def ordinary(name: str) -> str:
    """The name of a file that can be read more than once.  Raises UsageError."""
    if not is_ordinary(existing(name)):
        raise UsageError(
            f"{shown(name)}: is a pipe, a device or a URL; it is read more than once, so give an ordinary file"
        )
    return name


def is_ordinary(name: str) -> bool:
    """Whether a name is that of a file that can be read again, and anywhere: no pipe, no device, not standard input."""
    try:
        return name != "-" and stat.S_ISREG(os.stat(name).st_mode)  # noqa: PTH116 - see existing
    except OSError:
        return False


class CountedInput(io.BufferedIOBase):
    """A file to be read forward, and how many bytes of it have been: what a pipe does not say of itself."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.n_bytes = 0

    def read(self, n_bytes: int | None = -1, /) -> bytes:
        """As the file's own."""
        data = self._file.read(-1 if n_bytes is None else n_bytes)
        self.n_bytes += len(data)
        return data


def say_left_out(left_out: Iterable[str]) -> None:
    """What was found in folders and is not read, on stderr: a line for each folder."""
    for line in left_out:
        print(f"aeformat: {shown(line)}", file=sys.stderr)


@contextlib.contextmanager
def output_file(name: str, *, force: bool) -> Iterator[BinaryIO]:
    """A file to write that appears when it is complete; standard output for "-"; a pipe or a device, written as it comes."""
    from aeformat.atomic import AtomicFile
    from aeformat.destination import open_stream

    if name == "-":
        yield _for_no_terminal(sys.stdout.buffer)
        sys.stdout.buffer.flush()
        return
    stream = open_stream(name)
    if stream is not None:
        with stream:
            yield _for_no_terminal(stream)
        return
    with AtomicFile(name, force=force) as file:
        yield file


def _for_no_terminal(stream: BinaryIO) -> BinaryIO:
    if stream.isatty():
        raise UsageError("refusing to write a container to a terminal; give a file with -o")
    return stream


def network(package: ModelPackage, backend: str, n_rows: int | None) -> Network:
    """Load a package for a backend, by the backend's name."""
    from aeformat.backends.select import select_backend

    return select_backend(backend, n_rows=n_rows, package=package).load(package)


class ProgressBar:
    """Shows how many rows are done, on a terminal only: with tqdm if it is installed, else as a line every second.

    unit: what is counted, where it is not images.
    """

    def __init__(self, what: str, n_rows: int | None, *, unit: str = "img") -> None:
        self._unit = unit
        self._bar: Any = None
        self._what, self._n_rows, self._n_done = what, n_rows, 0.0
        self._shown = time.monotonic()
        self._is_on = sys.stderr.isatty()

    def __enter__(self) -> ProgressBar:
        if self._is_on:
            with contextlib.suppress(ImportError):
                from tqdm import tqdm

                self._bar = tqdm(total=self._n_rows, desc=self._what, unit=self._unit, unit_scale=True, delay=0.5)
        return self

    def update(self, n_rows: float) -> None:
        """Count n_rows more as done; parts of one where a row takes long."""
        self._n_done += n_rows
        if self._bar is not None:
            self._bar.update(n_rows)
        elif self._is_on and time.monotonic() - self._shown > 1:
            self._shown = time.monotonic()
            of_all = "" if self._n_rows is None else f" of {self._n_rows:,}"
            print(
                f"{self._what}: {_number(self._n_done)}{of_all} {self._unit if self._unit != 'img' else 'images'}",
                file=sys.stderr,
            )

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()


def _number(n: float) -> str:
    return f"{n:,.1f}".removesuffix(".0")


def size(n_bytes: float) -> str:
    """A size as text: 1,234 B, 12.3 kB, 4.56 MB (powers of 1000)."""
    if n_bytes < 10_000:
        return f"{n_bytes:,.0f} B"
    power = min((len(f"{n_bytes:.0f}") - 1) // 3, 3)
    return f"{n_bytes / 1000**power:.4g} {('B', 'kB', 'MB', 'GB')[power]}"


def prior_text(manifest: Manifest) -> str:
    """A decoder's prior as text.  The manifest must have one."""
    prior = manifest.prior
    assert prior is not None
    count = {key: manifest.tensors[number].shape[0] for key, number in prior.tensors.items()}
    tables = f"{count['tables']} tables of {prior.bits} bits"
    if prior.passes is not None:
        return f"{4 * len(prior.passes.groups)} passes of {len(prior.passes.layers)} layers, {tables}"
    return f"{count['classes']} classes, {tables}"


def decibels(psnr: float) -> str:
    """A PSNR as text."""
    return "identical" if psnr == float("inf") else f"{psnr:.2f} dB"


def print_table(rows: list[list[str]], *, right: int = 1) -> None:
    """Print rows of cells as a table.  The first row is the heading; columns from number `right` on are right-aligned."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for number, row in enumerate(rows):
        cells = [
            cell.ljust(w) if i < right else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        ]
        print("  " + "  ".join(cells).rstrip())
        if not number:
            print("  " + "  ".join("-" * width for width in widths))


def print_json(value: Mapping[str, object]) -> None:
    """Print one JSON document."""
    import json

    print(json.dumps(value, indent=2))
