"""Every exception this package raises on purpose.

Owns the error codes (a promise, listed in spec/registry.json) and the hints.  Knows nothing of what is being read, nor of
who shows the error.  The sentence in an error is for people and may change; `code`, `rule`, `at` and `hint` may not.
"""

from __future__ import annotations

from enum import Enum
from typing import ClassVar, Final


class Hint(str, Enum):
    """What the caller can do about an error.  The values are stable, and each is a string, so that it can be logged or sent.

    text: the same for people who call from Python; it may change.
    """

    GET_FRESH_COPY = "get-fresh-copy"
    CHECK_FILE_KIND = "check-file-kind"
    OPEN_AS_MODEL = "open-as-model"
    UPDATE_READER = "update-reader"
    RECOVER_ROWS = "recover-rows"
    NOTHING_TO_RECOVER = "nothing-to-recover"
    REPORT_CONTAINER_WRITER = "report-container-writer"
    REPORT_MODEL_WRITER = "report-model-writer"
    RAISE_LIMITS = "raise-limits"
    TRY_OTHER_BACKEND = "try-other-backend"
    REPORT_MACHINE = "report-machine"
    GET_DECODER = "get-decoder"
    INSTALL_MODELS = "install-models"
    GIVE_OTHER_DECODER = "give-other-decoder"
    GIVE_DECODER = "give-decoder"
    TRANSFER_ALWAYS = "transfer-always"
    SET_TOKEN = "set-token"
    SET_TOKEN_FILE = "set-token-file"
    REPLACE_FILE = "replace-file"
    WRITE_INTO_FOLDER = "write-into-folder"
    USE_STANDARD_OUTPUT = "use-standard-output"
    REDIRECT_OUTPUT = "redirect-output"
    RESIZE = "resize"
    GRAYSCALE = "grayscale"
    RESIZE_AND_GRAYSCALE = "resize-and-grayscale"
    RGB = "rgb"
    RESIZE_AND_RGB = "resize-and-rgb"
    NAME_MODEL = "name-model"
    SET_BACKGROUND = "set-background"
    UNPACK_TO_FOLDER = "unpack-to-folder"
    GIVE_IMAGE_SHAPE = "give-image-shape"
    TRAIN_BASE_FIRST = "train-base-first"
    USE_ZSTD = "use-zstd"
    USE_RANS = "use-rans"
    REPAIR_STORE = "repair-store"
    DROP_UPLOADS = "drop-uploads"
    SKIP_BAD_IMAGES = "skip-bad-images"

    @property
    def text(self) -> str:
        """What to do, in the words of aeformat's Python functions."""
        return _TEXTS[self]


_TEXTS: Final = {
    Hint.GET_FRESH_COPY: "get a fresh copy of the file",
    Hint.CHECK_FILE_KIND: "check that this is an .aef file",
    Hint.OPEN_AS_MODEL: "open it with aeformat.load_model",
    Hint.UPDATE_READER: "read it with a newer aeformat",
    Hint.RECOVER_ROWS: "get the whole file, or take the rows before the damage with aeformat.stream(..., recover=True)",
    Hint.NOTHING_TO_RECOVER: "the damage comes before the first whole chunk, so nothing can be recovered",
    Hint.REPORT_CONTAINER_WRITER: "the program that wrote the file does not follow spec/container.md",
    Hint.REPORT_MODEL_WRITER: "the program that wrote the package does not follow spec/model.md",
    Hint.RAISE_LIMITS: "pass limits=... to the reader, only for a file from somebody you trust",
    Hint.TRY_OTHER_BACKEND: "pass another backend; if that does not help, this machine or the file's writer computes wrongly",
    Hint.REPORT_MACHINE: "this machine computes wrongly: pass another backend, and please report it",
    Hint.GET_DECODER: "get the .aef of that decoder and pass it as decoder=..., or ask for a file that carries it",
    Hint.INSTALL_MODELS: "pip install aeformat-models",
    Hint.GIVE_OTHER_DECODER: "pass that one as decoder=..., or leave it out to take this machine's",
    Hint.GIVE_DECODER: "get its package and pass it as decoder=...",
    Hint.TRANSFER_ALWAYS: 'pass Options(policy="always") of aeformat.net',
    Hint.SET_TOKEN: "pass Options(token=...) of aeformat.net, and leave it out of the URL",
    Hint.SET_TOKEN_FILE: "pass Settings(tokens=...) of aeformat.net, or listen on 127.0.0.1",
    Hint.REPLACE_FILE: "pass force=True to replace it",
    Hint.WRITE_INTO_FOLDER: "pass force=True to write into it",
    Hint.USE_STANDARD_OUTPUT: "it is a pipe or a device; give the name of an ordinary file",
    Hint.REDIRECT_OUTPUT: "write to a file or a pipe",
    Hint.RESIZE: "pass resize=True to convert them",
    Hint.GRAYSCALE: "pass grayscale=True to convert them",
    Hint.RESIZE_AND_GRAYSCALE: "pass resize=True, grayscale=True to convert them",
    Hint.RGB: "pass rgb=True to repeat the grey channel as red, green and blue",
    Hint.RESIZE_AND_RGB: "pass resize=True, rgb=True to convert them",
    Hint.NAME_MODEL: (
        "the model was chosen by the first image: pass resize and grayscale to fit the others to it, or a model for all of "
        "them, such as model='photo-3' with rgb=True"
    ),
    Hint.SET_BACKGROUND: 'pass background="white", or another colour, to flatten such images',
    Hint.UNPACK_TO_FOLDER: "give a folder or an .npz file as output",
    Hint.GIVE_IMAGE_SHAPE: "say how large an image is: height, width, channels",
    Hint.TRAIN_BASE_FIRST: "train first what it continues",
    Hint.USE_ZSTD: 'pass codec="zstd"',
    Hint.USE_RANS: 'pass codec="rans", or no refine',
    Hint.REPAIR_STORE: "check the store with repairs first",
    Hint.DROP_UPLOADS: "list the open uploads with aeformat.net.uploads, and drop with aeformat.net.remove what nobody needs",
    Hint.SKIP_BAD_IMAGES: "mend it and call again, or pass skip_bad_images=True",
}


