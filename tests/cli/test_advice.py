"""The words of the command line are in the command line: what stands below it raises hints and knows no option."""

from __future__ import annotations

import copy
import io
import pickle
import re
import tokenize
from pathlib import Path

import pytest

import aeformat
from aeformat.cli.advice import ADVICE, BAD, GOOD, INCOMPLETE, NO_DECODER, USAGE, describe, exit_code, gravest
from aeformat.errors import DecoderMissing, FormatError, Hint, Truncated, UsageError

PACKAGE = Path(aeformat.__file__).parent
MODULES = [path.relative_to(PACKAGE) for path in sorted(PACKAGE.rglob("*.py"))]
BELOW = [path for path in MODULES if path.parts[0] != "cli"]
WORDS = re.compile(
    r"(?<![-\w])--[a-z]|exit.?code|exit.?status|exit with|command.?line|terminal|argparse"
    r"|aeformat (?:pack|unpack|info|validate|convert|eval|serve|store (?:check|gc)|send|fetch|model)\b",
    re.IGNORECASE,
)


def words(source: str) -> list[tuple[int, str]]:
    """(line, word) of what strings, comments and names of a module say of the command line.

    A module that asks whether a stream is a terminal may say so.
    """
    skipped = (tokenize.OP, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT)
    tokens = [token for token in tokenize.generate_tokens(io.StringIO(source).readline) if token.type not in skipped]
    found = [(token.start[0], hit[0].lower()) for token in tokens for hit in WORDS.finditer(token.string)]
    return [(line, word) for line, word in found if word != "terminal" or "isatty()" not in source]


@pytest.mark.parametrize("path", BELOW, ids=map(str, BELOW))
def test_below_the_command_line_nothing_speaks_of_it(path: Path) -> None:
    """No option, no exit code, no `aeformat unpack`: who embeds the package shows errors in words of their own."""
    assert words((PACKAGE / path).read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "source",
    [
        '"give it with --decoder"',
        "# returns exit code 3",
        "exit_code = 3",
        'f"{x}; see aeformat info"',
        '"""To a terminal."""',
    ],
)
def test_the_search_finds_what_it_is_for(source: str) -> None:
    assert words(source)


def test_every_hint_has_its_advice() -> None:
    """And no advice is without a hint; the values are words that can be sent and compared."""
    assert list(ADVICE) == list(Hint)
    assert all(re.fullmatch("[a-z]+(-[a-z]+)*", hint.value) and hint == hint.value for hint in Hint)


def test_every_hint_is_raised_somewhere() -> None:
    sources = [path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py") if path.name != "advice.py"]
    assert [hint for hint in Hint if not any(f"Hint.{hint.name}" in source for source in sources)] == []


ERRORS = [
    UsageError("out.aef exists", hint=Hint.REPLACE_FILE),
    UsageError("no hint"),
    DecoderMissing("decoder 00 is not here", hint=Hint.GET_DECODER),
    FormatError("C4-1", 7, "a chunk"),
    Truncated("C4-1", 7, "a chunk"),
]


@pytest.mark.parametrize("again", [lambda e: pickle.loads(pickle.dumps(e)), copy.copy], ids=["pickled", "copied"])
@pytest.mark.parametrize("error", ERRORS, ids=str)
def test_hint_and_source_survive_pickling(error, again) -> None:
    """Also where they were set later, as `unpack` does."""
    error.source = "some.aef"
    same = again(error)

    assert (type(same), same.args, str(same)) == (type(error), error.args, str(error))
    assert (same.hint, same.source, describe(same)) == (error.hint, "some.aef", describe(error))
    same.hint = Hint.NOTHING_TO_RECOVER
    assert again(same).hint is Hint.NOTHING_TO_RECOVER


def test_an_error_is_one_line_with_its_advice() -> None:
    assert describe(UsageError("a\nb  c")) == r"a\nb  c"
    assert describe(UsageError("out.aef exists", hint=Hint.REPLACE_FILE)) == "out.aef exists; use --force to replace it"
    assert describe(FormatError("C4-1", 7, "a chunk")) == "a chunk (rule C4-1, byte 7); get a fresh copy of the file"


def test_the_message_itself_has_no_advice() -> None:
    """What a library's user sees."""
    assert str(DecoderMissing("decoder 00 is not here", hint=Hint.GET_DECODER)) == "decoder 00 is not here"


def test_the_gravest_exit_code_is_returned() -> None:
    """A decoder that fails is graver than bad data, and that is graver than a file that is cut."""
    assert [gravest(codes) for codes in ([], [3, 0], [0, 3, 1], [1, 4, 3])] == [GOOD, INCOMPLETE, BAD, NO_DECODER]
    assert [exit_code(code) for code in ("usage", "truncated", "golden", "checksum")] == [
        USAGE,
        INCOMPLETE,
        NO_DECODER,
        BAD,
    ]
