"""Rendering rows as images, for clients that cannot decode (spec/transport.md, T2-7, T2-8 and T7-7).

Owns the search for the decoder on the server, the run of its golden set, and the cutting of both into turns of bounded work.
Decodes with the NumPy backend.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from aeformat.errors import DecoderError, FormatError
from aeformat.net.server.blobs import gone
from aeformat.net.server.picture_files import npy, png
from aeformat.net.server.storage import MODELS, Record, Storage
from aeformat.net.server.turns import Turns
from aeformat.net.server.workers import thread_result
from aeformat.reader import Latents, open_latents
from aeformat.transport.http_fields import PNG
from aeformat.transport.problems import Problem
from aeformat.transport.transfer_limits import TransferLimits

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from aeformat.backends.base import Network
    from aeformat.model.free_sizes import Size
    from aeformat.model.manifest import Manifest
    from aeformat.model.package import ModelPackage

_KEPT: Final = 4  # decoders ready to run
_TURN_WORK: Final = 1 << 28  # operations (M7-1) of one turn, unless one row takes more
_T = TypeVar("_T")
_Key = tuple[str, bytes]  # a tenant, and the model id of a decoder


@dataclass(slots=True)
class _Proof:
    """A decoder that is being loaded and proved.  n_waiting: the requests that wait for it."""

    task: asyncio.Task[Network]
    n_waiting: int = 0


class RowRenderer:
    """Renders rows of stored containers.  has_tenants: False for a server without tokens; its one tenant may have all turns."""

    def __init__(self, storage: Storage, limits: TransferLimits, *, has_tenants: bool) -> None:
        self._storage, self._limits = storage, limits
        most = limits.decoding_at_a_time
        self._turns = Turns(most, limits.decoding_of_tenant if has_tenants else most)
        self._networks: OrderedDict[_Key, Network] = OrderedDict()
        self._proofs: dict[_Key, _Proof] = {}

    async def render(self, record: Record, tenant: str, rows: tuple[int, int], media: str) -> bytes:
        """Render rows start to stop - 1 of a tenant's container.  media: PNG or NPY.  Raises Problem.

        If this is cancelled, the turn that has begun is finished, and no other one begins.
        """
        start, stop = rows
        if stop - start > self._limits.rows_drawn:
            raise Problem("range-not-satisfiable", f"{stop - start} rows; at most {self._limits.rows_drawn} at a time")
        with contextlib.ExitStack() as opened:
            latents = await self._turn(tenant, lambda: opened.enter_context(self._opened(record, tenant)))
            if stop > latents.n_rows:
                raise Problem("range-not-satisfiable", f"the container has {latents.n_rows} rows")
            _check_named(latents)
            _check_drawn_together(latents, rows)
            network = await self._network(record, tenant, latents.header.decoder)
            values = await self._turn(tenant, lambda: _values(latents, network, start, stop))
        work = self._work_of_row(network.package.manifest, values[0].shape)
        if len(values) * work > self._limits.work_of_picture:
            raise Problem(
                "not-acceptable", "these images together are too much work for one picture; ask for fewer rows"
            )
        pieces = []
        for first, last in _pieces(len(values), work):
            pieces.append(await self._turn(tenant, lambda: _decoded(start, values[first:last], network)))  # noqa: B023
        return await self._turn(tenant, lambda: _picture(pieces, media))

    def drop_model(self, tenant: str, model: str) -> None:
        """Drop a tenant's model from memory, because it was deleted.  model: its id in hexadecimal."""
        key = tenant, bytes.fromhex(model)
        self._networks.pop(key, None)
        self._proofs.pop(key, None)  # who waits for it gets it; it is not kept

    async def _turn(self, tenant: str, work: Callable[[], _T]) -> _T:
        """Do bounded work in a thread, when it is the tenant's turn."""
        async with self._turns.turn(tenant):
            return await thread_result(asyncio.get_running_loop().run_in_executor(None, work))

    @contextlib.contextmanager
    def _opened(self, record: Record, tenant: str) -> Iterator[Latents]:
        with self._storage.store.local_file(record, tenant) as path, _open_stored(path) as latents:
            yield latents

    async def _network(self, record: Record, tenant: str, decoder: bytes) -> Network:
        """The decoder of a container.  It is loaded and proved once for all who wait for it, as long as one of them does."""
        key = tenant, decoder
        if key in self._networks:
            self._networks.move_to_end(key)
            return self._networks[key]
        proof = self._proofs.get(key)
        if proof is None:
            proof = self._proofs[key] = _Proof(asyncio.create_task(self._proved(record, key)))
        proof.n_waiting += 1
        try:
            network = await asyncio.shield(proof.task)
        finally:
            proof.n_waiting -= 1
            if not proof.n_waiting:
                proof.task.cancel()
                if self._proofs.get(key) is proof:
                    del self._proofs[key]
                    self._keep(key, proof.task)
        return network

    def _keep(self, key: _Key, task: asyncio.Task[Network]) -> None:
        """Keep a decoder that was proved, for the next requests."""
        if not task.done() or task.cancelled() or task.exception() is not None:
            return
        self._networks[key] = task.result()
        if len(self._networks) > _KEPT:
            self._networks.popitem(last=False)

    async def _proved(self, record: Record, key: _Key) -> Network:
        """Load a decoder, and run its golden set (M6-2) in turns."""
        tenant, decoder = key
        try:
            network = await self._turn(tenant, lambda: self._loaded(record, tenant, decoder))
            for rows, expected in network.package.golden:
                work = self._work_of_row(network.package.manifest, rows.shape[1:])
                size = (expected.shape[1], expected.shape[2]) if network.package.has_free_sizes else None
                pieces = []
                for first, last in _pieces(len(rows), work):
                    pieces.append(await self._turn(tenant, lambda: _golden_rows(network, rows[first:last], size)))  # noqa: B023
                await self._turn(tenant, lambda: _check_golden(network.package, pieces, expected))  # noqa: B023
        except FormatError as error:
            raise Problem.of("invalid-container", error) from error
        except DecoderError as error:
            raise Problem("model-missing", str(error), model=decoder.hex()) from error
        return network

    def _loaded(self, record: Record, tenant: str, decoder: bytes) -> Network:
        from aeformat.backends.numpy_backend import NumpyBackend
        from aeformat.model.file_io import read_package

        with self._decoder_source(record, tenant, decoder) as source:
            if source is None:
                raise Problem("model-missing", f"decoder {decoder.hex()} is not here", model=decoder.hex())
            return NumpyBackend().load(read_package(source, max_work=self._limits.work_of_row))

    def _work_of_row(self, manifest: Manifest, latent: Sequence[int]) -> int:
        """The operations (M7-1) of decoding a row whose latent has this shape.  Raises Problem where they are too many."""
        network = manifest if manifest.scale is None else manifest.at((latent[0], latent[1]))
        work = network.n_multiply_adds + network.n_made
        if work > self._limits.work_of_row:
            raise Problem("not-acceptable", "the image of this row is too large to be drawn here; fetch the container")
        return work

    @contextlib.contextmanager
    def _decoder_source(self, record: Record, tenant: str, decoder: bytes) -> Iterator[Path | bytes | None]:
        """The tenant's package of the decoder, else the one inside the container; None if there is neither."""
        package = self._storage.find(tenant, MODELS, decoder.hex())
        if package is not None:
            with self._storage.store.local_file(package, tenant) as path:
                if path is not None:
                    yield path
                    return
        with self._opened(record, tenant) as latents:
            yield latents.embedded_decoder


