"""One file of aeformat demo: packed, validated, unpacked and compared."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aeformat.cli import common
from aeformat.errors import AeformatError

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from aeformat.pipeline.evaluate import Fidelity


@dataclass(frozen=True, slots=True)
class RoundTrip:
    """What came back, (n, h, w, c); how close it is; the size of the file; and the seconds of encoding and of decoding."""

    images: NDArray[np.uint8]
    fidelity: Fidelity
    n_bytes: int
    seconds: tuple[float, float]


def round_trip(
    path: Path, images: NDArray[np.uint8], model: str, encoding: str | None, codec: str | None, backend: str
) -> RoundTrip:
    """Pack images (n, h, w, c) into `path`, validate the file, unpack it.  encoding, codec: None for the usual one.

    Raises AeformatError where the file breaks a rule.
    """
    import numpy as np

    from aeformat.atomic import AtomicFile
    from aeformat.backends.golden_check import check
    from aeformat.backends.numpy_passes import prior_of
    from aeformat.images.memory import ArraySource
    from aeformat.model import store
    from aeformat.pipeline.checking import Decoders
    from aeformat.pipeline.evaluate import compare
    from aeformat.pipeline.pack import PackOptions, pack, usual_codec
    from aeformat.pipeline.unpack import unpack
    from aeformat.reader import stream_latents
    from aeformat.validator import validate

    encoder, decoder = store.find_pair(model)
    codec = codec or usual_codec(encoding, decoder)
    options = PackOptions(encoding, codec, prior=prior_of(decoder) if codec == "rans" else None)
    coding = common.network(encoder, backend, len(images))
    began = time.perf_counter()
    with AtomicFile(path) as file:
        packed = pack(ArraySource(images), coding, file, options)
    encoding_seconds = time.perf_counter() - began
    with path.open("rb") as file:
        report = validate(file, check_golden=check, find_prior=Decoders().prior, prior_of=prior_of, name=path.name)
    if report.problems:
        raise AeformatError(f"{path.name} breaks rule {report.problems[0].rule}: {report.problems[0].what}")
    decoding = common.network(decoder, backend, len(images))
    began = time.perf_counter()
    with path.open("rb") as file:
        blocks = unpack(stream_latents(file), lambda _: decoder, lambda _: decoding)
        decoded = np.concatenate([block.images for block in blocks])
    seconds = encoding_seconds, time.perf_counter() - began
    return RoundTrip(decoded, compare([images], [decoded]), packed.n_bytes, seconds)
