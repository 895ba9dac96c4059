"""What people keep latents in: for each, how a folder is written, and a loader of shuffled batches of torch.bfloat16.

Libraries are imported by the contender that needs them, so that each runs where the others are not installed.
Nothing here imports aeformat but the two contenders that are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Blocks = Iterable[NDArray[np.uint16]]  # rows as the bits of bf16, (n, 4, size, size)
_SHARD_BYTES: Final = 64 << 20
_BUFFER: Final = 4096  # rows that WebDataset shuffles among


class Asked(NamedTuple):
    """What a loader is asked for.  shape: of one row."""

    folder: Path
    n_rows: int
    shape: tuple[int, ...]
    batch_size: int
    n_workers: int
    seed: int


class Contender(NamedTuple):
    """write: rows into a folder that is there.  load: batches, (n, *shape) bfloat16 each, of all rows but perhaps the last few.

    packages: what it takes, by distribution.
    """

    write: Callable[[Path, Blocks], None]
    load: Callable[[Asked], Iterable[Any]]
    packages: tuple[str, ...]


def _rows(blocks: Blocks) -> Iterator[tuple[int, NDArray[np.uint16]]]:
    return enumerate(row for block in blocks for row in block)


def _bfloat16(bits: NDArray[Any]) -> Any:
    import torch

    return torch.from_numpy(bits).view(torch.bfloat16)


class _ByRow:
    """A map-style data set: read_row of a number."""

    def __init__(self, asked: Asked, read_row: Callable[[Asked, int], Any]) -> None:
        self.asked, self.read_row = asked, read_row

    def __len__(self) -> int:
        return self.asked.n_rows

    def __getitem__(self, row: int) -> Any:
        return self.read_row(self.asked, row)


def _loader(dataset: Any, asked: Asked, **more: Any) -> Any:
    import torch

    torch.manual_seed(asked.seed)
    given = {"batch_size": asked.batch_size, "shuffle": True, "num_workers": asked.n_workers, **more}
    return torch.utils.data.DataLoader(dataset, **given)


def _write_aeformat(codec: str) -> Callable[[Path, Blocks], None]:
    def write(folder: Path, blocks: Blocks) -> None:
        import aeformat

        file = None
        for block in blocks:
            if file is None:
                dims = block.shape[1:]
                file = aeformat.create(folder / "cache.aef", dims=dims, encoding="bf16le", codec=codec)
            file.append((block.astype(np.uint32) << 16).view(np.float32))
        assert file is not None
        file.close()

    return write


def _load_aeformat(asked: Asked) -> Any:
    import aeformat.torch

    data = aeformat.torch.IterableDataset(asked.folder / "cache.aef", asked.batch_size, shuffle=asked.seed)
    loader = _loader(data, asked, batch_size=None, shuffle=None)
    return (batch["latents"] for batch in loader)


def _fan(folder: Path, row: int, suffix: str) -> Path:
    """A file for each row, a thousand in a folder."""
    return folder / f"{row // 1000:04d}" / f"{row:08d}{suffix}"


def _write_npz(folder: Path, blocks: Blocks) -> None:
    for row, bits in _rows(blocks):
        path = _fan(folder, row, ".npz")
        path.parent.mkdir(exist_ok=True)
        np.savez(path, latents=bits)


def _npz_row(asked: Asked, row: int) -> Any:
    with np.load(_fan(asked.folder, row, ".npz")) as file:
        return _bfloat16(file["latents"])


def _write_safetensors_each(folder: Path, blocks: Blocks) -> None:
    from safetensors.torch import save_file

    for row, bits in _rows(blocks):
        path = _fan(folder, row, ".safetensors")
        path.parent.mkdir(exist_ok=True)
        save_file({"latents": _bfloat16(bits.copy())}, path)


def _safetensors_row(asked: Asked, row: int) -> Any:
    from safetensors.torch import load_file

    return load_file(_fan(asked.folder, row, ".safetensors"))["latents"]


def _write_safetensors_one(folder: Path, blocks: Blocks) -> None:
    from safetensors.torch import save_file

    save_file({"latents": _bfloat16(np.concatenate(list(blocks)))}, folder / "cache.safetensors")


class _OneSafetensors:
    """Rows of one tensor in one file, opened once in each process; a whole batch at a time."""

    def __init__(self, asked: Asked) -> None:
        self.asked = asked
        self._slice: Any = None

    def __len__(self) -> int:
        return self.asked.n_rows

    def __getitems__(self, rows: list[int]) -> Any:
        import torch
        from safetensors import safe_open

        if self._slice is None:
            self._file: Any = safe_open(self.asked.folder / "cache.safetensors", "pt")
            file: Any = self._file
            self._slice = file.get_slice("latents")
        return torch.stack([self._slice[row] for row in rows])


def _same(batch: Any) -> Any:
    return batch


def _write_webdataset(folder: Path, blocks: Blocks) -> None:
    from webdataset import ShardWriter

    with ShardWriter(str(folder / "%06d.tar"), maxsize=_SHARD_BYTES, verbose=0) as writer:
        for row, bits in _rows(blocks):
            writer.write({"__key__": f"{row:08d}", "bin": bits.tobytes()})


def _load_webdataset(asked: Asked) -> Any:
    import webdataset

    def batch_of(samples: tuple[list[bytes]]) -> Any:
        return _bfloat16(np.frombuffer(b"".join(samples[0]), np.uint16).reshape(-1, *asked.shape).copy())

    shards = sorted(map(str, asked.folder.glob("*.tar")))
    data = (
        webdataset.WebDataset(shards, shardshuffle=len(shards), seed=asked.seed, empty_check=False)
        .shuffle(_BUFFER, initial=_BUFFER, seed=asked.seed)
        .to_tuple("bin")
        .batched(asked.batch_size, collation_fn=lambda samples: tuple(zip(*samples, strict=True)))
        .map(batch_of)
    )
    return _loader(data, asked, batch_size=None, shuffle=None)


def _write_array_record(folder: Path, blocks: Blocks) -> None:
    from array_record.python.array_record_module import ArrayRecordWriter

    writer = ArrayRecordWriter(str(folder / "cache.array_record"), "group_size:1")
    for _, bits in _rows(blocks):
        writer.write(bits.tobytes())
    writer.close()


class _ArrayRecord:
    """Records of one file, opened once in each process; a whole batch at a time."""

    def __init__(self, asked: Asked) -> None:
        self.asked = asked
        self._source: Any = None

    def __len__(self) -> int:
        return self.asked.n_rows

    def __getitems__(self, rows: list[int]) -> Any:
        from array_record.python.array_record_data_source import ArrayRecordDataSource

        if self._source is None:
            self._source = ArrayRecordDataSource(str(self.asked.folder / "cache.array_record"))
        data = b"".join(self._source.__getitems__(rows))
        return _bfloat16(np.frombuffer(data, np.uint16).reshape(-1, *self.asked.shape).copy())


def _write_mosaic(folder: Path, blocks: Blocks) -> None:
    from streaming import MDSWriter

    with MDSWriter(out=str(folder), columns={"latents": "bytes"}) as writer:
        for _, bits in _rows(blocks):
            writer.write({"latents": bits.tobytes()})


def _load_mosaic(asked: Asked) -> Any:
    from streaming import StreamingDataset

    data = StreamingDataset(local=str(asked.folder), shuffle=True, shuffle_seed=asked.seed, batch_size=asked.batch_size)

    def batch_of(samples: list[dict[str, bytes]]) -> Any:
        joined = b"".join(sample["latents"] for sample in samples)
        return _bfloat16(np.frombuffer(joined, np.uint16).reshape(-1, *asked.shape).copy())

    return _loader(data, asked, shuffle=None, collate_fn=batch_of)


CONTENDERS: Final = {
    "aeformat": Contender(_write_aeformat("zstd"), _load_aeformat, ("torch",)),
    "aeformat, not compressed": Contender(_write_aeformat("none"), _load_aeformat, ("torch",)),
    "npz a row": Contender(_write_npz, lambda asked: _loader(_ByRow(asked, _npz_row), asked), ("torch",)),
    "safetensors a row": Contender(
        _write_safetensors_each,
        lambda asked: _loader(_ByRow(asked, _safetensors_row), asked),
        ("torch", "safetensors"),
    ),
    "one safetensors": Contender(
        _write_safetensors_one,
        lambda asked: _loader(_OneSafetensors(asked), asked, collate_fn=_same),
        ("torch", "safetensors"),
    ),
    "WebDataset": Contender(_write_webdataset, _load_webdataset, ("torch", "webdataset")),
    "array_record": Contender(
        _write_array_record,
        lambda asked: _loader(_ArrayRecord(asked), asked, collate_fn=_same),
        ("torch", "array_record"),
    ),
    "MosaicML streaming": Contender(_write_mosaic, _load_mosaic, ("torch", "mosaicml-streaming")),
}
