"""Small writers of caches as other tools make them, and a reader that says what every array in a folder is, bit by bit.

Each follows public code, which it names; none of that code is here.
"""

from __future__ import annotations

import io
import json
import struct
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Arrays = dict[str, Any]  # "file: key" -> (type, shape, bytes), or metadata
SHAPES = ((4, 8, 12), (4, 16, 8), (4, 8, 8))


def rows(n: int, seed: int = 0) -> list[Any]:
    """n latents of several shapes, float32, with both zeros and the smallest numbers among them."""
    random = np.random.default_rng(seed)
    made = [random.normal(size=SHAPES[i % len(SHAPES)]).astype(np.float32) for i in range(n)]
    for row in made:
        row.flat[:4] = (-0.0, 0.0, 1e-45, -1e-45)
    return made


def bf16(row: Any) -> tuple[str, tuple[int, ...], bytes]:
    """The upper halves of float32."""
    return "BF16", row.shape, (row.view(np.uint32) >> 16).astype("<u2").tobytes()


def f16(row: Any) -> tuple[str, tuple[int, ...], bytes]:
    """Rounded."""
    return "F16", row.shape, row.astype("<f2").tobytes()


def write_safetensors(path: Path, tensors: dict[str, tuple[str, tuple[int, ...], bytes]], **metadata: str) -> None:
    """Eight bytes of length, JSON, data."""
    head: dict[str, Any] = {"__metadata__": metadata} if metadata else {}
    at = 0
    for name, (kind, shape, data) in tensors.items():
        head[name] = {"dtype": kind, "shape": list(shape), "data_offsets": [at, at + len(data)]}
        at += len(data)
    text = json.dumps(head).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(data for _, _, data in tensors.values()))


def npy(folder: Path, n: int) -> None:
    """One array a file, in folders of their own."""
    for i, row in enumerate(rows(n)):
        (folder / f"{i % 2}").mkdir(parents=True, exist_ok=True)
        np.save(folder / f"{i % 2}" / f"{i}.npy", row.astype(np.float16))


def npz(folder: Path, n: int) -> None:
    """Several arrays a file, of many types; some are missing in some files, or of another shape."""
    folder.mkdir(parents=True, exist_ok=True)
    for i, row in enumerate(rows(n)):
        more: dict[str, Any] = {"mask": np.full((i % 3 + 1, 2), bool(i % 2))} if i % 2 else {}
        np.savez(
            folder / f"{i}.npz",
            label=np.int64(i),
            latents=row.astype(np.float64),
            score=np.array([np.nan, np.inf, -0.0], np.float32),
            **more,
        )


def safetensors(folder: Path, n: int) -> None:
    """bfloat16, an eight-bit float beside it, and metadata."""
    for i, row in enumerate(rows(n)):
        eight = ("F8_E4M3", (3,), bytes([i % 256, 0x7F, 0xFF]))
        write_safetensors(folder / f"{i}.safetensors", {"latent": bf16(row), "eight": eight}, caption=f"ein Bär {i}")


