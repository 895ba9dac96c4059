"""The page itself, and the page with files inside.

Owns the built page's place in this package.  It is built from tools/page/ and is not kept in git.
"""

from __future__ import annotations

import base64
import json
from importlib import resources
from pathlib import Path
from typing import Any, BinaryIO, Final

from aeformat.container.header import LatentsHeader
from aeformat.errors import UsageError
from aeformat.net.view.shown import Exhibit, Shown, header_of

_MARK: Final = b"<!-- data -->"  # where the files go (tools/page/src/page.html)
PAGE_FIELDS: Final = {  # header fields; the policy of what it may load is in the page itself
    "Cache-Control": "no-store",
    "Content-Security-Policy": "frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
MOST_BYTES: Final = 250_000_000  # of all that is saved in one page: browsers take no longer text than 2^29 characters
_STEP: Final = 3 << 18  # bytes that become base64 at a time; a multiple of three


def page() -> bytes:
    """The page.  Raises UsageError where this installation has none."""
    file = resources.files("aeformat").joinpath("data/view.html")
    if not file.is_file():
        raise UsageError(
            "this installation has no page, as it was made from a checkout: run npm ci and npm run build "
            "there, in tools/page (Node 18 or newer), then install again"
        )
    return file.read_bytes()


def write_saved_page(file: BinaryIO, exhibit: Exhibit) -> None:
    """Write one page that has all in it: the files, their originals, and the decoders that they need.

    Raises UsageError where that is more than MOST_BYTES.
    """
    decoders = _decoders(exhibit)
    _check_size(exhibit, decoders)
    before, _, after = page().partition(_MARK)
    file.write(before + b'<script type="application/json" id="saved">{"files":[')
    for number, shown in enumerate(exhibit.files):
        file.write(b"," if number else b"")
        _write_file(file, shown)
    file.write(b'],"decoders":{')
    for number, (model_id, path) in enumerate(decoders.items()):
        file.write(b"," if number else b"")
        file.write(_text(model_id) + b":")
        _write_base64(file, path)
    file.write(b"}}</script>" + after)


def _check_size(exhibit: Exhibit, decoders: dict[str, Path]) -> None:
    originals = [shown.against.path for shown in exhibit.files if shown.against is not None]
    paths = [*(shown.path for shown in exhibit.files), *originals, *decoders.values()]
    n_bytes = sum(path.stat().st_size for path in paths)
    if n_bytes > MOST_BYTES:
        raise UsageError(
            f"{n_bytes:,} bytes are too many for one page, which may hold {MOST_BYTES:,}: look at them without saving"
        )


def _write_file(file: BinaryIO, shown: Shown) -> None:
    file.write(b'{"name":' + _text(shown.name) + b',"base64":')
    _write_base64(file, shown.path)
    if shown.against is not None:
        file.write(b',"against":{"label":' + _text(shown.against.label))
        file.write(b',"runs":' + _text(shown.against.runs) + b',"base64":')
        _write_base64(file, shown.against.path)
        file.write(b"}")
    file.write(b"}")


def _decoders(exhibit: Exhibit) -> dict[str, Path]:
    """Model id -> file, of those that are here."""
    found: dict[str, Path] = {}
    for shown in exhibit.files:
        header = header_of(shown.path)
        if isinstance(header, LatentsHeader) and header.decoder:
            path = exhibit.decoder_file(header.decoder.hex())
            if path is not None:
                found[header.decoder.hex()] = path
    return found


def _text(value: Any) -> bytes:
    """JSON that cannot end the element that it stands in."""
    return json.dumps(value).replace("<", "\\u003c").encode("ascii")


def _write_base64(file: BinaryIO, path: Path) -> None:
    file.write(b'"')
    with path.open("rb") as source:
        while data := source.read(_STEP):
            file.write(base64.b64encode(data))
    file.write(b'"')
