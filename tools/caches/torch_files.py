"""The caches that take torch, there and back, in a program that has it.  Prints rows and differing bits of each format.

bghira/SimpleTuner, simpletuner/helpers/data_backend/local.py (torch_save) and base.py (_compress_torch), commit
06b96af6803a6ad7723b4d75a56d94dad1a06dfa; helpers/caching/vae.py writes a tensor, or a dict with the key "latents".
"""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import pickle
import sqlite3
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

from aeformat.adapters.exporting import export_cache
from aeformat.adapters.importing import ImportOptions, import_cache
from aeformat.errors import CacheInvalid
from tools.caches.writers import rows


def write(folder: Path, n: int, *, is_zipped: bool = False) -> None:
    """bfloat16; a tensor, a dict with values, by turns; a view of a larger one."""
    folder.mkdir(parents=True)
    for i, row in enumerate(rows(n)):
        latent = torch.from_numpy(row).to(torch.bfloat16)
        held: Any = latent
        if i % 2:
            held = {"latents": latent.transpose(1, 2).transpose(1, 2), "mask": torch.ones(i, 0, dtype=torch.bool)}
            held |= {"prompt": f"ein Bär {i}", "sizes": [64, 0.1, None]}
        file = io.BytesIO()
        torch.save(held, file)
        (folder / f"{i}.pt").write_bytes(gzip.compress(file.getvalue()) if is_zipped and i % 3 else file.getvalue())


def write_pipe(folder: Path, n: int) -> None:
    """tdrussell/diffusion-pipe, utils/cache.py: Cache.init, create_new_shard, add; commit 0b78c6b5dd5914dffe114343027c5d84676043ed."""
    (folder / "latents").mkdir(parents=True)
    made = rows(n)
    with contextlib.closing(sqlite3.connect(folder / "latents" / "metadata.db")) as database:
        database.execute("CREATE TABLE IF NOT EXISTS fingerprint(value)")
        database.execute("INSERT INTO fingerprint VALUES(?)", ("5f0e",))
        database.execute("CREATE TABLE IF NOT EXISTS items(shard, shard_index)")
        for shard, begin, end in ((0, 0, n // 2), (1, n // 2, n)):
            database.execute(f"CREATE TABLE shard_{shard}(offset, size)")
            with (folder / "latents" / f"shard_{shard}.bin").open("wb") as file:
                for i in range(begin, end):
                    latent = torch.from_numpy(made[i]).to(torch.float16)
                    held = {
                        "latents": latent,
                        "mask": torch.ones(2, i) if i % 2 else None,
                        "image_spec": [None, f"{i}.png"],
                    }
                    data = io.BytesIO()
                    torch.save(held, data)
                    database.execute("INSERT INTO items VALUES(?, ?)", (shard, i - begin))
                    entry = (file.tell(), len(data.getvalue()))
                    database.execute(f"INSERT INTO shard_{shard} VALUES (?, ?)", entry)
                    file.write(data.getvalue())
        database.commit()
    text_embeddings(folder / "text_embeddings_1")


def text_embeddings(folder: Path) -> None:
    """What the tool keeps beside the folder latents, in the same form; one row."""
    folder.mkdir()
    data = io.BytesIO()
    torch.save({"prompt_embeds": torch.ones(2, 3)}, data)
    (folder / "shard_0.bin").write_bytes(data.getvalue())
    with contextlib.closing(sqlite3.connect(folder / "metadata.db")) as database:
        database.execute("CREATE TABLE fingerprint(value)")
        database.execute("CREATE TABLE items(shard, shard_index)")
        database.execute("INSERT INTO items VALUES (0, 0)")
        database.execute("CREATE TABLE shard_0(offset, size)")
        database.execute("INSERT INTO shard_0 VALUES (0, ?)", (len(data.getvalue()),))
        database.commit()


def pipe_in(folder: Path) -> Any:
    """Everything, as bits, and in which shard it is."""
    found: list[Any] = []
    with contextlib.closing(sqlite3.connect(folder / "latents" / "metadata.db")) as database:
        found += database.execute("SELECT value FROM fingerprint").fetchall()
        for shard, index in database.execute("SELECT shard, shard_index FROM items").fetchall():
            offset, size = database.execute(f"SELECT offset, size FROM shard_{shard}").fetchall()[index]
            data = (folder / "latents" / f"shard_{shard}.bin").read_bytes()[offset : offset + size]
            found.append((shard, index, _bits(torch.load(io.BytesIO(data), weights_only=True))))
    return found


def held_in(folder: Path) -> dict[str, Any]:
    """Everything, as bits."""
    found = {}
    for path in sorted(folder.glob("*.pt")):
        data = path.read_bytes()
        is_zipped = data[:2] == b"\x1f\x8b"
        held = torch.load(io.BytesIO(gzip.decompress(data) if is_zipped else data), weights_only=True)
        found[path.name] = (is_zipped, _bits(held))
    return found


def _bits(held: Any) -> Any:
    if isinstance(held, dict):
        return {key: _bits(value) for key, value in held.items()}
    if isinstance(held, torch.Tensor):
        return str(held.dtype), tuple(held.shape), held.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
    return held


class _Runs:
    def __reduce__(self) -> Any:
        return print, ("this must not run",)


CASES: dict[str, tuple[str, Callable[[Path, int], None], Callable[[Path], Any]]] = {
    ".pt": ("pt", write, held_in),
    "SimpleTuner": ("simpletuner", partial(write, is_zipped=True), held_in),
    "diffusion-pipe": ("diffusion-pipe", write_pipe, pipe_in),
}
"""What is shown -> the format, who writes it, who reads it."""


def main(folder: Path, n: int) -> None:
    """One JSON line a format; ends with an error where anything differs."""
    beside = {"diffusion-pipe": ["text_embeddings_1"]}  # what is left out, and said
    for name, make, held in CASES.values():
        here = folder / name
        make(here / "cache", n)
        report = import_cache(name, here / "cache", here / "set", ImportOptions())
        back = export_cache(name, here / "set", here / "again")
        left_out = [lost["first"] for lost in report.to_map()["not_kept"]]
        if held(here / "cache") != held(here / "again") or back.not_kept or left_out != beside.get(name, []):
            raise SystemExit(f"{name}: not the same")
        sys.stdout.write(
            json.dumps({"format": name, "rows": report.rows, "encoding": report.encoding, "differing_bits": 0}) + "\n"
        )
    bad = {
        "pickle.pt": pickle.dumps(_Runs()),
        "cut.pt": (folder / "pt/cache/0.pt").read_bytes()[:-100],
        "none.pt": b"none",
    }
    for name, data in bad.items():
        (folder / name).write_bytes(data)
        try:
            import_cache("pt", folder / name, folder / "bad", ImportOptions())
        except CacheInvalid as error:
            sys.stdout.write(json.dumps({"refused": name, "why": str(error)}) + "\n")
        else:
            raise SystemExit(f"{name} was not refused")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
