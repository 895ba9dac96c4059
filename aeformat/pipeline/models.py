"""An autoencoder as a caller holds it: its packages, and networks that are made ready once.

Owns Model, and what it means for a caller to name one.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, TypeAlias, overload

from aeformat.backends.golden_check import check
from aeformat.backends.select import select_backend
from aeformat.container.encodings import array_type
from aeformat.container.payloads import Block
from aeformat.container.ragged import RaggedRows
from aeformat.container.sizes import RowForm
from aeformat.errors import DecoderMissing, Hint, ImageError, UsageError
from aeformat.images.fit import ImageFit, check_dtype, layout_of
from aeformat.images.memory import ArraysSource
from aeformat.model import places, store
from aeformat.model.file_io import read_package
from aeformat.model.manifest import ENCODER
from aeformat.model.package import ModelPackage
from aeformat.paths import checked_path
from aeformat.pipeline import BATCH_ROWS
from aeformat.pipeline.sized import sized_images

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from aeformat.backends.base import Network

    AnyModel: TypeAlias = "Model | ModelPackage | str | os.PathLike[str] | bytes"

_N_KEPT: Final = 4  # models that stay in memory
_ID_BYTES: Final = 32


class Model:
    """An autoencoder, or the one half of it that is at hand.

    encoder, decoder: its packages, None for the half that is not at hand.  Networks are loaded on first use and kept.
    """

    def __init__(self, encoder: ModelPackage | None, decoder: ModelPackage | None) -> None:
        self.encoder, self.decoder = encoder, decoder
        self._networks: dict[tuple[bytes, str], Network] = {}

    def __reduce__(self) -> tuple[type[Model], tuple[ModelPackage | None, ModelPackage | None]]:
        return Model, (self.encoder, self.decoder)  # networks are made ready anew in the other process

    def __repr__(self) -> str:
        halves = ((half.role, half.name or half.model_id.hex()[:12]) for half in (self.encoder, self.decoder) if half)
        return f"<aeformat.Model {', '.join(f'{role} {name}' for role, name in halves)}>"

    @property
    def dims(self) -> tuple[int, ...]:
        """The shape of one latent; height and width are 0 where each image has its own."""
        return self.the_decoder.input.shape if self.encoder is None else self.encoder.output.shape

    @property
    def image(self) -> tuple[int, ...]:
        """The shape of one image: (height, width, channels); height and width are 0 where each has its own."""
        return self.the_decoder.output.shape if self.encoder is None else self.encoder.input.shape

    @property
    def the_decoder(self) -> ModelPackage:
        """The decoder's package.  Raises UsageError where it is not at hand."""
        if self.decoder is None:
            raise UsageError("only the encoder of this model is here; decoding takes its decoder")
        return self.decoder

    @property
    def the_encoder(self) -> ModelPackage:
        """The encoder's package.  Raises UsageError where it is not at hand."""
        if self.encoder is None:
            raise UsageError("only the decoder of this model is here; encoding takes its encoder")
        return self.encoder

    def network(self, package: ModelPackage, backend: str, n_rows: int | None) -> Network:
        """One of the two packages ready to run n_rows; its golden set has come out right.

        Raises GoldenMismatch, UsageError, BackendUnavailable.
        """
        chosen = select_backend(backend, n_rows=n_rows, package=package)
        key = package.model_id, chosen.name
        if key not in self._networks:
            check(package)
            self._networks[key] = chosen.load(package)
        return self._networks[key]

    @overload
    def encode(
        self,
        images: NDArray[np.uint8],
        *,
        resize: bool = ...,
        grayscale: bool = ...,
        rgb: bool = ...,
        backend: str = ...,
    ) -> NDArray[Any]: ...
    @overload
    def encode(
        self,
        images: Sequence[NDArray[np.uint8]],
        *,
        resize: bool = ...,
        grayscale: bool = ...,
        rgb: bool = ...,
        backend: str = ...,
    ) -> NDArray[Any] | RaggedRows: ...

    def encode(
        self,
        images: NDArray[np.uint8] | Sequence[NDArray[np.uint8]],
        *,
        resize: bool = False,
        grayscale: bool = False,
        rgb: bool = False,
        backend: str = "auto",
    ) -> NDArray[Any] | RaggedRows:
        """(n, h, w, c) or, of one channel, (n, h, w) uint8 -> latents (n, *dims) in the encoder's own type.

        With a model of any size a list of arrays (h, w, c), each of its own size, becomes RaggedRows, which know the sizes of
        their images.
        resize, grayscale, rgb: fit images of another size, of three channels or of one, to the model.  backend: "auto",
        "numpy" or "tensorflow".  Raises ImageError (another shape or type), UsageError, GoldenMismatch, BackendUnavailable.
        """
        import numpy as np

        package = self.the_encoder
        height, width, channels = package.input.shape
        fit = ImageFit((height, width, channels), resize=resize, grayscale=grayscale, rgb=rgb)
        if fit.takes_any_size and isinstance(images, (list, tuple)):
            return self._encode_each(images, fit, backend)
        batch = batch_of(np.asarray(images), fit)
        network = self.network(package, backend, len(batch))
        starts = range(0, len(batch), BATCH_ROWS)
        return np.concatenate([network.run(fit.convert(batch[at : at + BATCH_ROWS])) for at in starts])

    def _encode_each(self, images: Sequence[NDArray[np.uint8]], fit: ImageFit, backend: str) -> RaggedRows:
        package = self.the_encoder
        network = self.network(package, backend, len(images))
        blocks = [block.images for block in ArraysSource(images, fit).blocks(1)]
        if not blocks:
            raise ImageError("the images: there is none")
        rows = [network.run(image)[0] for image in blocks]
        form = RowForm(package.output.shape, package.input.shape)
        return RaggedRows.of(form, rows, [(image.shape[1], image.shape[2]) for image in blocks])

    @overload
    def decode(
        self, latents: NDArray[Any], *, image: tuple[int, int] | None = ..., backend: str = ...
    ) -> NDArray[np.uint8]: ...
    @overload
    def decode(self, latents: RaggedRows, *, image: None = ..., backend: str = ...) -> list[NDArray[np.uint8]]: ...

    def decode(
        self, latents: NDArray[Any] | RaggedRows, *, image: tuple[int, int] | None = None, backend: str = "auto"
    ) -> NDArray[np.uint8] | list[NDArray[np.uint8]]:
        """Latents (n, *dims), in a type that goes into the decoder's without loss -> images (n, h, w, c) uint8.

        RaggedRows, which know the sizes of their images, become a list of images (h, w, c).
        image: height and width of the images, for a decoder of any size; by default the most that such latents can be of.
        Raises ValueInvalid (a latent outside the decoder's range, M4-7; sizes that do not go together, M3-12), LimitExceeded
        (M3-12), ValueError, TypeError, UsageError, GoldenMismatch.
        """
        import numpy as np

        package = self.the_decoder
        if image is not None and not package.has_free_sizes:
            raise UsageError(f"this decoder makes images of shape {list(package.output.shape)}, and no others")
        if isinstance(latents, RaggedRows):
            return self._decode_each(latents, image, backend)
        latents = np.asarray(latents)
        if not latents.ndim:
            raise UsageError(f"{latents!r} is one number; latents are an array (n, {', '.join(map(str, self.dims))})")
        latents = _as_type(latents, package)
        network = self.network(package, backend, len(latents))
        images: NDArray[np.uint8] = network.run(latents) if image is None else network.run(latents, image)
        return images

    def _decode_each(self, latents: RaggedRows, image: tuple[int, int] | None, backend: str) -> list[NDArray[np.uint8]]:
        package, form = self.the_decoder, latents.sizes.form
        if not package.has_free_sizes or form != RowForm(package.input.shape, package.output.shape):
            raise UsageError(
                f"these rows are {list(form.dims)} for images {list(form.image)}, the decoder turns "
                f"{list(package.input.shape)} into {list(package.output.shape)}"
            )
        if image is not None:
            raise UsageError("these rows say the sizes of their images; leave image out")
        rows = RaggedRows(_as_type(latents.flat, package), latents.sizes)
        network = self.network(package, backend, len(rows))
        return [one for _, images in sized_images(Block(0, rows), network) for one in images]


