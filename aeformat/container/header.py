"""The header: what a container says of itself (spec/container.md, section 3.2).

Owns bytes <-> LatentsHeader or ModelHeader.  Knows nothing of chunks.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from aeformat.container import canonical, limits
from aeformat.container.assigned import (
    CODECS,
    DESCRIBED,
    ENCODINGS,
    FILTERED,
    FILTERS,
    FREE_SIZES,
    IMAGE_TYPES,
    KINDS,
    NEW_MANIFEST,
    NO_DECODER,
    RANS_ENCODINGS,
    VALUE_TYPES,
    Encoding,
    ValueType,
)
from aeformat.container.described import Described, DescribedInvalid, parse_described
from aeformat.container.sizes import RowForm, RowSizes
from aeformat.errors import FormatError, HeaderInvalid, LimitExceeded, Unsupported

_LATENTS_KEYS: Final = {"byte_order", "codec", "decoder", "dims", "encoding", "image", "kind"}
_LATENTS_OPTIONAL: Final = {"described", "encoder", "ext", "filter", "foreign_decoder", "values"}
_UNKNOWN: Final = {"decoder", "image"}  # what need not be there with flag bit 1
_MODEL_KEYS: Final = {"byte_order", "codec", "kind", "model"}
_MODEL_OPTIONAL: Final = {"ext", "filter"}
_ID_BYTES: Final = 32
_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})
_MESSAGE_CHARACTERS: Final = 300  # a wrong value may be as long as the header


class _LatentsFields(NamedTuple):
    decoder: bytes  # model id
    dims: tuple[int, ...]
    image: tuple[int, ...]
    encoding: str
    codec: str
    filter: str
    values: str
    encoder: bytes | None
    ext: Mapping[str, Any]
    foreign_decoder: bytes
    described: Described | None


class LatentsHeader(_LatentsFields):
    """Header of a latents file.

    dims: shape of one latent.  image: (height, width, channels) of what the decoder makes of one.  A size 0 in them is
    free: each row states it.  decoder: b"" if it is no package or not known; image may be () then, and foreign_decoder may be a
    network id (spec/model.md, section 13), b"" if it is not said.  described: what the latents are.
    encoding, codec, filter, values: names of spec/container.md; values "" means the encoding's own type.
    """

    __slots__ = ()
    kind = "latents"

    def __new__(
        cls,
        decoder: bytes,
        dims: tuple[int, ...],
        image: tuple[int, ...],
        encoding: str,
        codec: str = "none",
        filter: str = "none",
        values: str = "",
        encoder: bytes | None = None,
        ext: Mapping[str, Any] = _NOTHING,
        foreign_decoder: bytes = b"",
        described: Described | None = None,
    ) -> LatentsHeader:
        if not values and encoding in ENCODINGS:
            values = ENCODINGS[encoding].own
        return super().__new__(
            cls, decoder, dims, image, encoding, codec, filter, values, encoder, ext, foreign_decoder, described
        )

    @property
    def encoding_spec(self) -> Encoding:
        """The registry's entry for the encoding."""
        return ENCODINGS[self.encoding]

    @property
    def value_type(self) -> ValueType:
        """The type in which values are handed out."""
        return VALUE_TYPES[self.values]

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of the images of a file that says them."""
        height, width, channels = self.image
        return height, width, channels

    @property
    def form(self) -> RowForm:
        """What is the same of all rows."""
        return RowForm(self.dims, self.image)

    @property
    def takes_passes(self) -> bool:
        """Whether a decoder with passes may code such rows: [0, 0, n], and images of any height and width (C3-18)."""
        dims = self.dims
        return len(dims) == 3 and dims[:2] == (0, 0) and dims[2] > 0 and not any(self.image[:2])

    @property
    def has_free_sizes(self) -> bool:
        """Whether rows have sizes of their own (section 5.1)."""
        return 0 in self.dims or 0 in self.image

    @property
    def flags(self) -> int:
        """The bits that the preamble must have."""
        flags = FREE_SIZES if self.has_free_sizes else 0
        return flags | (0 if self.decoder else NO_DECODER) | (0 if self.described is None else DESCRIBED)

    @property
    def n_values(self) -> int:
        """Values in one row; a free size counts as 1."""
        return self.form.n_values

    @property
    def row_bytes(self) -> int:
        """Raw bytes of one row; a free size counts as 1."""
        return self.n_values * self.encoding_spec.n_bytes

    def sizes_of(self, n_rows: int) -> RowSizes | None:
        """The sizes of so many rows, where the header has them; None where each row states its own."""
        return None if self.has_free_sizes else RowSizes.equal(self.form, n_rows)

    @property
    def content_head(self) -> bytes:
        """What the content id is computed over, in front of the values (spec/container.md, section 9)."""
        described = {} if self.described is None else self.described.content_map()
        return canonical.pack({"dims": self.dims, "values": self.values} | self._known() | described)

    def _known(self) -> dict[str, Any]:
        """What says which decoder takes the latents, as far as it is known, and what that makes of them."""
        known: dict[str, Any] = {"decoder": self.decoder} if self.decoder else {}
        known |= {"foreign_decoder": self.foreign_decoder} if self.foreign_decoder else {}
        return known | ({"image": (*self.image, "u8")} if self.image else {})

    def to_bytes(self) -> bytes:
        """Canonical bytes.  Raises FormatError if the fields break the spec: the header is read back."""
        fields: dict[str, Any] = {
            "byte_order": self.encoding_spec.byte_order if self.encoding in ENCODINGS else "none",
            "codec": self.codec,
            "dims": self.dims,
            "encoding": self.encoding,
            "kind": self.kind,
            **self._known(),
        }
        if self.codec in FILTERED:
            fields["filter"] = self.filter
        if self.encoder is not None:
            fields["encoder"] = self.encoder
        if self.described is not None:
            fields["described"] = self.described.to_map()
        if self.ext:
            fields["ext"] = dict(self.ext)
        if self.encoding in ENCODINGS and self.values != self.encoding_spec.own:
            fields["values"] = self.values
        data = canonical.pack(fields)
        parse_header(data, 0, self.flags)
        return data


class ModelHeader(NamedTuple):
    """Header of a model package.  model: its model id.  minor: N of its manifest's version 1.N (spec/model.md, section 12)."""

    model: bytes
    codec: str = "none"
    filter: str = "none"
    ext: Mapping[str, Any] = _NOTHING
    minor: int = 0

    @property
    def flags(self) -> int:
        """The bits that the preamble must have."""
        return NEW_MANIFEST if self.minor else 0

    @property
    def kind(self) -> str:
        """What a reader tells headers apart by."""
        return "model"

    def to_bytes(self) -> bytes:
        """Canonical bytes.  Raises FormatError if the fields break the spec: the header is read back."""
        fields: dict[str, Any] = {"byte_order": "little", "codec": self.codec, "kind": self.kind, "model": self.model}
        if self.codec in FILTERED:
            fields["filter"] = self.filter
        if self.ext:
            fields["ext"] = dict(self.ext)
        data = canonical.pack(fields)
        parse_header(data, 0, self.flags)
        return data