def _open_stored(path: Path | None) -> Latents:
    if path is None:
        raise gone()
    try:
        return open_latents(path)
    except FileNotFoundError:  # it was deleted a moment ago
        raise gone() from None


def _pieces(n_rows: int, work: int) -> Iterator[tuple[int, int]]:
    """The rows first to last - 1 of each turn.  work: operations of one row."""
    n_turn = max(1, _TURN_WORK // work)
    return ((first, min(first + n_turn, n_rows)) for first in range(0, n_rows, n_turn))


def _check_named(latents: Latents) -> None:
    """That the container names its decoder.  Raises Problem."""
    from aeformat.model.match import check_named

    try:
        check_named(latents.header)
    except DecoderError as error:
        raise Problem("model-missing", str(error)) from error


def _check_drawn_together(latents: Latents, rows: tuple[int, int]) -> None:
    """That one picture takes these rows: of those with sizes of their own one (T2-7).  Raises Problem."""
    if latents.header.has_free_sizes and rows[1] - rows[0] > 1:
        raise Problem("not-acceptable", "images of their own size are drawn one by one; ask for one row")


def _values(latents: Latents, network: Network, start: int, stop: int) -> NDArray[np.generic] | Any:
    from aeformat.pipeline.unpack import fit

    with _problems(latents.header.decoder):
        fit(latents, network.package)
        return latents.rows(start, stop)


def _decoded(first_row: int, values: NDArray[np.generic] | Any, network: Network) -> NDArray[np.uint8]:
    """values: of rows of one size."""
    from aeformat.container.payloads import Block
    from aeformat.pipeline.unpack import decode_rows

    with _problems(network.package.model_id):
        (decoded,) = decode_rows(Block(first_row, values), network)
        return decoded.images


@contextlib.contextmanager
def _problems(decoder: bytes) -> Iterator[None]:
    """Turn errors of the container and of its decoder into problems."""
    try:
        yield
    except FormatError as error:
        raise Problem.of("invalid-container", error) from error
    except DecoderError as error:
        raise Problem("model-missing", str(error), model=decoder.hex()) from error


def _golden_rows(network: Network, rows: NDArray[np.generic], size: Size | None) -> NDArray[np.generic]:
    import numpy as np

    with np.errstate(all="ignore"):  # a NaN or an infinity that a network makes is a mismatch, and no more to be said
        return network.run(rows, size)


def _check_golden(package: ModelPackage, pieces: list[NDArray[np.generic]], expected: NDArray[np.generic]) -> None:
    """Compare what was computed in turns with the golden output.  Raises GoldenMismatch."""
    import numpy as np

    from aeformat.model.golden import compare_golden

    compare_golden(package, np.concatenate(pieces), expected)


def _picture(pieces: list[NDArray[np.uint8]], media: str) -> bytes:
    import numpy as np

    images = np.concatenate(pieces)
    return png(images) if media == PNG else npy(images)
