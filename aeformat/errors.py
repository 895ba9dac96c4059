"""Every exception this package raises on purpose.

Owns the error codes (a promise, listed in spec/registry.json) and the hints.  Knows nothing of what is being read, nor of
who shows the error.  The sentence in an error is for people and may change; `code`, `rule`, `at` and `hint` may not.
"""

from __future__ import annotations

from enum import Enum
from typing import ClassVar


class Hint(str, Enum):
    """What the caller can do about an error.  The values are stable, and each is a string, so that it can be logged or sent."""

    GET_FRESH_COPY = "get-fresh-copy"  # the file was damaged on its way
    CHECK_FILE_KIND = "check-file-kind"  # it is no container at all
    OPEN_AS_MODEL = "open-as-model"  # it is a model package, and latents were expected
    UPDATE_READER = "update-reader"  # a newer version of this package reads the file
    RECOVER_ROWS = "recover-rows"  # read the rows before the damage: `recover=True` of the reader
    NOTHING_TO_RECOVER = "nothing-to-recover"  # the damage comes before the first whole chunk
    REPORT_CONTAINER_WRITER = "report-container-writer"  # the program that wrote the file breaks spec/container.md
    REPORT_MODEL_WRITER = "report-model-writer"  # the program that wrote the package breaks spec/model.md
    RAISE_LIMITS = "raise-limits"  # only for a file from somebody you trust: `limits` of the reader
    TRY_OTHER_BACKEND = "try-other-backend"  # this machine or the writer computes wrongly
    REPORT_MACHINE = "report-machine"  # this machine computes wrongly: do not use the model on it
    GET_DECODER = "get-decoder"  # from whoever made the file, from a server, or inside the file
    INSTALL_MODELS = "install-models"  # the model is one of the distribution aeformat-models
    GIVE_OTHER_DECODER = "give-other-decoder"  # the package at hand is not the decoder that the file names
    GIVE_DECODER = "give-decoder"  # the server that was asked lacks it too: get its package and pass it in
    TRANSFER_ALWAYS = "transfer-always"  # `Options(policy="always")` of aeformat.net
    SET_TOKEN = "set-token"  # `Options(token=...)` of aeformat.net, not in the URL
    SET_TOKEN_FILE = "set-token-file"  # `Settings(tokens=...)` of the server, or listen on the loopback interface only
    REPLACE_FILE = "replace-file"  # `force=True`
    WRITE_INTO_FOLDER = "write-into-folder"  # `force=True`
    USE_STANDARD_OUTPUT = "use-standard-output"  # the output is a pipe or a device
    REDIRECT_OUTPUT = "redirect-output"  # to a file or a pipe
    RESIZE = "resize"  # `ImageFit(resize=True)`
    GRAYSCALE = "grayscale"  # `ImageFit(grayscale=True)`
    RESIZE_AND_GRAYSCALE = "resize-and-grayscale"  # both
    GIVE_IMAGE_SHAPE = "give-image-shape"  # the network's input does not say how large an image is
    TRAIN_BASE_FIRST = "train-base-first"  # the training continues another one, which has not been run
    USE_ZSTD = "use-zstd"  # codec "zstd" instead of "rans"
    USE_RANS = "use-rans"  # codec "rans", or no refinement


class AeformatError(Exception):
    """Base of all errors of this package.

    code: names the kind of error.  hint: what the caller can do, if there is something.  source: the name of the file that the
    error is about, where the caller has set it.  All three survive pickling.
    """

    code: ClassVar[str] = "error"
    hint: Hint | None = None
    source: str | None = None

    def __init__(self, *args: object, hint: Hint | None = None) -> None:
        super().__init__(*args)
        if hint is not None:
            self.hint = hint


class UsageError(AeformatError, ValueError):
    """The caller asked for something that cannot be done: a bad option, an unknown name, an output that exists."""

    code = "usage"


class FormatError(AeformatError, ValueError):
    """The bytes break the spec.  rule: "C4-1".  at: byte offset in the file."""

    code = "format"
    hint = Hint.GET_FRESH_COPY

    def __init__(self, rule: str, at: int, what: str) -> None:
        super().__init__(rule, at, what)  # full args, so that it survives pickling
        self.rule, self.at, self.what = rule, at, what

    def __str__(self) -> str:
        return f"{self.what} (rule {self.rule}, byte {self.at})"


class NotAef(FormatError):
    """The bytes do not begin with the magic."""

    code = "not-aef"
    hint = Hint.CHECK_FILE_KIND


class Unsupported(FormatError):
    """Well-formed, but made for a newer version of the format."""

    code = "unsupported"
    hint = Hint.UPDATE_READER


class Truncated(FormatError):
    """The bytes end before the file does."""

    code = "truncated"
    hint = Hint.RECOVER_ROWS


class ChecksumMismatch(FormatError):
    """Bytes differ from the checksum that covers them."""

    code = "checksum"


class HeaderInvalid(FormatError):
    """The header is not canonical msgpack, or a key in it is missing, unknown or wrong."""

    code = "header"
    hint = Hint.REPORT_CONTAINER_WRITER


class StructureInvalid(FormatError):
    """Chunks, index or trailer do not fit together."""

    code = "structure"
    hint = Hint.REPORT_CONTAINER_WRITER


class LimitExceeded(FormatError):
    """A size or count is above what the spec, or the reader's own limits, allow."""

    code = "limit"
    hint = Hint.RAISE_LIMITS


class CompressionInvalid(FormatError):
    """A compressed payload breaks the rules or does not decompress."""

    code = "compression"


class ValueInvalid(FormatError):
    """A stored number is not a value that the header allows: NaN, infinity, a malformed text cell."""

    code = "value"
    hint = Hint.REPORT_CONTAINER_WRITER


class ContentMismatch(FormatError):
    """All checksums hold, but the content is not the one the trailer names."""

    code = "content"


class ReceiptMismatch(FormatError):
    """The decoded pixels are not those that a receipt names."""

    code = "receipt"
    hint = Hint.TRY_OTHER_BACKEND


class NamesInvalid(FormatError):
    """A chunk of row names is malformed or holds an unsafe name."""

    code = "names"
    hint = Hint.REPORT_CONTAINER_WRITER


class ManifestInvalid(FormatError):
    """A model's manifest or a tensor breaks spec/model.md."""

    code = "manifest"
    hint = Hint.REPORT_MODEL_WRITER


class DecoderError(AeformatError):
    """The decoder is missing, is another one, or does not compute what it must."""

    code = "decoder"


class DecoderMissing(DecoderError):
    """No decoder with the model id that the file names could be found."""

    code = "decoder-missing"


class DecoderMismatch(DecoderError):
    """The decoder at hand is not the one that the file names."""

    code = "decoder-mismatch"


class GoldenMismatch(DecoderError):
    """A model package does not reproduce its own golden set on this machine."""

    code = "golden"
    hint = Hint.REPORT_MACHINE


class ImageError(AeformatError, ValueError):
    """An input image cannot be read, or does not fit the model."""

    code = "image"


class BackendUnavailable(UsageError):
    """The backend that was asked for is not installed."""

    code = "backend"
