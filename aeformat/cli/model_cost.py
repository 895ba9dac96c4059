"""aeformat model cost: sizes and break-even points of every model, against several baselines.

All figures are measured when the command runs: the sizes of the packages, the latents of the images, and the same images in
other formats.
"""

from __future__ import annotations

import argparse
import io
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from aeformat.cli import common
from aeformat.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from aeformat.model.package import ModelPackage
    from aeformat.pipeline.cost import Basis
    from aeformat.pipeline.evaluate import Fidelity

_OPTIMIZER_SLOTS = 2  # numbers that a checkpoint keeps beside each float32 weight
_FLOAT32_BYTES = 4


def cost(options: argparse.Namespace) -> int:
    """Print sizes, bytes for each image and break-even points."""
    from aeformat.model import store
    from aeformat.model.package import check_fixed_sizes

    names = [options.model] if options.model else store.one_size_names()
    results = []
    for name in names:
        encoder, decoder = store.find_pair(name)
        check_fixed_sizes(encoder, "what an image costs depends on its size")
        images, label = _images(options.images, encoder.input.shape)
        results.append(_measure(name, encoder, decoder, images, label))
        if not options.json:
            _print(results[-1])
    if options.json:
        common.print_json({"models": results})
    return 0


def _images(named: list[str] | None, shape: tuple[int, ...]) -> tuple[NDArray[np.uint8], str]:
    """The images that were named, or those of MNIST's test; and what they are."""
    import numpy as np

    from aeformat.backends.runtime import fetch_mnist
    from aeformat.images import ImageFit, demo_digits, open_source
    from aeformat.images.fit import as_they_are

    height, width, channels = shape
    fit = ImageFit((height, width, channels), rgb=channels == 3)
    with as_they_are():
        try:
            source = open_source(named or ["mnist:test"], fit, fetch_mnist=fetch_mnist)
            common.say_left_out(source.left_out)
        except UsageError:
            if named:
                raise
            return demo_digits(), "this project's demo digits (MNIST is not at hand)"
        return np.concatenate([block.images for block in source.blocks(4096)]), source.label


def _measure(
    name: str, encoder: ModelPackage, decoder: ModelPackage, images: NDArray[np.uint8], label: str
) -> dict[str, Any]:
    from aeformat.model.file_io import package_bytes
    from aeformat.pipeline.cost import N_MEASURED, TEXT_BASIS, bases, break_even
    from aeformat.pipeline.pack import usual_codec

    sizes = {half.role: len(package_bytes(half)) for half in (encoder, decoder)}
    n_params = encoder.n_params + decoder.n_params
    text_bytes, _ = _packed(encoder, decoder, images, "text19", "none")
    latent_bytes, fidelity = _packed(encoder, decoder, images, None, usual_codec(None, decoder))
    checkpoint = n_params * _FLOAT32_BYTES * (1 + _OPTIMIZER_SLOTS)
    weights = _weights(encoder, decoder, sizes, images)
    rows = []
    with common.ProgressBar("compressing with the rivals", N_MEASURED * len(images)) as bar:
        for basis in bases(images, fidelity, bar):
            latent = text_bytes if basis.name == TEXT_BASIS else latent_bytes
            rows.append(_row(basis, latent, sizes["decoder"], weights))
    text = rows[0]["bytes_per_image"]
    return {
        "name": name,
        "profile": decoder.profile,
        "images": label,
        "n_images": len(images),
        "psnr_db": fidelity.psnr,
        "parameters": n_params,
        "encoder_bytes": sizes["encoder"],
        "decoder_bytes": sizes["decoder"],
        "both_bytes": sum(sizes.values()),
        "weights": weights,
        "checkpoint_bytes": checkpoint,
        "checkpoint_break_even_text": break_even(checkpoint, text, text_bytes),
        "latent_text_bytes": text_bytes,
        "latent_bytes": latent_bytes,
        "bases": rows,
    }