Header = LatentsHeader | ModelHeader


def parse_header(data: bytes, at: int, flags: int = 0) -> Header:
    """The header whose bytes begin at `at`.  flags: of the preamble.  Raises HeaderInvalid, Unsupported, LimitExceeded."""
    try:
        fields = canonical.unpack(data, max_depth=limits.HEADER_DEPTH)
    except canonical.NotCanonical as error:
        raise HeaderInvalid(error.rule, at + error.at, f"header: {error.what}") from None
    return _Checker(fields, at, flags).header()


class _Checker:
    """Checks the keys of one header, in the order of the rules."""

    def __init__(self, fields: dict[str, Any], at: int, flags: int) -> None:
        self._fields, self._at, self._flags = fields, at, flags
        self._least = 0 if flags & FREE_SIZES else 1  # a size that may be free
        self._minor = 1 if flags & NEW_MANIFEST else 0

    def _bad(self, rule: str, what: str, kind: type[FormatError] = HeaderInvalid) -> FormatError:
        return kind(rule, self._at, f"header: {what}"[:_MESSAGE_CHARACTERS])

    def header(self) -> Header:
        kind = self._fields.get("kind")
        if kind not in KINDS:
            raise self._bad("C3-6", f"kind is {kind!r}, not one of {', '.join(KINDS)}", _unknown(kind))
        return self._latents() if kind == "latents" else self._model()

    def _keys(self, required: set[str], optional: set[str]) -> None:
        missing = sorted(required - self._fields.keys())
        unknown = sorted(self._fields.keys() - required - optional)
        if missing:
            raise self._bad("C3-7", f"key {missing[0]!r} is missing")
        if unknown:
            raise self._bad("C3-7", f"unknown key {unknown[0]!r}", Unsupported)

    def _latents(self) -> LatentsHeader:
        required, optional = self._latents_keys()
        self._keys(required, optional)
        fields = self._fields
        for key in ("byte_order", "codec", "encoding", "filter", "values"):
            self._text(key)
        self._model_id("decoder")
        self._model_id("encoder")
        self._model_id("foreign_decoder")
        self._map("described")
        self._sizes("dims", fields["dims"], "1 to 8 sizes", range(1, 9), range(self._least, 2**31))
        image = fields.get("image", [1, 1, 1, "u8"])
        if not isinstance(image, list) or len(image) != 4 or image[3] not in IMAGE_TYPES:
            raise self._bad("C3-8", f"image is {image!r}, not [height, width, channels, 'u8']")
        self._sizes("image", image[:2], "3 sizes", range(2, 3), range(self._least, 65_536))
        self._sizes("image", image[2:3], "3 sizes", range(1, 2), range(1, 65_536))
        self._map("ext")
        encoding = self._known("encoding", ENCODINGS)
        spec = ENCODINGS[encoding]
        self._codec_and_byte_order(spec.byte_order)
        values = fields.get("values")
        if values is not None and values not in spec.holds[1:]:
            raise self._bad("C3-12", f"values {values!r} do not go with encoding {encoding!r}")
        header = LatentsHeader(
            decoder=fields.get("decoder", b""),
            dims=tuple(fields["dims"]),
            image=tuple(image[:3]) if "image" in fields else (),
            encoding=encoding,
            codec=fields["codec"],
            filter=fields.get("filter", "none"),
            values=values or spec.own,
            encoder=fields.get("encoder"),
            ext=fields.get("ext", {}),
            foreign_decoder=fields.get("foreign_decoder", b""),
        )
        if header.row_bytes > limits.ROW_BYTES:
            raise self._bad(
                "C3-13", f"one row takes {header.row_bytes} bytes, allowed are {limits.ROW_BYTES}", LimitExceeded
            )
        if header.codec == "rans" and encoding not in RANS_ENCODINGS:
            raise self._bad("C3-15", f"codec rans does not go with encoding {encoding!r}")
        if self._minor:
            raise self._bad("C3-17", "flag bit 2 in a file of latents, which has no manifest")
        if not self._least:
            self._check_free(header)
        if self._flags & NO_DECODER:
            self._check_unknown(header)
        return header._replace(described=self._described(header)) if "described" in fields else header

    def _latents_keys(self) -> tuple[set[str], set[str]]:
        """Those that must be there and those that may, by the flag bits."""
        required, optional = set(_LATENTS_KEYS), _LATENTS_OPTIONAL - {"described", "foreign_decoder"}
        if self._flags & NO_DECODER:
            required, optional = required - _UNKNOWN, optional | _UNKNOWN | {"foreign_decoder"}
        if self._flags & DESCRIBED:
            required |= {"described"}
        return required, optional

    def _described(self, header: LatentsHeader) -> Described:
        """C3-21 to C3-26."""
        has_encoder = header.encoder is not None
        try:
            return parse_described(
                self._fields["described"], header.dims, is_foreign=not header.decoder, has_encoder=has_encoder
            )
        except DescribedInvalid as error:
            kind = Unsupported if error.is_newer else HeaderInvalid
            raise self._bad(error.rule, f"described: {error.what}", kind) from None

    def _check_unknown(self, header: LatentsHeader) -> None:
        """C3-19."""
        if header.decoder:
            raise self._bad("C3-19", "flag bit 1 says that the decoder is not known, and there is one")
        if header.codec == "rans":
            raise self._bad("C3-19", "codec rans takes the decoder, which is not known")

    def _check_free(self, header: LatentsHeader) -> None:
        """C3-17, C3-18."""
        if 0 not in header.dims:
            raise self._bad(
                "C3-17", f"flag bit 0 says that rows have sizes of their own, and dims {header.dims} has none free"
            )
        if header.image[:2].count(0) == 1:
            raise self._bad("C3-17", "height and width of image must both be free or neither")
        if header.codec == "rans" and not header.takes_passes:
            raise self._bad(
                "C3-18", f"codec rans takes dims [0, 0, n] and images of free sizes, not {list(header.dims)}"
            )

    def _model(self) -> ModelHeader:
        self._keys(_MODEL_KEYS, _MODEL_OPTIONAL)
        for key in ("byte_order", "codec", "filter"):
            self._text(key)
        self._model_id("model")
        self._map("ext")
        self._codec_and_byte_order("little")
        fields = self._fields
        if fields["codec"] == "rans":
            raise self._bad("C3-15", "codec rans in a model package")
        if not self._least:
            raise self._bad("C3-17", "flag bit 0 in a model package, which has no rows")
        if self._flags & NO_DECODER:
            raise self._bad("C3-19", "flag bit 1 in a model package, which has no decoder of its own")
        if self._flags & DESCRIBED:
            raise self._bad("C3-20", "flag bit 4 in a model package, which has no latents")
        return ModelHeader(
            fields["model"], fields["codec"], fields.get("filter", "none"), fields.get("ext", {}), self._minor
        )

    def _text(self, key: str) -> None:
        value = self._fields.get(key, "")
        if not isinstance(value, str):
            raise self._bad("C3-8", f"{key} is {value!r}, not a string")

    def _model_id(self, key: str) -> None:
        value = self._fields.get(key, b"\0" * _ID_BYTES)
        if not isinstance(value, bytes) or len(value) != _ID_BYTES:
            raise self._bad("C3-8", f"{key} is not an id of {_ID_BYTES} bytes")

    def _sizes(self, key: str, sizes: object, what: str, counts: range, allowed: range) -> None:
        if (
            not isinstance(sizes, list)
            or len(sizes) not in counts
            or not all(type(size) is int and size in allowed for size in sizes)
        ):
            given = self._fields[key]
            raise self._bad("C3-8", f"{key} is {given!r}, not {what} from {allowed[0]} to {allowed[-1]}")

    def _map(self, key: str) -> None:
        if not isinstance(self._fields.get(key, {}), dict):
            raise self._bad("C3-8", f"{key} is not a map")

    def _known(self, key: str, names: Mapping[str, object] | tuple[str, ...]) -> str:
        value = self._fields[key]
        if value not in names:
            raise self._bad("C3-9", f"{key} {value!r} is not one of {', '.join(names)}", Unsupported)
        return str(value)

    def _codec_and_byte_order(self, expected: str) -> None:
        codec = self._known("codec", CODECS)
        if "filter" in self._fields:
            self._known("filter", FILTERS)
        byte_order = self._fields["byte_order"]
        if byte_order != expected:
            raise self._bad("C3-10", f"byte_order is {byte_order!r}, must be {expected!r}")
        if ("filter" in self._fields) != (codec in FILTERED):
            raise self._bad(
                "C3-11", f"filter must be {'present' if codec in FILTERED else 'absent'} with codec {codec!r}"
            )


def _unknown(kind: object) -> type[FormatError]:
    return Unsupported if isinstance(kind, str) else HeaderInvalid
