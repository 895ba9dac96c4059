"""One contender in a process of its own: write its folder, or load one epoch.  Prints a line of JSON."""

from __future__ import annotations

import json
import os
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tools.bench_loaders.contenders import CONTENDERS, Asked
from tools.bench_loaders.data import kept_bits


def write(name: str, folder: Path, n_rows: int, size: int) -> dict[str, Any]:
    """Bytes of all files."""
    CONTENDERS[name].write(folder, kept_bits(folder.parent / "rows.bin", n_rows, size))
    os.sync()
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {
        "bytes": sum(path.stat().st_size for path in files),
        "disk_bytes": sum(path.stat().st_blocks * 512 for path in files),
        "files": len(files),
        "versions": {package: version(package) for package in CONTENDERS[name].packages},
    }


def load(name: str, asked: Asked, *, is_cold: bool) -> dict[str, Any]:
    """Rows a second of one epoch, from the first step of the loader on, the start of its workers included."""
    import torch

    torch.set_num_threads(1)
    _touch(asked.folder, is_cold=is_cold)
    loader = CONTENDERS[name].load(asked)
    began = time.perf_counter()
    n_rows = 0
    for batch in loader:
        assert batch.dtype == torch.bfloat16 and tuple(batch.shape[1:]) == asked.shape
        n_rows += len(batch)
    seconds = time.perf_counter() - began
    if n_rows < asked.n_rows - asked.batch_size * max(1, asked.n_workers):
        raise SystemExit(f"{name} gave {n_rows} rows of {asked.n_rows}")
    return {"rows": n_rows, "seconds": seconds, "rows_a_second": n_rows / seconds}


def _touch(folder: Path, *, is_cold: bool) -> None:
    """Take all files out of the system's cache, or read them into it."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                if is_cold:
                    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
                else:
                    while file.read(1 << 20):
                        pass


def main(arguments: str) -> None:
    """arguments: JSON, of what the two functions take."""
    given = json.loads(arguments)
    folder, size = Path(given["folder"]), given["size"]
    if given["do"] == "write":
        print(json.dumps(write(given["name"], folder, given["rows"], size)))
        return
    asked = Asked(folder, given["rows"], (4, size, size), given["batch_size"], given["workers"], given["seed"])
    print(json.dumps(load(given["name"], asked, is_cold=given["cold"])))