class AeformatError(Exception):
    """Base of all errors of this package.

    code: names the kind of error.  hint: what the caller can do, if there is something; hint.text says it.  source: the name of
    the file that the error is about, where it is known; str() begins with it.  All three survive pickling.
    """

    code: ClassVar[str] = "error"
    hint: Hint | None = None
    source: str | None = None

    def __init__(self, *args: object, hint: Hint | None = None) -> None:
        super().__init__(*args)
        if hint is not None:
            self.hint = hint

    @property
    def sentence(self) -> str:
        """What is wrong, without the name of the file."""
        return super().__str__()

    def __str__(self) -> str:
        return f"{self.source}: {self.sentence}" if self.source else self.sentence


class UsageError(AeformatError, ValueError):
    """The caller asked for something that cannot be done: a bad option, an unknown name, an output that exists."""

    code = "usage"


class FormatError(AeformatError, ValueError):
    """The bytes break the spec.  rule: "C4-1".  at: byte offset in the file."""

    code = "format"
    hint: Hint | None = Hint.GET_FRESH_COPY

    def __init__(self, rule: str, at: int, what: str) -> None:
        super().__init__(rule, at, what)  # full args, so that it survives pickling
        self.rule, self.at, self.what = rule, at, what

    @property
    def sentence(self) -> str:
        """What is wrong, by which rule, at which byte."""
        return f"{self.what} (rule {self.rule}, byte {self.at})"


class NotAef(FormatError):
    """The bytes do not begin with the magic."""

    code = "not-aef"
    hint = Hint.CHECK_FILE_KIND


class Unsupported(FormatError):
    """Well-formed, but made for a newer version of the format."""

    code = "unsupported"
    hint: Hint | None = Hint.UPDATE_READER


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


class FieldsInvalid(FormatError):
    """A chunk of fields is malformed, or not of the types that the file declares."""

    code = "fields"
    hint = Hint.REPORT_CONTAINER_WRITER


class SetInvalid(FormatError):
    """The manifest of a set is malformed, or a shard is not the file that it names."""

    code = "set"
    hint = Hint.REPORT_CONTAINER_WRITER


class ManifestInvalid(FormatError):
    """A model's manifest or a tensor breaks spec/model.md."""

    code = "manifest"
    hint = Hint.REPORT_MODEL_WRITER


class NetworkInvalid(FormatError):
    """A file of tensors that is no package is damaged, or cannot have a network id (spec/model.md, section 13)."""

    code = "network"


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


class CacheInvalid(AeformatError, ValueError):
    """A file of another tool's cache cannot be read, or holds what a row or a field cannot hold."""

    code = "cache"


class BackendUnavailable(UsageError):
    """The backend that was asked for is not installed."""

    code = "backend"
