"""What a reader of latents needs of their decoder's package: whose it is, what it takes, and its prior.

Owns bytes of a model package -> DecoderPrior, without the rest of the network: for readers that decode rows (codec rans) but
no images.  Checks the framing, the model id, and what it reads of the manifest and of the prior's tensors; all other rules of
spec/model.md are for whoever runs the network (aeformat.model).
"""

from __future__ import annotations

import hashlib
from math import prod
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from aeformat.container import assigned, canonical, limits
from aeformat.container.fields import Place, as_any_map, as_integer, as_integers, as_list, as_map
from aeformat.container.header import LatentsHeader, ModelHeader
from aeformat.container.limits import DEFAULT, Limits
from aeformat.container.parser import ChunkRead, HeaderRead, Parser
from aeformat.container.passes import PassesPrior
from aeformat.container.prior import MAX_BITS, MIN_BITS, PRIOR_TENSORS, BadPrior, Prior, check_shapes
from aeformat.container.raw import raw_payload
from aeformat.container.wire import PREAMBLE_BYTES
from aeformat.errors import (
    ContentMismatch,
    DecoderMismatch,
    HeaderInvalid,
    Hint,
    ManifestInvalid,
    StructureInvalid,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

_TENSOR_BYTES: Final = {"i32": 4, "u8": 1}
_TENSOR_TYPES: Final = {"i32": "<i4", "u8": "|u1"}
_ENDPOINT_AXES: Final = 7
_TENSOR_AXES: Final = 8
_RANGES: Final = {"u8": (0, 255), "i8": (-128, 127)}


AnyPrior = Prior | PassesPrior


class DecoderPrior(NamedTuple):
    """The prior of one decoder.  model: its model id.  type, dims: of its input.  image: shape of its output.

    has_passes: whether it has passes; `prior` is then None where nobody is at hand who computes them.
    """

    model: bytes
    type: str
    dims: tuple[int, ...]
    image: tuple[int, ...]
    prior: AnyPrior | None
    has_passes: bool = False

    def of(self, header: LatentsHeader) -> AnyPrior | None:
        """The prior, if this is the decoder that a header with codec rans names; None if nobody computes its passes.

        Raises DecoderMismatch (another decoder), HeaderInvalid (C3-14, C3-16).
        """
        if self.model != header.decoder:
            raise DecoderMismatch(
                f"the file names decoder {header.decoder.hex()[:12]}, this one is {self.model.hex()[:12]}",
                hint=Hint.GIVE_OTHER_DECODER,
            )
        has_prior = self.has_passes or self.prior is not None
        check_fit(header, type=self.type, dims=self.dims, image=self.image, has_prior=has_prior)
        return self.prior


def check_fit(
    header: LatentsHeader, *, type: str, dims: tuple[int, ...], image: tuple[int, ...], has_prior: bool
) -> None:
    """That a decoder with such an input and output takes what a file holds.  Raises HeaderInvalid (C3-14, C3-16)."""
    fits = header.value_type.is_float if type == "f32" else header.values == type
    if header.dims != dims or header.image != image or not fits:
        raise HeaderInvalid(
            "C3-14",
            PREAMBLE_BYTES,
            f"rows of {header.values} {list(header.dims)} for images {list(header.image)} do not go with their decoder, "
            f"which turns {type} {list(dims)} into {list(image)}",
        )
    if header.codec == "rans" and not has_prior:
        raise HeaderInvalid("C3-16", PREAMBLE_BYTES, "codec rans, but the decoder has no prior")


def read_decoder_prior(package: bytes, *, at: int = 0, limits: Limits = DEFAULT) -> DecoderPrior:
    """From the bytes of a decoder's container.  Raises FormatError; C7-4 at byte `at` if it is no decoder.

    Takes memory for the prior's tensors only.
    """
    parser = Parser(limits)
    scan: _Scan | None = None
    for event in parser.each(package):
        if isinstance(event, HeaderRead):
            if not isinstance(event.header, ModelHeader):
                raise StructureInvalid("C7-4", at, "the embedded container holds latents, not a decoder")
            scan = _Scan(event.header, limits)
        elif isinstance(event, ChunkRead):
            assert scan is not None
            scan.chunk(event)
        else:
            assert scan is not None
            if event.trailer.content_id != scan.header.model:
                raise ContentMismatch("M1-2", event.at + 28, "the content id is not the model id")
            scan.end(event.at)
    parser.close()
    assert scan is not None
    if scan.role != "decoder":
        raise StructureInvalid("C7-4", at, "the embedded package is no decoder")
    return scan.decoder_prior()


class _Scan:
    """The chunks of one package on their way."""

    def __init__(self, header: ModelHeader, limits: Limits) -> None:
        self.header = header
        self.role = ""
        self._most_bytes = limits.package_bytes
        self._place = Place(0)  # of the manifest
        self._n_tensors = 0
        self._arrays: dict[int, NDArray[Any]] = {}
        self._specs: list[Any] = []
        self._prior: dict[str, int] | None = None
        self._has_passes = False
        self._type = ""
        self._dims: tuple[int, ...] = ()
        self._image: tuple[int, ...] = ()
        self._range = (0, 0)

    def chunk(self, chunk: ChunkRead) -> None:
        """Take the next chunk, whose framing is good."""
        if chunk.header.tag == assigned.MANIFEST:
            self._manifest(chunk)
        elif chunk.header.tag == assigned.TENSOR:
            number, self._n_tensors = self._n_tensors, self._n_tensors + 1
            if number >= len(self._specs):
                raise StructureInvalid("M1-3", chunk.at, f"the manifest lists only {number} tensors")
            if self._prior is not None and number in [self._prior[key] for key in PRIOR_TENSORS]:
                self._arrays[number] = self._tensor(number, chunk)

    def _manifest(self, chunk: ChunkRead) -> None:
        self._place = place = Place(chunk.payload_at)
        if chunk.header.raw_bytes > limits.MANIFEST_BYTES:
            raise place.invalid("M1-1", f"{chunk.header.raw_bytes} bytes, allowed are {limits.MANIFEST_BYTES}")
        data = bytes(raw_payload(chunk, self.header))
        if hashlib.sha256(data).digest() != self.header.model:
            raise place.invalid("M1-2", "not the one that the model id names")
        try:
            fields = canonical.unpack(data, max_depth=limits.MANIFEST_DEPTH)
        except canonical.NotCanonical as error:
            raise place.invalid("M2-1", str(error)) from None
        self.role = str(fields.get("role"))
        takes, makes = (as_any_map(place.inside(key), "M2-2", fields.get(key)) for key in ("input", "output"))
        self._type = str(takes.get("type"))
        self._dims = _shape(place.inside("input"), takes.get("shape"), _ENDPOINT_AXES, least=0)
        self._image = _shape(place.inside("output"), makes.get("shape"), _ENDPOINT_AXES, least=0)
        if 0 in (*self._dims, *self._image):
            as_list(place.inside("golden"), "M2-2", fields.get("golden"))
            for shape in (self._dims, self._image):
                if len(shape) != 3 or any(shape[:2]) or not shape[2]:
                    raise place.invalid("M2-8", f"with free sizes a shape is [0, 0, channels], not {list(shape)}")
        specs = fields.get("tensors")
        self._specs = specs if isinstance(specs, list) else []
        if "prior" in fields:
            self._check_prior(place.inside("prior"), takes, fields["prior"])

    def _check_prior(self, place: Place, takes: dict[str, Any], value: object) -> None:
        """What section 2 says of the prior, M10-1 and M10-2."""
        self._has_passes = "passes" in as_any_map(place, "M2-2", value)
        if self._has_passes != (0 in self._dims):
            raise place.invalid("M10-6", "passes go with free sizes, and nothing else does")
        if self._has_passes:  # for whoever runs the network
            return
        prior = as_map(place, "M2-2", value, ("bits", *PRIOR_TENSORS))
        as_integer(place.inside('key "bits"'), "M2-2", prior["bits"], MIN_BITS, MAX_BITS)
        if self._type not in _RANGES:
            raise place.invalid("M10-1", f"the input is {self._type}; only integers can have one")
        self._range = self._read_range(takes)
        shapes = {}
        for key, type_of_key in PRIOR_TENSORS.items():
            where = place.inside(f'key "{key}"')
            spec = self._specs[as_integer(where, "M2-2", prior[key], 0, len(self._specs) - 1)]
            if as_any_map(where, "M2-2", spec).get("type") != type_of_key:
                raise where.invalid("M10-2", f"the tensor is not of type {type_of_key}")
            shapes[key] = _shape(where, spec.get("shape"), _TENSOR_AXES)
        try:
            check_shapes(self._range[1] - self._range[0] + 1, self._dims, shapes)
        except BadPrior as error:
            raise place.invalid(error.rule, error.what) from None
        n_bytes = sum(prod(shapes[key]) * _TENSOR_BYTES[type_of_key] for key, type_of_key in PRIOR_TENSORS.items())
        if n_bytes > self._most_bytes:
            raise place.over_limit("M2-6", f"{n_bytes} bytes, this reader takes {self._most_bytes}")
        self._prior = prior

    def _read_range(self, takes: dict[str, Any]) -> tuple[int, int]:
        """The latents that the decoder takes, M2-5."""
        place, whole = self._place.inside('input: key "range"'), _RANGES[self._type]
        if "range" not in takes:
            return whole
        lo, hi = as_integers(place, "M2-5", takes["range"], range(2, 3), -canonical.MAX_INT, canonical.MAX_INT)
        if not whole[0] <= lo < hi <= whole[1] or (lo, hi) == whole:
            raise place.invalid("M2-5", f"{[lo, hi]} is not a part of {self._type}")
        return lo, hi

    def _tensor(self, number: int, chunk: ChunkRead) -> NDArray[Any]:
        import numpy as np

        spec = self._specs[number]
        shape, width = spec["shape"], _TENSOR_BYTES[spec["type"]]
        if chunk.header.raw_bytes != prod(shape) * width:
            raise ManifestInvalid("M1-4", chunk.payload_at, f"tensor {number}: not as long as its shape and type say")
        raw = raw_payload(chunk, self.header, width)
        if hashlib.sha256(raw).digest() != spec.get("sha256"):
            raise ManifestInvalid("M1-5", chunk.payload_at, f"tensor {number}: not the one that the manifest names")
        return np.frombuffer(raw, _TENSOR_TYPES[spec["type"]]).reshape(shape)

    def end(self, at: int) -> None:
        """M1-3, at the trailer."""
        if self._n_tensors < len(self._specs):
            what = f"{self._n_tensors} tensors, the manifest lists {len(self._specs)}"
            raise StructureInvalid("M1-3", at, what)

    def decoder_prior(self) -> DecoderPrior:
        """What was found: M10-3 to M10-5."""
        prior = None
        if self._prior is not None:
            arrays = {key: self._arrays[self._prior[key]] for key in PRIOR_TENSORS}
            try:
                prior = Prior(bits=self._prior["bits"], lo=self._range[0], hi=self._range[1], **arrays)
            except BadPrior as error:
                raise self._place.inside("prior").invalid(error.rule, error.what) from None
        return DecoderPrior(self.header.model, self._type, self._dims, self._image, prior, self._has_passes)


def _shape(place: Place, value: object, most_axes: int, *, least: int = 1) -> tuple[int, ...]:
    """Few enough that nobody who multiplies them works long, and no more than an array can have (section 2)."""
    return as_integers(place.inside('key "shape"'), "M2-2", value, range(1, most_axes + 1), least, canonical.MAX_INT)