def _as_type(latents: NDArray[Any], package: ModelPackage) -> NDArray[Any]:
    """In the type that a decoder takes.  Raises TypeError where that would lose something."""
    import numpy as np

    wanted = np.dtype(array_type(package.input.type))
    if latents.dtype != wanted and not np.can_cast(latents.dtype, wanted, "safe"):
        raise TypeError(f"latents are {latents.dtype}, the decoder takes {wanted}; convert them with .astype")
    return latents.astype(wanted, copy=False)


_lock: Final = threading.Lock()
_kept: Final[dict[tuple[tuple[bytes, str | None], ...], Model]] = {}


def batch_of(images: NDArray[np.uint8], fit: ImageFit) -> NDArray[np.uint8]:
    """An array as images, (n, h, w, c), of any size that `fit` can convert.  Raises ImageError, UsageError."""
    import numpy as np

    fit.check()
    images = np.asarray(images)
    check_dtype(images.dtype, "the images")
    layout = layout_of(images.shape, fit, "the images")
    return images.reshape(layout.n_rows, *layout.image)


def load_model(name_or_path: str | os.PathLike[str]) -> Model:
    """A model by name: of one that is shipped or published, of a file or folder, or by its model id (8 digits are enough).

    A path is that of one package, of a folder with a pair, or what the names of a pair have in common; where it names one
    half, only that half is loaded.  The last few models stay in memory: the same name gives the same Model as long as its files
    are the same.  Raises UsageError where there is no such model, FormatError, DecoderMismatch.
    """
    return _model_of(store.find_packages(checked_path(name_or_path)))


