"""What a page shows: files, and beside a file of latents the originals of its images.

Owns the list that the page reads (tools/page/src/given.js) and the search for decoders.  Knows nothing of HTTP.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from aeformat.container.header import LatentsHeader, ModelHeader
from aeformat.container.parser import HeaderRead, Parser
from aeformat.errors import FormatError, ImageError
from aeformat.model import places
from aeformat.model.identity import read_model_id

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_READ_BYTES: Final = 1 << 16
_ID_DIGITS: Final = 64


@dataclass(slots=True)
class Originals:
    """Raw pixels of images, one after the other in a file.

    label: where they come from, for people.  runs: [n, height, width, channels] of images that follow one another.
    """

    path: Path
    label: str
    runs: list[list[int]] = field(default_factory=list)

    @property
    def n_images(self) -> int:
        """How many there are."""
        return sum(run[0] for run in self.runs)

    def write(self, blocks: Iterable[NDArray[np.uint8]]) -> None:
        """Take all images, in blocks of (n, h, w, c) uint8."""
        with self.path.open("wb") as file:
            for block in blocks:
                self._count(block.shape)
                file.write(block.tobytes())

    def _count(self, shape: Sequence[int]) -> None:
        n_images, *size = shape
        if self.runs and self.runs[-1][1:] == size:
            self.runs[-1][0] += n_images
        else:
            self.runs.append([n_images, *size])

    def check_count(self, n_images: int) -> None:
        """Raises ImageError unless there is one original for each of so many images."""
        if self.n_images != n_images:
            raise ImageError(
                f"{self.label}: {self.n_images:,} originals for {n_images:,} images; give the input that was packed"
            )


@dataclass(frozen=True, slots=True)
class Shown:
    """One file on the page.  name: what the page calls it."""

    name: str
    path: Path
    against: Originals | None = None


@dataclass(frozen=True, slots=True)
class Exhibit:
    """All that one page shows.  given: the file of a decoder that a person named, if one was."""

    files: Sequence[Shown]
    given: Path | None = None

    def listing(self) -> dict[str, Any]:
        """The list, with the places where a server has the bytes."""
        return {"files": [_entry(shown, number) for number, shown in enumerate(self.files)]}

    def decoder_file(self, model_id: str) -> Path | None:
        """The file of a decoder on this machine, by its model id in hex; None where there is none.

        A file says by its header which decoder it is; the page checks all of it, its golden set too.
        """
        wanted = _from_hex(model_id)
        if wanted is None:
            return None
        if self.given is not None:
            return self.given if read_model_id(self.given) == wanted else None
        return next(places.files_of(wanted), None)


def _from_hex(model_id: str) -> bytes | None:
    is_id = len(model_id) == _ID_DIGITS and set(model_id) <= set("0123456789abcdef")
    return bytes.fromhex(model_id) if is_id else None


def _entry(shown: Shown, number: int) -> dict[str, Any]:
    against = None
    if shown.against is not None:
        against = {"label": shown.against.label, "runs": shown.against.runs, "url": f"against/{number}"}
    return {"name": shown.name, "url": f"files/{number}", "against": against}


def header_of(path: Path) -> LatentsHeader | ModelHeader | None:
    """The header of a file; None where it cannot be read, which the page says better."""
    parser = Parser()
    try:
        with path.open("rb") as file:
            return _first_header(file, parser)
    except FormatError:
        return None


def _first_header(file: BinaryIO, parser: Parser) -> LatentsHeader | ModelHeader | None:
    while data := file.read(_READ_BYTES):
        for event in parser.feed(data):
            if isinstance(event, HeaderRead):
                return event.header
    parser.close()
    return None