def _weights(
    encoder: ModelPackage, decoder: ModelPackage, sizes: dict[str, int], images: NDArray[np.uint8]
) -> list[dict[str, Any]]:
    """Both halves with each type of weights.  PSNR: with the decoder's weights in that type; the encoder is not sent."""
    from aeformat.pipeline.evaluate import compare
    from aeformat.pipeline.weights import TYPES, rounded, weight_costs

    n_images = len(images)
    latents = common.network(encoder, "auto", n_images).run(images)
    rows = []
    with common.ProgressBar("decoding with other weights", len(TYPES) * n_images) as bar:
        for first, second in zip(
            weight_costs(encoder, sizes["encoder"]), weight_costs(decoder, sizes["decoder"]), strict=True
        ):
            measured = None
            if second.package_bytes is not None:
                decoded = common.network(rounded(decoder, second.type), "auto", n_images).run(latents)
                measured = compare([images], [decoded]).psnr
            rows.append(
                {
                    "type": second.type,
                    "encoder_numbers_bytes": first.numbers_bytes,
                    "decoder_numbers_bytes": second.numbers_bytes,
                    "encoder_bytes": first.package_bytes,
                    "decoder_bytes": second.package_bytes,
                    "psnr_db": measured,
                }
            )
            bar.update(n_images)
    return rows


def _row(basis: Basis, latent_bytes: float, decoder_bytes: int, weights: list[dict[str, Any]]) -> dict[str, Any]:
    from aeformat.pipeline.cost import break_even

    def pays_from(n_bytes: int) -> int | None:
        return break_even(n_bytes, basis.n_bytes, latent_bytes)

    return {
        "basis": basis.name,
        "bytes_per_image": basis.n_bytes,
        **{key: value for key, value in asdict(basis).items() if key in ("is_lossless", "note")},
        "latent_bytes": latent_bytes,
        "break_even_images": pays_from(decoder_bytes),
        "break_even_by_weights": {
            row["type"]: pays_from(row["decoder_bytes"]) for row in weights if row["decoder_bytes"] is not None
        },
    }


def _packed(
    encoder: ModelPackage, decoder: ModelPackage, images: NDArray[np.uint8], encoding: str | None, codec: str
) -> tuple[float, Fidelity]:
    """Pack all images into a file in memory: (bytes for each image, fidelity)."""
    from aeformat.backends.numpy_passes import prior_of
    from aeformat.images.memory import ArraySource
    from aeformat.pipeline.evaluate import compare
    from aeformat.pipeline.pack import PackOptions, pack
    from aeformat.pipeline.unpack import unpack_with
    from aeformat.reader import stream_latents

    sink = io.BytesIO()
    options = PackOptions(encoding, codec, prior=prior_of(decoder) if codec == "rans" else None)
    with common.ProgressBar(f"packing {decoder.name or 'the images'}", len(images)) as bar:
        pack(ArraySource(images), common.network(encoder, "auto", len(images)), sink, options, bar)
    decoded = unpack_with(stream_latents(io.BytesIO(sink.getvalue())), common.network(decoder, "auto", len(images)))
    return sink.tell() / len(images), compare([images], (block.images for block in decoded))


def _print(result: dict[str, Any]) -> None:
    print(f"{result['name']}: {result['parameters']:,} parameters, {result['psnr_db']:.2f} dB on {result['images']}")
    print(f"  encoder {common.size(result['encoder_bytes'])}, decoder {common.size(result['decoder_bytes'])}, "
          f"both {common.size(result['both_bytes'])}")  # fmt: skip
    print(f"  a sample: {result['latent_bytes']:,.1f} B packed, {result['latent_text_bytes']:,.1f} B as 19-digit text")
    print(f"  as the note counts, a float32 checkpoint with two optimizer slots: {common.size(result['checkpoint_bytes'])}, "
          f"on the text basis it pays from {result['checkpoint_break_even_text']:,} images on")  # fmt: skip
    rows = [["weights", "numbers: encoder", "decoder", "package: encoder", "decoder", "PSNR"]]
    for row in result["weights"]:
        sizes = [row["encoder_numbers_bytes"], row["decoder_numbers_bytes"], row["encoder_bytes"], row["decoder_bytes"]]
        psnr = "-" if row["psnr_db"] is None else common.decibels(row["psnr_db"])
        rows.append([row["type"], *("-" if n_bytes is None else common.size(n_bytes) for n_bytes in sizes), psnr])
    common.print_table(rows)
    print()
    types = list(result["bases"][0]["break_even_by_weights"]) if result["profile"] == "float32" else []
    rows = [["basis", "", "bytes an image", "latent", "decoder pays from", *(f"as {name}" for name in types)]]
    for row in result["bases"]:
        counts = [row["break_even_images"], *(row["break_even_by_weights"][name] for name in types)]
        rows.append(
            [row["basis"], "lossless" if row["is_lossless"] else row["note"], f"{row['bytes_per_image']:,.1f}",
             f"{row['latent_bytes']:,.1f}", *("never" if n is None else f"{n:,} images" for n in counts)]
        )  # fmt: skip
    common.print_table(rows, right=2)
    print()
