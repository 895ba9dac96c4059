"""What `aeformat check` says of each way in which latents get stale.

    python tools/staleness_table.py

Writes a few images, their latents and two networks into a temporary folder, does to them what stands in the first column, and
runs the command.  Prints a table in Markdown: the case, what was said, the exit code.  docs/checking.md has it.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from PIL import Image

import aeformat
from aeformat.cli.main import main as aeformat_command

NAMES: Final = ("a.png", "b.png", "c.png", "twin.png")
DESCRIBED: Final = aeformat.Described(
    kind="sample",
    seed=7,
    scale=0.18215,
    resize="cover",
    resize_filter="lanczos",
    crop="center",
    size=(64, 64),
    colour="srgb",
    value_range="-1..1",
)


class Case(NamedTuple):
    """what: was done, by `do`, in a folder with images/, latents.aef, vae.safetensors and other.safetensors.

    options: for the command.  now: how images are prepared now, if that is compared.
    """

    what: str
    do: Callable[[Path], object] = lambda folder: folder
    options: tuple[str, ...] = ()
    now: aeformat.Described = DESCRIBED
    decoder: str = "vae.safetensors"


def draw(path: Path, seed: int) -> Path:
    """An image whose file has always the same length."""
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8)
    Image.fromarray(pixels).save(path, format="PNG", compress_level=0)
    return path


def edit(path: Path) -> Path:
    """Another image, in a file of the same name, length and time of last change."""
    before = path.stat()
    draw(path, 1000)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size
    return path


def touch(path: Path) -> Path:
    """A second later."""
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 10**9))
    return path


def delete(path: Path) -> Path:
    """Gone."""
    path.unlink()
    return path


def swap(folder: Path, first: str, second: str) -> Path:
    """Each file gets the name of the other."""
    (folder / first).rename(folder / "aside")
    (folder / second).rename(folder / first)
    return (folder / "aside").rename(folder / second)


def image(name: str) -> Callable[[Path], Path]:
    """The place of an image."""
    return lambda folder: folder / "images" / name


def encode(paths: list[Path]) -> Any:
    """What stands for a network here: the mean of each channel."""
    pixels = np.stack([np.asarray(Image.open(path), np.float32) for path in paths])
    return np.ascontiguousarray(np.moveaxis(pixels.mean(axis=(1, 2), keepdims=True), 3, 1))


def write(folder: Path, **options: Any) -> Path:
    """latents.aef of the images as they are."""
    names = sorted(path.name for path in (folder / "images").iterdir())
    paths = [folder / "images" / name for name in names]
    said: dict[str, Any] = {"foreign_decoder": aeformat.model_id(folder / "vae.safetensors"), "described": DESCRIBED}
    options = said | options
    has_sources = options.pop("has_sources", True)
    with aeformat.create(
        folder / "latents.aef", dims=(3, 1, 1), encoding="f32le", fields=aeformat.SOURCE_FIELDS if has_sources else None,
        force=True, **options,
    ) as file:  # fmt: skip
        file.append(encode(paths), names, sources=paths if has_sources else None)
    return folder / "latents.aef"


def network(path: Path, weight: float) -> None:
    """One tensor of four numbers as safetensors."""
    head = json.dumps({"weight": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}).encode()
    path.write_bytes(len(head).to_bytes(8, "little") + head + np.full(4, weight, "<f4").tobytes())


CASES: Final = (
    Case("nothing"),
    Case("another VAE, of the same shapes", decoder="other.safetensors"),
    Case("the file names no decoder", lambda folder: write(folder, foreign_decoder=None)),
    Case("an image edited; name, length and time of last change as before", lambda folder: edit(image("b.png")(folder))),
    Case(
        "the same, and only lengths and times compared", lambda folder: edit(image("b.png")(folder)), ("--fast",)
    ),
    Case(
        "an image edited, of the same length, lengths and times compared",
        lambda folder: touch(edit(image("b.png")(folder))),
        ("--fast",),
    ),
    Case("an image touched, lengths and times compared", lambda folder: touch(image("b.png")(folder)), ("--fast",)),
    Case("an image renamed", lambda folder: image("b.png")(folder).rename(image("z.png")(folder))),
    Case("two images that swapped their names", lambda folder: swap(folder / "images", "a.png", "b.png")),
    Case(
        "an image edited, and its old content saved under another name",
        lambda folder: (shutil.copy(image("b.png")(folder), image("old.png")(folder)), edit(image("b.png")(folder))),
    ),
    Case("an image deleted", lambda folder: delete(image("b.png")(folder))),
    Case("an image added", lambda folder: draw(image("d.png")(folder), 4)),
    Case(
        "a copy of an image added", lambda folder: shutil.copy(image("b.png")(folder), image("copy.png")(folder))
    ),
    Case("one of two images of one content deleted", lambda folder: delete(image("twin.png")(folder))),
    Case("one of two images of one content edited", lambda folder: edit(image("twin.png")(folder))),
    Case("another rule to resize by", now=replace(DESCRIBED, resize="fit")),
    Case("another filter and size to resize with", now=replace(DESCRIBED, resize_filter="bilinear", size=(32, 32))),
    Case("another seed", now=replace(DESCRIBED, seed=8)),
    Case("the mean where a sample was", now=replace(DESCRIBED, kind="mean", seed=None)),
    Case("another crop", now=replace(DESCRIBED, crop="random")),
    Case("another range and order of colours", now=replace(DESCRIBED, value_range="0..1", colour="bgr")),
    Case("another scale and shift", now=replace(DESCRIBED, scale=0.13025, shift=0.1)),
    Case("rows that do not say what they were made from", lambda folder: write(folder, has_sources=False)),
    Case(
        "another VAE, and an image added", lambda folder: draw(image("d.png")(folder), 4), decoder="other.safetensors"
    ),
)  # fmt: skip


def run(case: Case, folder: Path) -> tuple[str, int]:
    """What is said of a case, and the exit code."""
    (folder / "images").mkdir()
    for seed, name in enumerate(NAMES):
        draw(folder / "images" / name, min(seed, 2))  # the twin has the content of c.png
    network(folder / "vae.safetensors", 1.0)
    network(folder / "other.safetensors", 1.5)
    write(folder)
    case.do(folder)
    said = {key: value for key, value in asdict(case.now).items() if value is not None}
    (folder / "now.json").write_text(json.dumps(said))
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        code = aeformat_command([
            "check", str(folder / "latents.aef"), "--images", str(folder / "images"), "--json",
            "--decoder", str(folder / case.decoder), "--described", str(folder / "now.json"), *case.options,
        ])  # fmt: skip
    return sentence(json.loads(out.getvalue())), code


def sentence(found: dict[str, Any]) -> str:
    """A report in one line."""
    parts = [] if found["decoder"]["state"] == "the same" else [f"decoder {found['decoder']['state']}"]
    parts += [
        f"{each['key']}: {_value(each['said'])}, now {_value(each['now'])}"
        for each in found["preprocessing"]["differences"]
    ]
    for state, count in found["counts"].items():
        if count:
            names = [each if state == "new" else _named(each) for each in found.get(state, ())]
            listed = f" ({', '.join(names)})" if names else ""
            parts.append(f"{count} {state}{listed}")
    return "; ".join(parts)


def _value(value: Any) -> str:
    return "not said" if value is None else str(value)


def _named(row: dict[str, Any]) -> str:
    return f"{row['name']} -> {row['now']}" if "now" in row else str(row["name"])


def main() -> int:
    """Print the table."""
    print("| what happened | said | exit code |\n|---|---|---|")
    for case in CASES:
        with tempfile.TemporaryDirectory(prefix="aeformat-stale-") as folder:
            said, code = run(case, Path(folder))
        print(f"| {case.what} | {said} | {code} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
