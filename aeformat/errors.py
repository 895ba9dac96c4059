"""Every exception this package raises on purpose.

Owns the error codes (a promise, listed in spec/registry.json) and the exit code of each.  Knows nothing of what is
being read.  The sentence in an error is for people and may change; `code`, `rule` and `at` may not.
"""

from __future__ import annotations

from typing import ClassVar


class AeformatError(Exception):
    """Base of all errors of this package.  `code` names the kind; `exit_code` is what the command line returns."""

    code: ClassVar[str] = "error"
    exit_code: ClassVar[int] = 1


class UsageError(AeformatError, ValueError):
    """The caller asked for something that cannot be done: a bad option, an unknown name, an output that exists."""

    code = "usage"
    exit_code = 2


class FormatError(AeformatError, ValueError):
    """The bytes break the spec.  rule: "C4-1".  at: byte offset in the file."""

    code = "format"
    advice: str = "get a fresh copy of the file"
    source: str | None = None  # what a person calls the file, where that is known

    def __init__(self, rule: str, at: int, what: str) -> None:
        super().__init__(rule, at, what)  # full args, so that it survives pickling
        self.rule, self.at, self.what = rule, at, what

    def __str__(self) -> str:
        return f"{self.what} (rule {self.rule}, byte {self.at})"


class NotAef(FormatError):
    """The bytes do not begin with the magic."""

    code = "not-aef"
    advice = "check that this is an .aef file"


class Unsupported(FormatError):
    """Well-formed, but made for a newer version of the format."""

    code = "unsupported"
    advice = "read it with a newer aeformat"


class Truncated(FormatError):
    """The bytes end before the file does."""

    code = "truncated"
    exit_code = 3
    advice = "get the whole file, or take what is there with aeformat unpack --recover"


class ChecksumMismatch(FormatError):
    """Bytes differ from the checksum that covers them."""

    code = "checksum"


class HeaderInvalid(FormatError):
    """The header is not canonical msgpack, or a key in it is missing, unknown or wrong."""

    code = "header"
    advice = "the program that wrote it does not follow spec/container.md"


class StructureInvalid(FormatError):
    """Chunks, index or trailer do not fit together."""

    code = "structure"
    advice = "the program that wrote it does not follow spec/container.md"


class LimitExceeded(FormatError):
    """A size or count is above what the spec, or the reader's own limits, allow."""

    code = "limit"
    advice = "raise the reader's limits only if you trust where the file comes from"


class CompressionInvalid(FormatError):
    """A compressed payload breaks the rules or does not decompress."""

    code = "compression"


class ValueInvalid(FormatError):
    """A stored number is not a value that the header allows: NaN, infinity, a malformed text cell."""

    code = "value"
    advice = "the program that wrote it does not follow spec/container.md"


class ContentMismatch(FormatError):
    """All checksums hold, but the content is not the one the trailer names."""

    code = "content"


class ReceiptMismatch(FormatError):
    """The decoded pixels are not those that a receipt names."""

    code = "receipt"
    advice = (
        "try another --backend; if that does not help, this machine or the program that wrote the file computes wrongly"
    )


class NamesInvalid(FormatError):
    """A chunk of row names is malformed or holds an unsafe name."""

    code = "names"
    advice = "the program that wrote it does not follow spec/container.md"


class ManifestInvalid(FormatError):
    """A model's manifest or a tensor breaks spec/model.md."""

    code = "manifest"
    advice = "the program that wrote it does not follow spec/model.md"


class DecoderError(AeformatError):
    """The decoder is missing, is another one, or does not compute what it must."""

    code = "decoder"
    exit_code = 4


class DecoderMissing(DecoderError):
    """No decoder with the model id that the file names could be found."""

    code = "decoder-missing"


class DecoderMismatch(DecoderError):
    """The decoder at hand is not the one that the file names."""

    code = "decoder-mismatch"


class GoldenMismatch(DecoderError):
    """A model package does not reproduce its own golden set on this machine."""

    code = "golden"


class ImageError(AeformatError, ValueError):
    """An input image cannot be read, or does not fit the model."""

    code = "image"


class BackendUnavailable(UsageError):
    """The backend that was asked for is not installed."""

    code = "backend"