def kohya(folder: Path, n: int) -> None:
    """kohya-ss/sd-scripts, library/strategy_base.py: LatentsCachingStrategy.save_latents_to_disk; names of strategy_sd.py.

    Commit 040c04f17e70ff12474ffc0704f183e154d90d71.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for i, row in enumerate(rows(n)):
        height, width = (8 * size for size in row.shape[1:])
        arrays = {
            "latents": row,
            "original_size": np.array((width + 3, height)),
            "crop_ltrb": np.array((0, 0, width, height)),
        }
        if i % 2:
            arrays["latents_flipped"] = row[:, :, ::-1]
        if i % 3 == 0:
            arrays["alpha_mask"] = np.ones((height, width), np.float32)
        np.savez(folder / f"img{i}_{width:04d}x{height:04d}_{('sd', 'sdxl')[i % 2]}.npz", **arrays)


def kohya_resolutions(folder: Path, n: int) -> None:
    """The same, multi_resolution=True: keys end in _HxW of the latent, and a file holds an image at several."""
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(n):
        arrays = {}
        for row in rows(i % 2 + 1, seed=i):
            _, height, width = row.shape
            suffix = f"_{height}x{width}"
            arrays[f"latents{suffix}"] = row
            arrays[f"original_size{suffix}"] = np.array((8 * width, 8 * height))
            arrays[f"crop_ltrb{suffix}"] = np.array((0, 0, 8 * width, 8 * height))
            if i % 3 == 0:
                arrays[f"latents_flipped{suffix}"] = row[:, :, ::-1]
        np.savez(folder / f"img{i}_0064x0064_flux.npz", **arrays)


def musubi(folder: Path, n: int) -> None:
    """kohya-ss/musubi-tuner, src/musubi_tuner/dataset/cache_io.py: save_latent_cache_wan, save_latent_cache_common.

    Commit 07f78ab1dacbcda4b42511772c6dc4e593907098.
    """
    for i, row in enumerate(rows(n)):
        video = np.stack([row, row + 1], axis=1)
        size = "x".join(map(str, video.shape[1:]))
        tensors = {f"latents_{size}_bfloat16": bf16(video)}
        if i % 2:
            tensors["clip_bfloat16"] = bf16(np.ones((2, 3), np.float32))
            tensors[f"latents_image_{size}_bfloat16"] = bf16(video * 2)
            tensors["f_indices_int32"] = ("I32", (2,), np.array([0, i], "<i4").tobytes())
        about = {"architecture": "wan", "width": "96", "height": "64", "format_version": "1.0.1", "frame_count": "5"}
        write_safetensors(folder / f"clip{i}_00000-005_0096x0064_wan.safetensors", tensors, **about)


def musubi_controls(folder: Path, n: int) -> None:
    """The same file: save_latent_cache_flux_2, and the number of save_latent_cache_kandinsky5, which is no array."""
    for i, row in enumerate(rows(n)):
        tensors = {f"latents_{row.shape[1]}x{row.shape[2]}_bfloat16": bf16(row)}
        for number, control in enumerate(rows(i % 3, seed=i)):
            tensors[f"latents_control_{number}_{control.shape[1]}x{control.shape[2]}_bfloat16"] = bf16(control)
        tensors["vae_scaling_factor"] = ("F32", (), np.float32(0.476986).tobytes())
        about = {"architecture": "flux_2", "width": "96", "height": "64", "format_version": "1.0.1"}
        write_safetensors(folder / f"img{i}_0096x0064_f2.safetensors", tensors, **about)


def ai_toolkit(folder: Path, n: int) -> None:
    """ostris/ai-toolkit, toolkit/dataloader_mixins.py: LatentCachingMixin.cache_latents_all_latents.

    Commit 002279cec335268639355a793aee60c4f4ba6f73.
    """
    for i, row in enumerate(rows(n)):
        about = {"filename": f"{i}.jpg", "scale_to_width": "64", "flip_x": "false"}
        write_safetensors(folder / "_latent_cache" / f"{i}_aGFzaA.safetensors", {"latent": f16(row)}, **about)


def webdataset(folder: Path, n: int) -> None:
    """webdataset/webdataset, src/webdataset/tariterators.py: base_plus_ext, group_by_keys.

    Commit e0953f9bba17b416d5792d5a263b171c266e78be.  Two tars, with captions, labels, masks and bytes; some are missing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for number, begin, end in ((0, 0, n // 2), (1, n // 2, n)):
        with tarfile.open(folder / f"shard-{number:06d}.tar", "w") as tar:
            for i, row in enumerate(rows(n)):
                if begin <= i < end:
                    members = {"cls": str(i).encode(), "latents.npy": npy_file(row), "txt": f"ein Bär {i}".encode()}
                    if i % 2:
                        members |= {"jpg": bytes([255, 216, i % 256]), "mask.npy": npy_file(np.ones((i, 2), bool))}
                    for extension, data in members.items():
                        member = tarfile.TarInfo(f"part/{i:04d}.{extension}")
                        member.size = len(data)
                        tar.addfile(member, io.BytesIO(data))


def hdf5(folder: Path, n: int) -> None:
    """h5py's own datasets: a row is one index of the first axis.  Two files, of other shapes; one has a group, and gzip."""
    import h5py

    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(1)
    for number, shape in enumerate(SHAPES[:2]):
        with h5py.File(folder / f"{number}.h5", "w") as file:
            more = {"compression": "gzip", "chunks": (2, *shape)} if number else {}
            file.create_dataset("latents", data=random.normal(size=(n, *shape)).astype(np.float16), **more)
            file.create_dataset("labels/class", data=np.arange(n, dtype=np.int32))
            file.create_dataset("is_train", data=np.arange(n) % 2 == 0)
            file.create_dataset("caption", data=[f"ein Bär {i}" for i in range(n)], dtype=h5py.string_dtype())
            if number:
                file.attrs["made by"] = "a test"
                file["about"] = 3


def table(n: int) -> Any:
    """A latent as a list of lists of lists; a label, a caption that may be missing, bytes, a vector, and a date."""
    import pyarrow as pa

    nested = pa.list_(pa.list_(pa.list_(pa.float32())))
    columns = {
        "latents": pa.array([row.tolist() for row in rows(n)], nested),
        "label": pa.array(range(n), pa.int16()),
        "caption": pa.array([None if i == 1 else f"ein Bär {i}" for i in range(n)]),
        "hash": pa.array([bytes([i % 256, 255]) for i in range(n)], pa.binary()),
        "vector": pa.array([[i, 0.1, -0.0] for i in range(n)], pa.list_(pa.float16(), 3)),
        "score": pa.array([None if i == 2 else i / 3 for i in range(n)], pa.float64()),
        "date": pa.array([0] * n, pa.timestamp("ms")),
    }
    return pa.table(columns).replace_schema_metadata({"huggingface": "{}"})


def parquet(folder: Path, n: int) -> None:
    """As pyarrow writes a table."""
    import pyarrow.parquet

    folder.mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(table(n), folder / "a.parquet", row_group_size=3)


def arrow(folder: Path, n: int) -> None:
    """The same as an Arrow IPC file."""
    import pyarrow.ipc

    folder.mkdir(parents=True, exist_ok=True)
    with pyarrow.ipc.new_file(str(folder / "a.arrow"), table(n).schema) as file:
        file.write_table(table(n), 2)


def text(folder: Path, n: int) -> None:
    """numpy.savetxt: a row a line."""
    folder.mkdir(parents=True, exist_ok=True)
    np.savetxt(folder / "a.txt", np.stack([row.reshape(-1)[:20].astype(np.float64) / 3 for row in rows(n)]))


def npy_file(array: Any) -> bytes:
    """As np.save writes it."""
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


Writer = Callable[[Path, int], None]
WRITERS: dict[str, tuple[str, Writer]] = {  # what is shown -> the format, who writes it
    "npy": ("npy", npy),
    "npz": ("npz", npz),
    "safetensors": ("safetensors", safetensors),
    "kohya sd, sdxl": ("kohya", kohya),
    "kohya, resolutions": ("kohya", kohya_resolutions),
    "musubi-tuner": ("musubi", musubi),
    "musubi-tuner, control images": ("musubi", musubi_controls),
    "ai-toolkit": ("ai-toolkit", ai_toolkit),
    "HDF5": ("hdf5", hdf5),
    "Parquet": ("parquet", parquet),
    "Arrow": ("arrow", arrow),
    "NumPy text": ("text", text),
    "WebDataset": ("webdataset", webdataset),
}

NEEDS = {"HDF5": "h5py", "Parquet": "pyarrow", "Arrow": "pyarrow"}
"""What is shown -> the library that it takes."""


def arrays_in(folder: Path) -> Arrays:
    """What all files below a folder hold, read without this package."""
    found: Arrays = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            name = path.relative_to(folder).as_posix()
            found |= {f"{name}: {key}": value for key, value in READERS[path.suffix](path).items()}
    return found


def _read_npy(path: Path) -> Arrays:
    return {"": _plain(np.load(path, allow_pickle=False))}


def _read_npz(path: Path) -> Arrays:
    with np.load(path, allow_pickle=False) as arrays:
        return {key: _plain(arrays[key]) for key in arrays.files}


def _read_safetensors(path: Path) -> Arrays:
    data = path.read_bytes()
    (length,) = struct.unpack_from("<Q", data)
    head, body = json.loads(data[8 : 8 + length]), data[8 + length :]
    found: Arrays = {"__metadata__": head.pop("__metadata__", {})}
    for key, entry in head.items():
        begin, end = entry["data_offsets"]
        found[key] = (entry["dtype"], tuple(entry["shape"]), body[begin:end])
    return found


def _read_tar(path: Path) -> Arrays:
    with tarfile.open(path) as tar:
        members = tar.getmembers()
        found: Arrays = {member.name: ("", (), _member(tar, member)) for member in members}
    return found | {"order": [member.name for member in members]}


def _read_h5(path: Path) -> Arrays:
    import h5py

    found: Arrays = {}

    def see(name: str, one: Any) -> None:
        if isinstance(one, h5py.Dataset) and one.shape:
            found[name] = list(one.asstr()[...]) if one.dtype.kind == "O" else _plain(one[...])

    with h5py.File(path) as file:
        file.visititems(see)
    return found


def _read_table(path: Path) -> Arrays:
    import pyarrow.ipc
    import pyarrow.parquet

    if path.suffix == ".parquet":
        found = pyarrow.parquet.read_table(path)
    else:
        with pyarrow.ipc.open_file(str(path)) as file:
            found = file.read_all()
    found = found.drop_columns([name for name in ("date",) if name in found.column_names])
    lists = {name: ("", (), repr(found[name].to_pylist()).encode()) for name in found.column_names}
    return {**lists, "schema": str(found.schema), "about": found.schema.metadata}


def _read_txt(path: Path) -> Arrays:
    return {"": ("", (), path.read_bytes())}


def _member(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(member)
    assert file is not None
    return file.read()


def _plain(array: Any) -> tuple[str, tuple[int, ...], bytes]:
    return array.dtype.str, array.shape, array.tobytes()


READERS: dict[str, Callable[[Path], Arrays]] = {
    ".tar": _read_tar,
    ".parquet": _read_table,
    ".arrow": _read_table,
    ".txt": _read_txt,
    ".h5": _read_h5,
    ".npy": _read_npy,
    ".npz": _read_npz,
    ".safetensors": _read_safetensors,
}


def differing_bits(first: Arrays, second: Arrays) -> int:
    """In arrays that both have; an array, a type, a shape or metadata that only one has counts with all its bits, at least 1."""
    total = 0
    for key in first.keys() | second.keys():
        one, other = first.get(key), second.get(key)
        if one == other:
            continue
        if isinstance(one, tuple) and isinstance(other, tuple) and one[:2] == other[:2]:
            bits = np.frombuffer(one[2], np.uint8) ^ np.frombuffer(other[2], np.uint8)
            total += int(np.unpackbits(bits).sum())
        else:
            total += max([1, *(8 * len(side[2]) for side in (one, other) if isinstance(side, tuple))])
    return total
