"""The model of a job, on each machine that works at it: found there by its id, and never sent with the work.

Owns where a process looks: among this machine's models, at the path or the URL that the job names.
"""

from __future__ import annotations

import socket
from functools import lru_cache
from pathlib import Path
from typing import Final

from aeformat.errors import DecoderMismatch, DecoderMissing, UsageError
from aeformat.model import places, store
from aeformat.model.file_io import read_package
from aeformat.model.package import ModelPackage
from aeformat.paths import is_url
from aeformat.pipeline.models import Model
from aeformat.remote import read_whole

_HALVES: Final = (".encoder.aef", ".decoder.aef")


def model_at(name: str) -> Model:
    """Both halves of a model by its name, a path, a model id, or a URL as a path has it.  Raises as find_pair does, OSError."""
    if not is_url(name):
        return Model(*store.find_pair(name))
    stem = next((name.removesuffix(half) for half in _HALVES if name.endswith(half)), name)
    encoder, decoder = (read_package(read_whole(stem + half)) for half in _HALVES)
    if encoder.manifest.decoder != decoder.model_id:
        raise DecoderMismatch(f"{name}: encoder and decoder do not belong together")
    return Model(encoder, decoder)


@lru_cache(maxsize=2)
def model_here(encoder: str, decoder: str, name: str) -> Model:
    """The model with these ids, read once a process.  name: as the job was told.

    Raises DecoderMissing where it is not here.
    """
    halves = [_half(bytes.fromhex(model_id)) for model_id in (encoder, decoder)]
    if None not in halves:
        return Model(*halves)
    try:
        found = model_at(name)
    except (UsageError, OSError) as error:
        what = f"{socket.gethostname()}: model {name} (encoder {encoder}) is not on this machine"
        raise DecoderMissing(
            f"{what}: install it there, or name it by a URL that all machines read ({error})"
        ) from None
    if (found.the_encoder.model_id.hex(), found.the_decoder.model_id.hex()) != (encoder, decoder):
        raise DecoderMismatch(
            f"{socket.gethostname()}: model {name} is another one than the job has: install encoder {encoder}"
        )
    return found


def _half(model_id: bytes) -> ModelPackage | None:
    for path in places.files_of(model_id):
        package = read_package(Path(path))
        if package.model_id == model_id:
            return package
    return None
