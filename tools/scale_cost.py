"""Measure what a job on many machines costs on this one, for the arithmetic of docs/performance/scale.md.

    python -m tools.scale_cost [--photographs N] [--digits N] [--json FILE]

Images come from a bucket on loopback and latents go there; one process, one thread of NumPy, as a worker has it.  Prints seconds,
also those of the CPU, bytes and requests of an image and of a shard, and what plan, marks and manifest take.  Needs the extras
[dask] and [test].
"""

from __future__ import annotations

import argparse
import io
import json
import os
import time
from dataclasses import asdict
from pathlib import Path
from typing import Final

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"  # before NumPy is there

import numpy as np  # noqa: E402

import aeformat  # noqa: E402
from aeformat.images.photograph import demo_photograph  # noqa: E402
from aeformat.images.ranged import ImageFiles  # noqa: E402
from aeformat.scaling.listing import cut  # noqa: E402
from aeformat.sets.manifest import Manifest, Shard, parse_manifest  # noqa: E402
from tools.loopback.unkind_bucket import NAME, Bucket, unkind_bucket  # noqa: E402
from tools.scale_out import put  # noqa: E402

_NAMES: Final = 200_000
_SHARDS: Final = 100_000
_JPEG_QUALITY: Final = 90
_SIZE: Final = 512


def photographs(n: int) -> None:
    """n JPEG files of 512 x 512: cut-outs of the demo photograph, each another one."""
    import boto3
    from PIL import Image

    picture, rng, client = demo_photograph(), np.random.default_rng(1), boto3.client("s3")
    for number in range(n):
        left = int(rng.integers(0, picture.shape[1] - _SIZE + 1))
        pixels = np.roll(picture[:_SIZE, left : left + _SIZE], int(rng.integers(0, _SIZE)), axis=0)
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "JPEG", quality=_JPEG_QUALITY)
        client.put_object(Bucket=NAME, Key=f"photographs/{number:06}.jpg", Body=file.getvalue())


def job(bucket: Bucket, what: str, inputs: str, model: str, rows_per_shard: int) -> dict[str, float | str]:
    """Do a job, and what it cost."""
    aeformat.load_model(model)
    before, start, cpu = bucket.counted(), time.perf_counter(), time.process_time()
    done = aeformat.pack_set(inputs, f"s3://{NAME}/{what}", model=model, rows_per_shard=rows_per_shard, backend="numpy")
    seconds, cpu, after = time.perf_counter() - start, time.process_time() - cpu, bucket.counted()
    came = {key: after[key] - before.get(key, 0) for key in after}
    return {
        "what": what,
        "images": done.n_rows,
        "shards": done.n_shards,
        "seconds an image": seconds / done.n_rows,
        "CPU seconds an image": cpu / done.n_rows,
        "bytes in an image": came["bytes out"] / done.n_rows,
        "bytes out an image": done.n_bytes / done.n_rows,
        "requests": came["requests"],
    }


def bookkeeping() -> dict[str, float]:
    """What plan and manifest take, in memory: seconds and bytes a name, a shard."""
    import zlib

    names = [f"{number // 10_000:06}/{number:012}.jpg" for number in range(_NAMES)]
    files = tuple((name, f"s3://bucket/images/{name}") for name in names)
    start = time.process_time()
    parts = [zlib.compress(json.dumps(list(map(asdict, part))).encode()) for part in cut([ImageFiles(files)], 4096)]
    planned = time.process_time() - start
    with aeformat.open(Path("spec/vectors/container/valid/001-small.aef")) as latents:
        header = latents.header
    rng = np.random.default_rng(1)
    shards = [
        Shard(f"{(digest := rng.bytes(32)).hex()}.aef", digest, 4096, rng.bytes(32), 1 << 20) for _ in range(_SHARDS)
    ]
    start = time.process_time()
    data = Manifest(header, {}, tuple(shards)).to_bytes()
    parse_manifest(data)
    committed = time.process_time() - start
    return {
        "plan, bytes a name": sum(map(len, parts)) / _NAMES,
        "plan, CPU seconds a million names": planned / _NAMES * 1e6,
        "manifest, bytes a shard": len(data) / _SHARDS,
        "manifest, CPU seconds 100,000 shards": committed,
    }


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--photographs", type=int, default=48)
    parser.add_argument("--digits", type=int, default=81_920)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with unkind_bucket() as bucket:
        os.environ.update(bucket.environment)
        put(
            f"s3://{NAME}/digits.npy",
            np.random.default_rng(1).integers(0, 256, (options.digits, 28, 28), dtype=np.uint8),
        )
        photographs(options.photographs)
        found: list[dict[str, float | str]] = [
            job(bucket, "warm", f"s3://{NAME}/photographs/00000[0-3].jpg", "photo-3", 4),
            job(bucket, "photographs", f"s3://{NAME}/photographs/**", "photo-3", 16),
            job(bucket, "digits", f"s3://{NAME}/digits.npy", "mnist-exact", 4096),
        ]
    figures = {"jobs": found[1:], "bookkeeping": bookkeeping(), "numpy": np.__version__}
    text = json.dumps(figures, indent=1)
    print(text)
    if options.json:
        options.json.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
