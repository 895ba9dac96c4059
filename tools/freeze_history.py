"""Write the files that a release leaves behind: spec/vectors/history/<version>/, made by the package as it is now.

    python -m tools.freeze_history

Run once, when a release is made.  What is there is never changed: every later release must read it.  Unlike the other
vectors these are written by the package itself, zstd frames of its day included, so they cannot be built again.
"""

from __future__ import annotations

import hashlib
import io
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from aeformat import __version__
from aeformat.container.encodings import array_type, content_bytes
from aeformat.container.header import LatentsHeader
from aeformat.container.names import RowNames
from aeformat.container.writer import LatentsWriter
from aeformat.model.file_io import package_bytes, read_package

VECTORS = Path(__file__).resolve().parents[1] / "spec" / "vectors"
_EXACT = VECTORS / "model" / "valid" / "010-convolutions.aef"
_DENSE = VECTORS / "model" / "valid" / "006-wide-zstd.aef"


@dataclass(frozen=True)
class Sample:
    """One file of latents.  chunk_rows, level, decoder: as LatentsWriter takes them."""

    header: LatentsHeader
    n_rows: int = 20
    names: bool = False
    options: dict[str, Any] = field(default_factory=dict)


def samples() -> dict[str, Sample]:
    """By name."""
    other = bytes(range(100, 132))
    plain: dict[str, Any] = {"decoder": bytes(range(32)), "dims": (3, 2), "image": (28, 28, 1)}
    shuffled: dict[str, Any] = {"codec": "zstd", "filter": "shuffle"}
    decoder = _DENSE.read_bytes()
    carried: dict[str, Any] = {"decoder": read_package(decoder).model_id, "dims": (8,), "image": (4, 4, 1)}
    return {
        "text19": Sample(LatentsHeader(encoding="text19", **plain)),
        "text19-zstd": Sample(LatentsHeader(encoding="text19", encoder=other, **plain, **shuffled)),
        "f64le-named": Sample(LatentsHeader(encoding="f64le", **plain), names=True, options={"chunk_rows": 7}),
        "f64le-of-f32-zstd": Sample(LatentsHeader(encoding="f64le", values="f32", **plain, **shuffled), n_rows=300),
        "f32le-zstd-19": Sample(LatentsHeader(encoding="f32le", **plain, **shuffled), 300, options={"level": 19}),
        "f16le": Sample(LatentsHeader(encoding="f16le", ext={"note": ["made", "for", 2**40]}, **plain)),
        "bf16le": Sample(LatentsHeader(encoding="bf16le", **plain), options={"chunk_rows": 1}),
        "u8-with-decoder": Sample(LatentsHeader(encoding="u8", **carried), names=True, options={"decoder": decoder}),
        "i8-zstd-unfiltered": Sample(LatentsHeader(encoding="i8", codec="zstd", filter="none", **plain), 300),
        "u16le-of-u8": Sample(LatentsHeader(encoding="u16le", values="u8", **plain)),
    }


def values_for(header: LatentsHeader, n_rows: int) -> np.ndarray[Any, Any]:
    """Numbers that every type can hold and zstd can make smaller."""
    count = np.arange(n_rows * header.n_values).reshape(n_rows, *header.dims)
    return (count * 7 % 101).astype(array_type(header.values))


def names_for(n_rows: int) -> RowNames:
    """Names, labels and sources of rows."""
    return RowNames(
        names=tuple(f"digits/{row:03}.png" for row in range(n_rows)),
        labels=tuple(row % 10 for row in range(n_rows)),
        sources=tuple(hashlib.sha256(bytes([row])).digest() for row in range(n_rows)),
    )


def latents_file(sample: Sample) -> tuple[bytes, dict[str, Any]]:
    """The file, and what it must read to."""
    header, values = sample.header, values_for(sample.header, sample.n_rows)
    names = names_for(sample.n_rows) if sample.names else None
    sink = io.BytesIO()
    with LatentsWriter(sink, header, **sample.options) as writer:
        writer.write(values, names)
    assert writer.content_id is not None
    expected = {
        "kind": "latents", "dims": list(header.dims), "image": [*header.image, "u8"], "encoding": header.encoding,
        "codec": header.codec, "values": header.values, "n_rows": sample.n_rows, "content_id": writer.content_id.hex(),
        "values_sha256": hashlib.sha256(content_bytes(values, header)).hexdigest(),
        "names": None if names is None else list(names.names or ()),
    }  # fmt: skip
    return sink.getvalue(), expected


def model_file(source: Path, codec: str) -> tuple[bytes, dict[str, Any]]:
    """A package, written anew, and what it must read to."""
    package = read_package(source.read_bytes())
    expected = {"kind": "model", "model_id": package.model_id.hex(), "role": package.role, "profile": package.profile}
    return package_bytes(package, codec=codec), expected


def main() -> int:
    """0 if the folder was written, 1 if it is there already."""
    folder = VECTORS / "history" / __version__
    if folder.exists():
        print(f"{folder} is there: what a release wrote is not written again", file=sys.stderr)
        return 1
    files = {name: latents_file(sample) for name, sample in samples().items()}
    files["model-exact"] = model_file(_EXACT, "none")
    files["model-dense-zstd"] = model_file(_DENSE, "zstd")
    folder.mkdir(parents=True)
    for name, (data, expected) in files.items():
        (folder / f"{name}.aef").write_bytes(data)
        about = {"about": f"Written by release {__version__}.", "rules": [], **expected}
        (folder / f"{name}.json").write_text(json.dumps(about, indent=1) + "\n", "utf-8")
    print(f"{len(files)} files in {folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
