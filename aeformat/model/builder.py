"""Making a model package, for exporters.

Owns the numbering of values and tensors while a network is put together.  What it builds goes through the same checks as
a file: it is read back from its own manifest's bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from aeformat.container.fields import Place
from aeformat.container.prior import PRIOR_TENSORS, Prior
from aeformat.model.free_sizes import Size, is_free, latent_size, scale_of, sized
from aeformat.model.layers import Layer
from aeformat.model.manifest import DECODER, Endpoint, Golden, Manifest, PriorSpec, manifest_bytes
from aeformat.model.package import Array, ModelPackage, read_tensor
from aeformat.model.parts import PassesSpec
from aeformat.model.values import DTYPES, Number, Shape, TensorSpec

Rows = Array | Sequence[Array]  # of the golden set: with free sizes, an array for each size

_TYPE_OF_DTYPE: Final = {np.dtype(dtype).newbyteorder("<"): name for name, dtype in DTYPES.items()}


class PackageBuilder:
    """Put a network together, layer by layer.

    role: "encoder" or "decoder".  profile: "exact" or "float32".  decoder: an encoder's decoder, by model id.

        b = PackageBuilder(role="decoder", profile="float32", input=Endpoint((64,), "f32"), output=Endpoint((28, 28, 1), "u8"))
        b.layer("dense", weights=b.tensor(w), bias=b.tensor(v))
        b.layer("sigmoid")
        ...
        package = b.build(golden_input=latents, golden_output=pixels)
    """

    def __init__(
        self, *, role: str, profile: str, input: Endpoint, output: Endpoint, decoder: bytes | None = None
    ) -> None:
        self._role, self._profile, self._input, self._output = role, profile, input, output
        self._decoder = decoder
        self._specs: list[TensorSpec] = []
        self._payloads: list[bytes] = []
        self._layers: list[Layer] = []
        self._prior: PriorSpec | None = None

    def tensor(self, array: Array) -> int:
        """Add a tensor, or find it among those added; its number.

        array: float32, float16, int8, uint8 or int32.  Raises TypeError for another type, ValueError for a 0-d array.
        """
        kind = _TYPE_OF_DTYPE.get(array.dtype.newbyteorder("<"))
        if kind is None:
            raise TypeError(f"no tensor type holds {array.dtype}; there are {', '.join(DTYPES)}")
        if not array.ndim:
            raise ValueError("a tensor has at least one axis")
        payload = array.astype(DTYPES[kind], order="C").tobytes()
        spec = TensorSpec(array.shape, kind, hashlib.sha256(payload).digest())
        if spec in self._specs:
            return self._specs.index(spec)
        self._specs.append(spec)
        self._payloads.append(payload)
        return len(self._specs) - 1

    def layer(self, kind: str, inputs: tuple[int, ...] | None = None, **params: Number) -> int:
        """Add a layer; the number of the value it makes.  inputs: numbers of values; by default the one made last.

        params: the keys of the kind (spec/model.md, section 3); tensors by the numbers that `tensor` gave.  Nothing is
        checked before `build`.
        """
        self._layers.append(Layer(kind, inputs if inputs is not None else (len(self._layers),), params))
        return len(self._layers)

    def prior(self, prior: Prior) -> None:
        """Give a decoder a prior.  Nothing is checked before `build`; its range must be that of the input."""
        numbers = {key: self.tensor(getattr(prior, key)) for key in PRIOR_TENSORS}
        self._prior = PriorSpec(prior.bits, numbers)

    def passes(self, bits: int, tables: Array, passes: PassesSpec) -> None:
        """Give a decoder with free sizes a prior with passes.  tables: int32 (t, n + 1).  Nothing is checked before `build`.

        The layers of the passes name tensors by the numbers that `tensor` gave.  Source: spec/model.md, section 10.1.
        """
        self._prior = PriorSpec(bits, {"tables": self.tensor(tables)}, passes)

    def build(
        self, *, golden_input: Rows, golden_output: Rows | Callable[[ModelPackage], Rows], name: str | None = None
    ) -> ModelPackage:
        """The package, checked by every rule that a file is checked by.

        golden_input: (k, *input.shape), k from 1 to 64.  golden_output: (k, *output.shape), or what computes it from a draft
        of the package, whose own golden output is not yet right.  With free sizes both are lists of 2 to 8 such arrays, each of
        a size of its own.  Raises ManifestInvalid, LimitExceeded.
        """
        rows = as_list(golden_input)
        if callable(golden_output):
            kind, lowest = DTYPES[self._output.type], self._lowest()
            stand_ins = [np.full((len(x), *self._shape_of(x)), lowest, kind) for x in rows]
            golden_output = golden_output(self._assemble(rows, stand_ins, name))
        return self._assemble(rows, as_list(golden_output), name)

    def _shape_of(self, rows: Array) -> Shape:
        """What comes out for one of these rows, without a cut.  Raises ManifestInvalid."""
        if not is_free(self._output.shape):
            return self._output.shape
        is_decoder = self._role == DECODER
        height, width = scale_of(Place(0), self._layers, is_decoder=is_decoder)
        size: Size = rows.shape[1], rows.shape[2]
        made = (size[0] * height, size[1] * width) if is_decoder else latent_size((height, width), size)
        return sized(self._output.shape, made)

    def _lowest(self) -> int:
        return self._output.interval.lo if self._output.interval is not None else 0

    def _assemble(self, golden_input: list[Array], golden_output: list[Array], name: str | None) -> ModelPackage:
        n_own = len(self._specs)
        try:
            pairs = zip(golden_input, golden_output, strict=True)
            golden = tuple(Golden(self.tensor(rows), self.tensor(made)) for rows, made in pairs)
            data = manifest_bytes(
                role=self._role, profile=self._profile, input=self._input, output=self._output,
                layers=tuple(self._layers), tensors=tuple(self._specs), golden=golden, decoder=self._decoder,
                prior=self._prior,
            )  # fmt: skip
            manifest = Manifest.parse(data, 0)
            specs = enumerate(zip(manifest.tensors, self._payloads, strict=True))
            tensors: tuple[Any, ...] = tuple(read_tensor(spec, i, payload, 0) for i, (spec, payload) in specs)
            return ModelPackage.assemble(manifest, data, tensors, at=0, name=name)
        finally:
            del self._specs[n_own:], self._payloads[n_own:]  # a draft's golden output does not stay


def as_list(rows: Rows) -> list[Array]:
    """The arrays of a golden set, one for each size."""
    return [rows] if isinstance(rows, np.ndarray) else list(rows)
