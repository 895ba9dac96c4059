"""Rendering rows as images, for clients that cannot decode (spec/transport.md, T2-7 and T2-8).

Owns the search for the decoder on the server, the run of its golden set, and the bytes of PNG and npy files.  Decodes
with the NumPy backend.
"""

from __future__ import annotations

import contextlib
import io
import struct
import threading
import zlib
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from aeformat.errors import DecoderError, FormatError
from aeformat.net.server.blobs import gone
from aeformat.net.server.storage import MODELS, Record, Storage
from aeformat.reader import Latents, open_latents
from aeformat.transport.http_fields import PNG
from aeformat.transport.problems import Problem
from aeformat.transport.transfer_limits import TransferLimits

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from aeformat.backends.base import Network

_KEPT: Final = 4  # decoders ready to run
_COLOUR_TYPES: Final = {1: 0, 2: 4, 3: 2, 4: 6}  # channels -> PNG, 11.2.2


class RowRenderer:
    """Renders rows of stored containers.  Several threads may use it at once."""

    def __init__(self, storage: Storage, limits: TransferLimits) -> None:
        self._storage, self._limits = storage, limits
        self._networks: OrderedDict[tuple[str, bytes], Network] = OrderedDict()
        self._lock = threading.Lock()  # protects the networks; held while one is loaded and its golden set is run

    def render(self, record: Record, tenant: str, rows: tuple[int, int], media: str) -> bytes:
        """Render rows start to stop - 1 of a tenant's container.  media: PNG or NPY.  Raises Problem."""
        start, stop = rows
        if stop - start > self._limits.rows_drawn:
            raise Problem("range-not-satisfiable", f"{stop - start} rows; at most {self._limits.rows_drawn} at a time")
        with self._storage.store.local_file(record, tenant) as path, _open_stored(path) as latents:
            if stop > latents.n_rows:
                raise Problem("range-not-satisfiable", f"the container has {latents.n_rows} rows")
            images = self._decode(latents, tenant, start, stop)
        return png(images) if media == PNG else npy(images)

    def drop_model(self, tenant: str, model: str) -> None:
        """Drop a tenant's model from memory, because it was deleted.  model: its id in hexadecimal."""
        with self._lock:
            self._networks.pop((tenant, bytes.fromhex(model)), None)

    def _decode(self, latents: Latents, tenant: str, start: int, stop: int) -> NDArray[np.uint8]:
        from aeformat.container.payloads import Block
        from aeformat.pipeline.unpack import decode_block, fit

        with self._lock:
            network = self._network(latents, tenant)
        try:
            fit(latents, network.package)
            return decode_block(Block(start, latents.rows(start, stop)), network).images
        except FormatError as error:
            raise Problem.of("invalid-container", error) from error
        except DecoderError as error:
            raise Problem("model-missing", str(error), model=latents.header.decoder.hex()) from error

    def _network(self, latents: Latents, tenant: str) -> Network:
        from aeformat.backends.golden_check import verified
        from aeformat.backends.numpy_backend import NumpyBackend
        from aeformat.model.file_io import read_package

        wanted = latents.header.decoder
        key = tenant, wanted
        if key in self._networks:
            self._networks.move_to_end(key)
            return self._networks[key]
        try:
            with self._decoder_source(latents, tenant) as source:
                if source is None:
                    raise Problem("model-missing", f"decoder {wanted.hex()} is not here", model=wanted.hex())
                network = NumpyBackend().load(verified(read_package(source, max_work=self._limits.work_of_row)))
        except FormatError as error:
            raise Problem.of("invalid-container", error) from error
        except DecoderError as error:
            raise Problem("model-missing", str(error), model=wanted.hex()) from error
        self._networks[key] = network
        if len(self._networks) > _KEPT:
            self._networks.popitem(last=False)
        return network

    @contextlib.contextmanager
    def _decoder_source(self, latents: Latents, tenant: str) -> Iterator[Path | bytes | None]:
        """The tenant's package of the decoder, else the one inside the container; None if there is neither."""
        record = self._storage.find(tenant, MODELS, latents.header.decoder.hex())
        if record is not None:
            with self._storage.store.local_file(record, tenant) as path:
                if path is not None:
                    yield path
                    return
        yield latents.embedded_decoder


def _open_stored(path: Path | None) -> Latents:
    if path is None:
        raise gone()
    try:
        return open_latents(path)
    except FileNotFoundError:  # it was deleted a moment ago
        raise gone() from None


def png(images: NDArray[np.uint8]) -> bytes:
    """Write images (n, h, w, c) as one PNG (ISO 15948), one below the other.  Raises Problem (406)."""
    n_images, height, width, channels = images.shape
    if channels not in _COLOUR_TYPES:
        raise Problem("not-acceptable", f"images of {channels} channels do not go into a PNG; ask for npy")
    lines = images.reshape(n_images * height, width * channels)
    raw = b"".join(b"\0" + line.tobytes() for line in lines)
    size = struct.pack(">IIBBBBB", width, n_images * height, 8, _COLOUR_TYPES[channels], 0, 0, 0)
    parts = ((b"IHDR", size), (b"IDAT", zlib.compress(raw)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + tag + data + struct.pack(">I", zlib.crc32(tag + data)) for tag, data in parts
    )


def npy(images: NDArray[np.uint8]) -> bytes:
    """Write images (n, h, w, c) as an npy file; without the last axis if it is 1."""
    import numpy as np

    sink = io.BytesIO()
    np.save(sink, images[:, :, :, 0] if images.shape[3] == 1 else images)
    return sink.getvalue()
