"""An autoencoder as a caller holds it: its packages, and networks that are made ready once.

Owns Model, and what it means for a caller to name one.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from aeformat.backends.golden_check import check
from aeformat.backends.select import select_backend
from aeformat.container.encodings import array_type
from aeformat.errors import DecoderMissing, Hint, UsageError
from aeformat.images.fit import ImageFit, check_dtype, layout_of
from aeformat.model import places, store
from aeformat.model.file_io import read_package
from aeformat.model.free_sizes import sized
from aeformat.model.manifest import ENCODER
from aeformat.model.package import ModelPackage
from aeformat.paths import checked_path
from aeformat.pipeline import BATCH_ROWS

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

    def encode(
        self, images: NDArray[np.uint8], *, resize: bool = False, grayscale: bool = False, backend: str = "auto"
    ) -> NDArray[Any]:
        """(n, h, w, c) or, of one channel, (n, h, w) uint8 -> latents (n, *dims) in the encoder's own type.

        resize, grayscale: fit images of another size, or of three channels, to the model.  backend: "auto", "numpy" or
        "tensorflow".  Raises ImageError (another shape or type), UsageError, GoldenMismatch, BackendUnavailable.
        """
        import numpy as np

        package = self.the_encoder
        height, width, channels = sized(package.input.shape, np.shape(images)[1:3])
        fit = ImageFit((height, width, channels), resize=resize, grayscale=grayscale)
        images = batch_of(images, fit)
        network = self.network(package, backend, len(images))
        starts = range(0, len(images), BATCH_ROWS)
        return np.concatenate([network.run(fit.convert(images[at : at + BATCH_ROWS])) for at in starts])

    def decode(
        self, latents: NDArray[Any], *, image: tuple[int, int] | None = None, backend: str = "auto"
    ) -> NDArray[np.uint8]:
        """Latents (n, *dims), in a type that goes into the decoder's without loss -> images (n, h, w, c) uint8.

        image: height and width of the images, for a decoder of any size; by default the most that such latents can be of.
        Raises ValueInvalid (a latent outside the decoder's range, M4-7; sizes that do not go together, M3-12), LimitExceeded
        (M3-12), ValueError, TypeError, UsageError, GoldenMismatch.
        """
        import numpy as np

        package = self.the_decoder
        if image is not None and not package.has_free_sizes:
            raise UsageError(f"this decoder makes images of shape {list(package.output.shape)}, and no others")
        latents, wanted = np.asarray(latents), np.dtype(array_type(package.input.type))
        if not latents.ndim:
            raise UsageError(f"{latents!r} is one number; latents are an array (n, {', '.join(map(str, self.dims))})")
        if latents.dtype != wanted:
            if not np.can_cast(latents.dtype, wanted, "safe"):
                raise TypeError(f"latents are {latents.dtype}, the decoder takes {wanted}; convert them with .astype")
            latents = latents.astype(wanted)
        network = self.network(package, backend, len(latents))
        images: NDArray[np.uint8] = network.run(latents) if image is None else network.run(latents, image)
        return images


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
