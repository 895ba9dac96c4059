"""What the command line makes of an error: one line of text with advice, and the exit code.

The only place where hints become option names, and where error codes become exit codes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from aeformat.cli.streams import shown
from aeformat.errors import AeformatError, Hint

ADVICE: Final[Mapping[Hint, str]] = {
    Hint.GET_FRESH_COPY: "get a fresh copy of the file",
    Hint.CHECK_FILE_KIND: "check that this is an .aef file",
    Hint.OPEN_AS_MODEL: "look at it with aeformat info, or give it as a model",
    Hint.UPDATE_READER: "read it with a newer aeformat",
    Hint.RECOVER_ROWS: "get the whole file, or take what is there with aeformat unpack --recover",
    Hint.NOTHING_TO_RECOVER: "there is no whole chunk before that, so nothing can be recovered",
    Hint.REPORT_CONTAINER_WRITER: "the program that wrote it does not follow spec/container.md",
    Hint.REPORT_MODEL_WRITER: "the program that wrote it does not follow spec/model.md",
    Hint.RAISE_LIMITS: "raise the reader's limits only if you trust where the file comes from",
    Hint.TRY_OTHER_BACKEND: (
        "try another --backend; if that does not help, this machine or the program that wrote the file computes wrongly"
    ),
    Hint.REPORT_MACHINE: "do not use it here: try the other backend (--backend), and please report the machine",
    Hint.GET_DECODER: (
        "get the .aef of that decoder and name it (--decoder), fetch it from a server (--registry URL), or ask for a file "
        "that carries it (pack --embed-decoder)"
    ),
    Hint.INSTALL_MODELS: "pip install aeformat-models",
    Hint.GIVE_OTHER_DECODER: "give that one with --decoder, or leave it out to take this machine's",
    Hint.GIVE_DECODER: "get its package and give it with --decoder",
    Hint.TRANSFER_ALWAYS: "fetch it all the same with --model-policy always",
    Hint.SET_TOKEN: "give tokens with --token-file",
    Hint.SET_TOKEN_FILE: "give --tokens, or listen on 127.0.0.1",
    Hint.REPLACE_FILE: "use --force to replace it",
    Hint.WRITE_INTO_FOLDER: "use --force to write into it",
    Hint.USE_STANDARD_OUTPUT: "use - to write to a pipe",
    Hint.REDIRECT_OUTPUT: "redirect the output, or name a file",
    Hint.RESIZE: "add --resize to convert them",
    Hint.GRAYSCALE: "add --grayscale to convert them",
    Hint.RESIZE_AND_GRAYSCALE: "add --resize --grayscale to convert them",
    Hint.RGB: "add --rgb to repeat the grey channel as red, green and blue",
    Hint.RESIZE_AND_RGB: "add --resize --rgb to convert them",
    Hint.NAME_MODEL: (
        "the model was chosen by the first image: add --resize --grayscale to fit the others to it, or name one for all of "
        "them, such as --model photo-3 with --rgb"
    ),
    Hint.SET_BACKGROUND: "give --background COLOUR, such as white, to flatten such images",
    Hint.UNPACK_TO_FOLDER: "give a folder (end it in /) or an .npz file as OUT",
    Hint.GIVE_IMAGE_SHAPE: "give it with --image HxWxC",
    Hint.TRAIN_BASE_FIRST: "train it first, with aeformat model train",
    Hint.USE_ZSTD: "give --codec zstd",
    Hint.USE_RANS: "give --codec rans, or no --refine",
    Hint.REPAIR_STORE: "run aeformat store check --repair first",
    Hint.DROP_UPLOADS: "aeformat ls --uploads lists what is open, aeformat rm drops it",
    Hint.SKIP_BAD_IMAGES: "mend it and give the same command again, or add --skip-bad-images",
}

GOOD: Final = 0
BAD: Final = 1  # the data, or what no other number stands for
USAGE: Final = 2
INCOMPLETE: Final = 3
NO_DECODER: Final = 4  # it is missing, does not match, or does not compute what it must

_EXIT_CODES: Final[Mapping[str, int]] = {  # by error code; BAD for all others
    "usage": USAGE,
    "backend": USAGE,
    "truncated": INCOMPLETE,
    "transfer-unfinished": INCOMPLETE,
    "decoder": NO_DECODER,
    "decoder-missing": NO_DECODER,
    "decoder-mismatch": NO_DECODER,
    "golden": NO_DECODER,
}
_BY_GRAVITY: Final = (NO_DECODER, BAD, USAGE, INCOMPLETE, GOOD)


def exit_code(error_code: str) -> int:
    """What the command line returns for an error with this code."""
    return _EXIT_CODES.get(error_code, BAD)


def gravest(exit_codes: Iterable[int]) -> int:
    """The one to return for several results; GOOD where there are none."""
    return min(exit_codes, key=_BY_GRAVITY.index, default=GOOD)


def describe(error: AeformatError) -> str:
    """One line: where, what, which rule, which byte, what to do."""
    where = f"{shown(error.source)}: " if error.source else ""
    advice = f"; {ADVICE[error.hint]}" if error.hint is not None else ""
    return f"{where}{shown(error.sentence)}{advice}"
