"""The validator: all problems of a file, not only the first (spec/README.md, conformance class validator).

Owns the list of problems, what can be checked after one, and what a file may cost (C13-1).  Reads forward in bounded memory;
never loads TensorFlow.  The golden set and receipts take a running network: the caller passes functions for that, or None to
skip these checks.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, BinaryIO, Final

from aeformat.container import assigned, payloads
from aeformat.container.header import Header, LatentsHeader
from aeformat.container.limits import DEFAULT, HEADER_BYTES, Limits
from aeformat.container.parser import ChunkRead, Event, HeaderRead, Parser, TrailerRead
from aeformat.container.passes import UNITS_A_STEP
from aeformat.container.receipts import DIGEST_BYTES, Receipts
from aeformat.container.wire import PREAMBLE_BYTES
from aeformat.container.work import WorkBudget, work_of
from aeformat.errors import DecoderMismatch, FormatError, GoldenMismatch, StructureInvalid
from aeformat.receipt_proofs import ReceiptCheck, ReceiptProofs
from aeformat.report import Problem, Report

if TYPE_CHECKING:
    from aeformat.container.decoder_prior import DecoderPrior
    from aeformat.model.file_io import PackageReader
    from aeformat.model.package import ModelPackage

_READ_BYTES: Final = 1 << 18
_MOST_PROBLEMS: Final = 1_000  # a file can be made to have one in every byte
_INSIDE: Final = "dECo"


GoldenCheck = Callable[["ModelPackage"], None]
FindPrior = Callable[[LatentsHeader], "DecoderPrior | None"]
PriorOf = Callable[["ModelPackage"], "DecoderPrior"]
FindReceiptCheck = Callable[[LatentsHeader, "ModelPackage | None"], ReceiptCheck | None]


def validate(
    file: BinaryIO,
    *,
    name: str = "",
    check_golden: GoldenCheck | None = None,
    find_receipt_check: FindReceiptCheck | None = None,
    find_prior: FindPrior | None = None,
    prior_of: PriorOf | None = None,
    limits: Limits = DEFAULT,
    report: Report | None = None,
) -> Report:
    """Read a file to its end, or to where it cannot be read further, and report every broken rule.

    check_golden: runs a package's golden set and raises GoldenMismatch; None leaves rule M6-2 unchecked.
    find_receipt_check: (header, embedded decoder or None) -> what makes the digests of receipts (C7-6); None if it finds no
    decoder.
    find_prior: header -> the prior for rows of codec rans; None if it is not found: then their values and the content id stay
    unchecked.
    prior_of: what makes the prior of an embedded decoder whose passes are to be computed; None leaves such rows unchecked.
    limits: work and memory_bytes bound what the file can cost (C13-1); receipts that would cost more are left unchecked.
    report: one to fill, for who wants what was found out before an error; its name stays.
    Raises OSError, and what these functions raise.
    """
    report = Report(name) if report is None else report
    return _validate(file, _Run(report, check_golden, find_receipt_check, find_prior, prior_of, limits), limits)


def _validate(file: BinaryIO, run: _Run, limits: Limits) -> Report:
    parser = Parser(limits, on_problem=run.problem)
    try:
        try:
            while data := file.read(_READ_BYTES):
                run.report.n_bytes += len(data)
                for event in parser.each(data):
                    run.event(event)
            parser.close()
        except FormatError as error:
            run.note(error)
        run.end()
    except _TooMany:
        run.report.is_cut_short = True
    run.say_what_was_not_checked()
    return run.report


class _TooMany(Exception):
    pass


class _Run:
    """The validation of one file."""

    def __init__(
        self,
        report: Report,
        check_golden: GoldenCheck | None,
        find_receipt_check: FindReceiptCheck | None,
        find_prior: FindPrior | None,
        prior_of: PriorOf | None,
        limits: Limits,
    ) -> None:
        self.report = report
        self.package: ModelPackage | None = None  # of a good model package, at its end
        self._check_golden, self._find_receipt_check, self._limits = check_golden, find_receipt_check, limits
        self._find_prior, self._prior_of = find_prior, prior_of
        self._decoder: ModelPackage | None = None  # the embedded one, if it is good
        self._has_decoder = False
        self._budget, self._decoder_bytes = WorkBudget(limits), 0
        self._receipts: ReceiptProofs | None = None
        self._header: Header | None = None
        self._rows: payloads.RowReader | None = None
        self._model: PackageReader | None = None
        self._tensor_bytes = 0
        self._is_whole = True  # every chunk so far could be read, so that the content id can be checked
        self._is_ended = False  # by a trailer that fits
        self._is_over = False  # a limit was exceeded: nothing more is computed
        self._is_golden_left = False  # by a limit: all that comes before it was checked
        self._is_decoder_left = False  # the embedded one was not checked to its end

    def problem(self, error: FormatError | GoldenMismatch) -> None:
        """Add a problem after which the content id cannot be checked."""
        self._is_whole = False
        self.note(error)

    def note(self, error: FormatError | GoldenMismatch) -> None:
        """Note a problem that leaves the content what it is."""
        self._add(_problem(error))

    def _add(self, problem: Problem) -> None:
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
                self._latents_chunk(self._rows, chunk)
            elif self._model is not None and self._is_whole:
                self._model_chunk(self._model, chunk)
        except FormatError as error:
            self._is_over |= error.rule == "C13-1"
            self.problem(error)
        if chunk.header.tag == assigned.DECODER:
            self._embedded(chunk)

    def _charge(self, chunk: ChunkRead) -> None:
        """C13-1, before the payload is looked into."""
        assert self._header is not None
        end = chunk.payload_at + chunk.header.stored_bytes
        what = f"chunk {chunk.number}"
        self._budget.charge(
            work_of(chunk, self._header), n_bytes=end - self._decoder_bytes, at=chunk.payload_at, what=what
        )

    def _charge_passes(self, rows: payloads.RowReader, chunk: ChunkRead) -> None:
        """The same of passes, whose work is known once the decoder is at hand."""
        end = chunk.payload_at + chunk.header.stored_bytes
        units, n_bytes = UNITS_A_STEP * rows.n_steps(chunk), end - self._decoder_bytes
        self._budget.charge(units, n_bytes=n_bytes, at=chunk.payload_at, what=f"chunk {chunk.number}")

    def _latents_chunk(self, rows: payloads.RowReader, chunk: ChunkRead) -> None:
        if self._is_over:
            return
        self._charge(chunk)
        if chunk.header.tag == assigned.ROWS and rows.needs_prior:
            self._look_for_prior(rows)
        if chunk.header.tag == assigned.ROWS:
            self._charge_passes(rows, chunk)
        block = rows.check(chunk)
        if block is not None and block.receipts is not None:
            self._prove(block, block.receipts, chunk)

    def _model_chunk(self, model: PackageReader, chunk: ChunkRead) -> None:
        from aeformat.model import work
        from aeformat.model.memory import TENSOR_BYTES

        self._charge(chunk)
        if chunk.header.tag == assigned.TENSOR and model.expects(chunk):
            self._tensor_bytes += chunk.header.raw_bytes
            end = chunk.payload_at + chunk.header.stored_bytes
            n_bytes = TENSOR_BYTES * self._tensor_bytes
            work.check_memory(n_bytes, self._limits, file_bytes=end, at=chunk.payload_at, what=f"chunk {chunk.number}")
        model.chunk(chunk)

    def _look_for_prior(self, rows: payloads.RowReader) -> None:
        """Take the prior from the embedded decoder if that is good, else ask the caller; once for each file."""
        from aeformat.model.match import prior_of

        assert isinstance(self._header, LatentsHeader)
        find, self._find_prior = self._find_prior, None
        if self._decoder is not None:
            rows.give_prior((self._prior_of or prior_of)(self._decoder))
        elif find is not None and not self._has_decoder:
            found = find(self._header)
            if found is not None:
                rows.give_prior(found)

    def _prove(self, block: payloads.Block, receipts: Receipts, chunk: ChunkRead) -> None:
        """M4-7, C7-5, C7-6.  The rows are what they are all the same."""
        if receipts.first_row != block.first_row:
            return  # of rows that could not be read
        self.report.n_receipts += len(receipts.digests) // DIGEST_BYTES
        try:
            if self._receipts is None:
                self._receipts = ReceiptProofs(None, self._limits)
                self._look_for_receipt_check(self._receipts, receipts)
                if self._is_decoder_left and self._receipts.by is None:
                    self._receipts.why = "their decoder goes over a limit"
            end = chunk.payload_at + chunk.header.stored_bytes
            for error in self._receipts.check(block, receipts, n_bytes=end - self._decoder_bytes):
                self.note(error)
        except FormatError as error:
            self.note(error)
        self.report.n_proved = self._receipts.n_proved if self._receipts is not None else 0

    def _look_for_receipt_check(self, checks: ReceiptProofs, receipts: Receipts) -> None:
        from aeformat.model.match import check_receipted

        if self._decoder is not None:
            check_receipted(receipts, self._decoder)  # C7-5: it concerns all of them, and is said once
        if self._find_receipt_check is not None:
            assert isinstance(self._header, LatentsHeader)
            checks.by = self._find_receipt_check(self._header, self._decoder)

    def _embedded(self, chunk: ChunkRead) -> None:
        """C7-4, C3-14, C3-16: the embedded decoder is a good package, and the right one."""
        self._has_decoder = True
        self._decoder_bytes = chunk.header.stored_bytes
        if _kind(chunk.stored) == "latents":  # not looked into: it could hold another, and that another
            self.note(StructureInvalid("C7-4", chunk.payload_at, "the embedded container holds latents, not a decoder"))
            return
        inner = _Run(Report(""), self._check_golden, None, None, None, self._limits)
        report = _validate(io.BytesIO(chunk.stored), inner, self._limits)
        for problem in report.problems:
            self._add(replace(problem, inside=_INSIDE, inside_at=chunk.payload_at))
        self._is_decoder_left = inner.is_left
        if not report.problems:
            self._take_decoder(inner.package, chunk)

    def _take_decoder(self, decoder: ModelPackage | None, chunk: ChunkRead) -> None:
        from aeformat.model.match import check_decoder

        assert isinstance(self._header, LatentsHeader)
        if decoder is None or decoder.model_id != self._header.decoder:
            what = "the embedded container is not the decoder of this file"
            self.note(StructureInvalid("C7-4", chunk.payload_at, what))
            return
        try:
            check_decoder(self._header, decoder)
            self._decoder = decoder
        except FormatError as error:
            self.note(error)
        except DecoderMismatch:
            self.note(StructureInvalid("C7-4", chunk.payload_at, "the embedded package is no decoder"))

    def _trailer(self, event: TrailerRead) -> None:
        self.report.content_id = event.trailer.content_id
        if not self._is_whole:
            return
        try:
            if self._rows is not None:
                self._rows.trailer(event)
            elif self._model is not None:
                self._model.end(event)
            self._is_ended = True
        except FormatError as error:
            self.problem(error)

    def end(self) -> None:
        """What takes the whole of a package: section 4 of model.md, and the golden set."""
        if self._model is None or not (self._is_whole and self._is_ended):
            return
        try:
            self._charge_golden(self._model)
            package = self._model.package()
            if self._check_golden is not None:
                self._check_golden(package)
            self.package = package
        except (FormatError, GoldenMismatch) as error:
            self._is_golden_left |= isinstance(error, FormatError) and error.rule == "C13-1"
            self.problem(error)

    def _charge_golden(self, model: PackageReader) -> None:
        """C13-1, before anything is proved or computed."""
        from aeformat.model import memory as space
        from aeformat.model import work

        manifest, n_bytes = model.manifest, self.report.n_bytes
        assert manifest is not None
        self._budget.charge(work.golden_work(manifest), n_bytes=n_bytes, at=model.at, what="the golden set")
        memory = space.golden_bytes(manifest) + space.TENSOR_BYTES * self._tensor_bytes
        work.check_memory(memory, self._limits, file_bytes=n_bytes, at=model.at, what="the golden set")

    @property
    def is_left(self) -> bool:
        """Whether a limit kept something from being checked."""
        return self._is_over or self._is_golden_left

    def say_what_was_not_checked(self) -> None:
        """Rows that need a decoder which is not here; what a limit kept from being looked at; receipts."""
        left_out = []
        rows = self._rows
        if rows is not None and rows.n_unread:
            self.report.n_receipts += rows.n_unread_receipts
            receipts = f", {rows.n_unread_receipts:,} receipts" if rows.n_unread_receipts else ""
            why = "does not keep the rules" if self._has_decoder else "is not here"
            left_out.append(
                f"the values of {rows.n_unread:,} rows{receipts} and the content id: codec rans, and decoder "
                f"{rows.decoder_id.hex()} {why}"
            )
        if self._is_over:
            left_out.append("what lies behind the limit on work, and the content id")
        self.report.is_content_open = bool(left_out)
        if self._is_golden_left:
            left_out.append(
                "the proofs of the package and its golden set, which take more than the limit on work or memory"
            )
        if self._is_decoder_left:
            left_out.append("the embedded decoder beyond a limit on work or memory")
        self.report.unproved = self._receipts.why if self._receipts is not None else "their decoder is not here"
        if self._receipts is not None and self._receipts.n_unproved:
            left_out.append(f"{self._receipts.n_unproved:,} receipts: {self._receipts.why}")
        self.report.not_checked = "; ".join(left_out)


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
