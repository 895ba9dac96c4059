"""A folder of images, and latents of them in a file or a set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import aeformat

FIELDS = {"caption": str, "label": int} | dict(aeformat.SOURCE_FIELDS)
DIMS = (3, 1, 2)


def draw(path: Path, seed: int) -> Path:
    """An image whose file has always the same length."""
    pixels = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), np.uint8)
    Image.fromarray(pixels).save(path, compress_level=0)
    return path


def latents_of(pixels: np.ndarray, scale: float = 1.0) -> np.ndarray:
    """(3, 1, 2) float32."""
    return (np.moveaxis(pixels[:1, :2].astype(np.float32), 2, 0) * scale).copy()


def encode(paths: list[Path]) -> np.ndarray:
    """Of files."""
    return np.stack([latents_of(np.asarray(Image.open(path))) for path in paths])


def encode_arrays(images: list[np.ndarray]) -> np.ndarray:
    """Of arrays."""
    return np.stack([latents_of(image) for image in images])


def images_in(folder: Path, n_images: int = 12) -> list[Path]:
    """images/00.png and so on."""
    (folder / "images" / "below").mkdir(parents=True)
    names = [f"below/{number:02}.png" if number % 3 == 2 else f"{number:02}.png" for number in range(n_images)]
    return [draw(folder / "images" / name, seed) for seed, name in enumerate(names)]


def add(file: Any, folder: Path, paths: list[Path], first: int = 0, *, sources: bool = True) -> None:
    """Rows of these images."""
    file.append(
        encode(paths),
        [path.relative_to(folder / "images") for path in paths],
        sources=paths if sources else None,
        fields={"caption": [f"no. {first + at}" for at in range(len(paths))], "label": range(first, first + len(paths))}
        | ({} if sources else aeformat.source_fields(paths)),
    )


def write_file(folder: Path, paths: list[Path], **options: Any) -> Path:
    """latents.aef."""
    with aeformat.create(folder / "latents.aef", dims=DIMS, encoding="f32le", fields=FIELDS, **options) as file:
        add(file, folder, paths)
    return folder / "latents.aef"


def write_set(folder: Path, paths: list[Path], per_shard: int = 4, **options: Any) -> Path:
    """set/, of several shards."""
    for first in range(0, len(paths), per_shard):
        writing = aeformat.create_set(folder / "set", dims=DIMS, encoding="f32le", fields=FIELDS, **options)
        with writing.writer() as file:
            add(file, folder, paths[first : first + per_shard], first)
        writing.commit()
    return folder / "set"


WRITE = {"file": write_file, "set": write_set}


def facts(path: Path) -> list[tuple[Any, ...]]:
    """All that each row has."""
    with aeformat.open(path) as latents:
        values = [latents[row].tobytes() for row in range(len(latents))]
        fields = [list(latents.fields[name]) for name in latents.fields]
        names = [latents.names(row) for row in range(len(latents))]
    return list(zip(values, [(said.names, said.sources) if said else None for said in names], *fields, strict=True))


def bytes_below(path: Path) -> dict[str, bytes]:
    """What a file holds, or each file of a folder but temporary ones and the lock, by name."""
    found = [path] if path.is_file() else sorted(path.iterdir())
    return {
        each.name: each.read_bytes()
        for each in found
        if not each.name.startswith(".aeformat-tmp-") and each.suffix != ".lock"
    }