def find_model(model_id: bytes | bytearray | str) -> Model:
    """The half of a model that has this model id, from this machine; a file's header names its decoder so.

    model_id: 32 bytes, or their 64 hexadecimal digits.  Raises DecoderMissing where it is not here, UsageError, FormatError.
    """
    wanted = checked_model_id(model_id)
    for path in places.files_of(wanted):
        package = read_package(path)
        if package.model_id == wanted:
            return _model_of([package])
    raise DecoderMissing(f"model {wanted.hex()} is not here", hint=Hint.GET_DECODER)


def as_model(model: AnyModel) -> Model:
    """A model, however a caller names it.  Raises as load_model and find_model do."""
    if isinstance(model, Model):
        return model
    if isinstance(model, (str, os.PathLike)):
        return load_model(model)
    if isinstance(model, (bytes, bytearray)):
        return find_model(model)
    if isinstance(model, ModelPackage):
        return _model_of([model])
    raise UsageError(f"a model is a Model, a name, a path or a model id, and this is of type {type(model).__name__}")


def _model_of(packages: list[ModelPackage]) -> Model:
    encoders = [package for package in packages if package.role == ENCODER]
    decoders = [package for package in packages if package.role != ENCODER]
    encoder, decoder = encoders[0] if encoders else None, decoders[0] if decoders else None
    key = tuple((half.model_id, half.name) for half in (encoder, decoder) if half is not None)
    with _lock:
        model = _kept.pop(key, None) or Model(encoder, decoder)
        _kept[key] = model  # the last one used is the last
        if len(_kept) > _N_KEPT:
            del _kept[next(iter(_kept))]
    return model


def checked_model_id(model_id: object) -> bytes:
    """A model id as its 32 bytes.  Raises UsageError."""
    if not isinstance(model_id, (str, bytes, bytearray)):
        raise UsageError(f"a model id is bytes or a str, and this is of type {type(model_id).__name__}")
    try:
        found = bytes.fromhex(model_id) if isinstance(model_id, str) else bytes(model_id)
    except ValueError:
        found = b""
    if len(found) != _ID_BYTES:
        raise UsageError(f"{model_id!r} is no model id: 32 bytes, or 64 hexadecimal digits")
    return found
