"""Rate models, whole process and step by step: images a second in, out and refined, beside what the arithmetic allows.

    python -m tools.bench_rate_models [--model mnist-rd-24] [--images 60000] [--refined 512] [--out FILE.json]

Prints JSON and a table in Markdown.  The digits are drawn (draw_digits.py) and shifted by up to two pixels, so that all differ.
The limit of a network is the rate of its multiply-adds in large float32 products of NumPy, one a core: the fastest that NumPy has.  The
rival is a bare loop of a float32 TensorFlow network with layers of the same shapes, from pixels to latents and back: no
file, no code of few bits, no exact integers.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as in the commands; NumPy reads it when it is imported

import numpy as np
from numpy.typing import NDArray

from aeformat.backends.numpy_backend import NumpyNetwork
from aeformat.container import rans
from aeformat.container.threads import n_processors
from aeformat.model.file_io import read_package
from aeformat.model.package import ModelPackage
from aeformat.pipeline.refine import Refinement
from tools.draw_digits import draw_all

MODELS: Final = Path(__file__).resolve().parent.parent / "models"
BEFORE: Final = {"in": 15_000, "out": 11_000, "refined": 68}  # images a second before this work, on two cores
GOAL: Final = 5  # times that
PRICE: Final = 6.771  # of the README's row
SHIFTS: Final = [(down, across) for down in range(-2, 3) for across in range(-2, 3)]
ROWS: Final = 4096  # that a step takes at a time, as pack does
ROUNDS: Final = 3  # the best counts

Array = NDArray[Any]


def digits(n: int) -> NDArray[np.uint8]:
    """n images (n, 28, 28, 1), all different."""
    drawn: list[Array] = []
    while len(drawn) * 100 * len(SHIFTS) < n:
        drawn.append(draw_all(seed=len(drawn))[0])
    images = np.concatenate(drawn)
    shifted = np.concatenate([np.roll(images, shift, axis=(1, 2)) for shift in SHIFTS])
    return shifted[np.random.default_rng(0).permutation(len(shifted))[:n], :, :, np.newaxis]


def best(work: Callable[[], object], rounds: int = ROUNDS) -> float:
    """Seconds of the fastest run, behind one that does not count."""
    work()
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def product_rate() -> float:
    """Multiply-adds a second of large products in float32, one a core."""
    a, b = np.ones((4096, 1024), np.float32), np.ones((1024, 1024), np.float32)
    with ThreadPoolExecutor(n_processors()) as pool:
        seconds = best(lambda: list(pool.map(lambda _: a @ b, range(n_processors()))))
    return n_processors() * a.size * b.shape[1] / seconds


def command_rate(arguments: list[str], n: int) -> float:
    """Images a second of a whole process, the best of two."""
    code = "from aeformat.cli.main import run; run()"
    return n / best(
        lambda: subprocess.run([sys.executable, "-c", code, *arguments], check=True, capture_output=True), 1
    )


def whole(model: str, images: Array, folder: Path) -> dict[str, float]:
    """Images a second of `aeformat pack` and `aeformat unpack`."""
    source, packed, restored = folder / "digits.npy", folder / "digits.aef", folder / "restored.npy"
    np.save(source, images)
    common = ["--backend", "numpy", "--force"]
    return {
        "in": command_rate(["pack", str(source), "-o", str(packed), "--model", model, *common], len(images)),
        "out": command_rate(["unpack", str(packed), "-o", str(restored), *common], len(images)),
    }


def steps(encoder: NumpyNetwork, decoder: NumpyNetwork, images: Array) -> dict[str, float]:
    """Microseconds an image of what pack and unpack do, one after the other."""
    images = images[:ROWS]
    prior = decoder.package.prior
    assert prior is not None
    latents = encoder.run(images)
    coded = rans.encode_rows(latents, prior)
    assert coded is not None
    work: dict[str, Callable[[], object]] = {
        "encoder": lambda: encoder.run(images),
        "choice of the class": lambda: prior.choose(latents),
        "code, with that choice": lambda: rans.encode_rows(latents, prior),
        "decoding of the code": lambda: rans.decode_rows(coded, prior, n_rows=len(latents)),
        "decoder": lambda: decoder.run(latents),
    }
    return {name: best(step) / len(images) * 1e6 for name, step in work.items()}


def refined(encoder: NumpyNetwork, decoder: NumpyNetwork, images: Array) -> float:
    """Images a second."""
    latents, refinement = encoder.run(images), Refinement(decoder, PRICE)
    return len(images) / best(lambda: refinement.refine(latents, images), 1)


def rival(package: ModelPackage, rows: Array) -> float | None:
    """Images a second of a float32 TensorFlow network with such layers; None where TensorFlow is not installed."""
    try:
        import tensorflow as tf
    except ImportError:
        return None
    weights = [
        tf.constant(step.arrays["weights"] / 1000, tf.float32) for step in package.plan if "weights" in step.arrays
    ]

    def run(x: Any) -> Any:
        x, at = tf.cast(x, tf.float32), iter(weights)
        for step in package.plan:
            match step.kind:
                case "dense":
                    x = x @ next(at)
                case "conv2d":
                    top, bottom, left, right = step.integers("padding")
                    sides = [[0, 0], [top, bottom], [left, right], [0, 0]]
                    x = tf.nn.conv2d(x, next(at), step.integers("strides"), sides)
                case "conv2d_transpose":
                    kernel, (sh, sw), (height, width, _) = next(at), step.integers("strides"), step.input_shape
                    tall, wide = (height - 1) * sh + kernel.shape[0], (width - 1) * sw + kernel.shape[1]
                    shape = [tf.shape(x)[0], tall, wide, kernel.shape[2]]
                    top, bottom, left, right = step.integers("crop")
                    x = tf.nn.conv2d_transpose(x, kernel, shape, (sh, sw), "VALID")
                    x = x[:, top : tall - bottom, left : wide - right]
                case "lookup":
                    x = tf.nn.gelu(x, approximate=True)
                case kind:
                    assert kind in ("reshape", "flatten"), kind
                    x = tf.reshape(x, [-1, *step.made.shape])
        return tf.cast(x, tf.uint8)

    compiled = tf.function(run, input_signature=[tf.TensorSpec((None, *rows.shape[1:]), rows.dtype)])
    return len(rows) / best(lambda: compiled(rows).numpy())


def table(found: dict[str, Any]) -> str:
    """What was found, in Markdown."""
    lines = [
        "| | images/s | before | goal | of the goal | limit of the products | TensorFlow, float32 |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, rate in found["images_per_second"].items():
        goal, limit, other = GOAL * BEFORE[name], found["limits"][name], found["tensorflow"].get(name)
        share = f"{rate / goal:.2f}"
        beside = "-" if other is None else f"{other:,.0f}"
        lines.append(f"| {name} | {rate:,.0f} | {BEFORE[name]:,} | {goal:,} | {share} | {limit:,.0f} | {beside} |")
    lines += ["", "| step | us an image |", "|---|---|"]
    lines += [f"| {name} | {time:.1f} |" for name, time in found["steps_us"].items()]
    return "\n".join(lines)


def main() -> None:
    """Measure, print, and write if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="mnist-rd-24")
    parser.add_argument("--images", type=int, default=60_000)
    parser.add_argument("--refined", type=int, default=512)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    images = digits(options.images)
    encoder, decoder = (
        NumpyNetwork(read_package(MODELS / f"{options.model}.{role}.aef")) for role in ("encoder", "decoder")
    )
    with tempfile.TemporaryDirectory() as folder:
        rates = whole(options.model, images, Path(folder))
    rates["refined"] = refined(encoder, decoder, images[: options.refined])
    rate = product_rate()
    in_one = {name: network.package.manifest.n_multiply_adds for name, network in (("in", encoder), ("out", decoder))}
    of_refined = 2 * (decoder.package.input.value.n_elements + 5) * in_one["out"]  # decodings of two rounds
    latents = encoder.run(images[:ROWS])
    found = {
        "model": options.model,
        "images": options.images,
        "versions": {name: version(name) for name in ("numpy",)} | {"python": platform.python_version()},
        "cores": n_processors(),
        "images_per_second": rates,
        "product_rate": rate,
        "multiply_adds": in_one,
        "limits": {name: rate / n for name, n in (in_one | {"refined": of_refined}).items()},
        "steps_us": steps(encoder, decoder, images),
        "tensorflow": {"in": rival(encoder.package, images[:ROWS]), "out": rival(decoder.package, latents)},
    }
    if "tensorflow" in sys.modules:
        found["versions"]["tensorflow"] = sys.modules["tensorflow"].__version__
    text = json.dumps(found, indent=1)
    print(text)
    print(table(found))
    if options.out is not None:
        options.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
