"""The validator: all problems of a file, not only the first (spec/README.md, conformance class validator).

Owns the list of problems, and what can be checked after one.  Reads forward in bounded memory; never loads TensorFlow.
The golden set and receipts take a running network: the caller passes functions for that, or None to skip these checks.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from aeformat.container import assigned, payloads
from aeformat.container.header import Header, LatentsHeader
from aeformat.container.limits import DEFAULT, HEADER_BYTES, Limits
from aeformat.container.parser import ChunkRead, Event, HeaderRead, Parser, TrailerRead
from aeformat.container.receipts import DIGEST_BYTES, Receipts
from aeformat.container.wire import PREAMBLE_BYTES
from aeformat.errors import DecoderMismatch, FormatError, GoldenMismatch, StructureInvalid

if TYPE_CHECKING:
    from aeformat.container.decoder_prior import DecoderPrior
    from aeformat.model.package import ModelPackage

_READ_BYTES: Final = 1 << 18
_MOST_PROBLEMS: Final = 1_000  # a hostile file can have one in every byte

GoldenCheck = Callable[["ModelPackage"], None]
CheckReceipts = Callable[[payloads.Block], object]
FindPrior = Callable[[LatentsHeader], "DecoderPrior | None"]
FindReceiptCheck = Callable[[LatentsHeader, "ModelPackage | None"], CheckReceipts | None]


@dataclass(frozen=True, slots=True)
class Problem:
    """One broken rule.  code: of aeformat.errors.  inside: "" or what, within the file, the offset counts from."""

    code: str
    rule: str
    at: int
    what: str
    inside: str = ""

    @property
    def expected(self) -> str:
        """The rule as the spec states it."""
        return _rule_texts().get(self.rule, "")


@cache
def _rule_texts() -> dict[str, str]:
    text = resources.files("aeformat").joinpath("data/rules.json").read_text(encoding="utf-8")
    rules: dict[str, str] = json.loads(text)
    return rules


@dataclass(slots=True)
class Report:
    """What the validator found.  problems is empty for a file that follows the spec."""

    name: str
    problems: list[Problem] = field(default_factory=list)
    kind: str = ""
    n_rows: int = 0
    n_chunks: int = 0
    n_bytes: int = 0
    content_id: bytes = b""
    n_receipts: int = 0  # digests
    n_proved: int = 0  # of them: the pixels were decoded and match
    not_checked: str = ""  # what could not be checked, and why
    is_cut_short: bool = False  # more problems than are listed

    @property
    def summary(self) -> str:
        """One line for people about a file without problems."""
        rows = f", {self.n_rows:,} rows" if self.kind == "latents" else ""
        if self.n_receipts:
            proved = "proved" if self.n_proved else "not proved: their decoder is not here"
            rows += f", {self.n_receipts:,} receipts {proved}"
        content_id = self.content_id.hex() + (" (not checked)" if self.not_checked else "")
        return f"{self.kind}{rows}, {self.n_chunks:,} chunks, {self.n_bytes:,} bytes, content id {content_id}"

    def as_dict(self) -> dict[str, object]:
        """The report as JSON holds it (spec/README.md, the report)."""
        return {
            "file": self.name,
            "valid": not self.problems,
            "kind": self.kind,
            "rows": self.n_rows,
            "chunks": self.n_chunks,
            "bytes": self.n_bytes,
            "content_id": self.content_id.hex(),
            "not_checked": self.not_checked,
            "receipts": self.n_receipts,
            "proved": self.n_proved,
            "problems": [
                {
                    "code": p.code,
                    "rule": p.rule,
                    "byte": p.at,
                    "what": p.what,
                    "expected": p.expected,
                    "inside": p.inside,
                }
                for p in self.problems
            ],
            "more_problems": self.is_cut_short,
        }


def validate(
    file: BinaryIO,
    *,
    name: str = "",
    check_golden: GoldenCheck | None = None,
    find_receipt_check: FindReceiptCheck | None = None,
    find_prior: FindPrior | None = None,
    limits: Limits = DEFAULT,
) -> Report:
    """Read a file to its end, or to where it cannot be read further, and report every broken rule.

    check_golden: runs a package's golden set and raises GoldenMismatch; None leaves rule M6-2 unchecked.
    find_receipt_check: (header, embedded decoder or None) -> a function that decodes a block and raises FormatError if its
    receipts do not match the pixels (C7-6); it returns None if it finds no decoder.
    find_prior: header -> the prior for rows of codec rans; None if it is not found: then their values and the content id stay
    unchecked.
    Raises OSError, and what these functions raise.
    """
    run = _Run(name, check_golden, find_receipt_check, find_prior, limits)
    parser = Parser(limits, on_problem=run.problem)
    try:
        while data := file.read(_READ_BYTES):
            run.report.n_bytes += len(data)
            for event in parser.each(data):
                run.event(event)
        parser.close()
    except FormatError as error:
        run.problem(error)
    except _TooMany:
        run.report.is_cut_short = True
    run.end()
    return run.report


class _TooMany(Exception):
    pass


class _Run:
    """The validation of one file."""

    def __init__(
        self,
        name: str,
        check_golden: GoldenCheck | None,
        find_receipt_check: FindReceiptCheck | None,
        find_prior: FindPrior | None,
        limits: Limits,
    ) -> None:
        self.report = Report(name)
        self._check_golden, self._find_receipt_check, self._limits = check_golden, find_receipt_check, limits
        self._find_prior = find_prior
        self._decoder: ModelPackage | None = None  # the embedded one, if it is good
        self._has_decoder = False
        self._check_receipts: CheckReceipts | None = None
        self._header: Header | None = None
        self._rows: payloads.RowReader | None = None
        self._model: Any = None
        self._is_whole = True  # every chunk so far could be read, so that the content id can be checked

    def problem(self, error: FormatError | GoldenMismatch) -> None:
        """Add a problem after which the content id cannot be checked."""
        self._is_whole = False
        self._note(_problem(error))

    def _note(self, problem: Problem) -> None:
        if len(self.report.problems) == _MOST_PROBLEMS:
            raise _TooMany
        self.report.problems.append(problem)

    def event(self, event: Event) -> None:
        """Check what the parser does not: rows, tensors, receipts, the embedded decoder."""
        if isinstance(event, HeaderRead):
            self._start(event.header)
        elif isinstance(event, ChunkRead):
            self._chunk(event)
        else:
            self._trailer(event)

    def _start(self, header: Header) -> None:
        self._header = header
        self.report.kind = header.kind
        if isinstance(header, LatentsHeader):
            self._rows = payloads.RowReader(header, reads_decoder=False, limits=self._limits)
        else:
            from aeformat.model.file_io import PackageReader

            self._model = PackageReader(header, limits=self._limits)

    def _chunk(self, chunk: ChunkRead) -> None:
        self.report.n_chunks += 1
        if chunk.header.tag == assigned.ROWS:
            self.report.n_rows += chunk.header.n_rows
        if not chunk.is_good:
            self._is_whole = False
            return
        try:
            if self._rows is not None:
                if chunk.header.tag == assigned.ROWS and self._rows.needs_prior:
                    self._look_for_prior(self._rows)
                block = self._rows.check(chunk)
                if block is not None and block.receipts is not None:
                    self._receipts(block, block.receipts)
            elif self._is_whole:
                self._model.chunk(chunk)
        except FormatError as error:
            self.problem(error)
        if chunk.header.tag == assigned.DECODER:
            self._embedded(chunk)

    def _look_for_prior(self, rows: payloads.RowReader) -> None:
        """Take the prior from the embedded decoder if that is good, else ask the caller; once for each file."""
        from aeformat.model.match import prior_of

        assert isinstance(self._header, LatentsHeader)
        find, self._find_prior = self._find_prior, None
        if self._decoder is not None:
            rows.give_prior(prior_of(self._decoder))
        elif find is not None and not self._has_decoder:
            found = find(self._header)
            if found is not None:
                rows.give_prior(found)

    def _receipts(self, block: payloads.Block, receipts: Receipts) -> None:
        """C7-5, C7-6.  A problem here does not concern the rows: the content id is still checked."""
        if receipts.first_row != block.first_row:
            return  # they are of rows that could not be read
        is_first, n_new = not self.report.n_receipts, len(receipts.digests) // DIGEST_BYTES
        self.report.n_receipts += n_new
        try:
            if is_first:
                self._find_receipt_check_once(receipts)
            if self._check_receipts is not None:
                self._check_receipts(block)
                self.report.n_proved += n_new
        except FormatError as error:
            self._note(_problem(error))
            if error.rule == "C7-5":  # it concerns all receipts, and is reported once
                self._check_receipts = None

    def _find_receipt_check_once(self, receipts: Receipts) -> None:
        from aeformat.model.match import check_receipted

        if self._decoder is not None:
            check_receipted(receipts, self._decoder)
        if self._find_receipt_check is not None:
            assert isinstance(self._header, LatentsHeader)
            self._check_receipts = self._find_receipt_check(self._header, self._decoder)

    def _embedded(self, chunk: ChunkRead) -> None:
        """C7-4, C3-14, C3-16: the embedded decoder is a good package, and the right one."""
        self._has_decoder = True
        if _kind(chunk.stored) == "latents":  # not read: it could hold another container, and that another
            self._embedded_problem(
                StructureInvalid("C7-4", chunk.payload_at, "the embedded container holds latents, not a decoder")
            )
            return
        inside = f"embedded decoder at byte {chunk.payload_at}"
        inner = validate(io.BytesIO(chunk.stored), check_golden=self._check_golden, limits=self._limits)
        for problem in inner.problems:
            self._note(replace(problem, inside=inside))
        if inner.problems:
            return
        from aeformat.model.file_io import read_package
        from aeformat.model.match import check_decoder

        assert isinstance(self._header, LatentsHeader)
        if inner.kind != "model" or inner.content_id != self._header.decoder:
            self._embedded_problem(
                StructureInvalid("C7-4", chunk.payload_at, "the embedded container is not the decoder of this file")
            )
            return
        try:
            decoder = read_package(chunk.stored, limits=self._limits)
            check_decoder(self._header, decoder)
            self._decoder = decoder
        except FormatError as error:
            self._embedded_problem(error)
        except DecoderMismatch:
            self._embedded_problem(StructureInvalid("C7-4", chunk.payload_at, "the embedded package is no decoder"))

    def _embedded_problem(self, error: FormatError) -> None:
        self._note(_problem(error))  # the content id is still checked

    def _trailer(self, event: TrailerRead) -> None:
        self.report.content_id = event.trailer.content_id
        if not self._is_whole:
            return
        try:
            if self._rows is not None:
                self._rows.trailer(event)
            else:
                self._package(event)
        except (FormatError, GoldenMismatch) as error:
            self.problem(error)

    def end(self) -> None:
        """Set what could not be checked."""
        rows = self._rows
        if rows is None or not rows.n_unread:
            return
        self.report.n_receipts += rows.n_unread_receipts
        receipts = f", {rows.n_unread_receipts:,} receipts" if rows.n_unread_receipts else ""
        why = "does not keep the rules" if self._has_decoder else "is not here"
        self.report.not_checked = (
            f"the values of {rows.n_unread:,} rows{receipts} and the content id: codec rans, and decoder "
            f"{rows.decoder_id.hex()} {why}"
        )

    def _package(self, event: TrailerRead) -> None:
        package = self._model.trailer(event)
        if self._check_golden is not None:
            self._check_golden(package)


def _problem(error: FormatError | GoldenMismatch) -> Problem:
    """The problem for an error.  A failed golden set is one of the whole file, at byte 0."""
    if isinstance(error, FormatError):
        return Problem(error.code, error.rule, error.at, error.what)
    return Problem(error.code, "M6-2", 0, str(error))


def _kind(data: bytes) -> str:
    """The kind that the header of a container names; "" if it cannot be read."""
    try:
        events = Parser().feed(data[: PREAMBLE_BYTES + HEADER_BYTES])
    except FormatError:
        return ""
    return next((event.header.kind for event in events if isinstance(event, HeaderRead)), "")
