"""What is fuzzed: each target takes any bytes, and lets nothing escape but what is documented.

Owns the oracles.  An error that is not documented, and a `Disagreement` between two ways to the same answer, are bugs.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import tempfile
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

import numpy as np

from aeformat.backends.numpy_backend import NumpyBackend, NumpyNetwork
from aeformat.backends.numpy_passes import prior_of
from aeformat.cli.validate import exit_code_of
from aeformat.container import canonical, rans_passes
from aeformat.container.columns import RowFields, parse_fields
from aeformat.container.field_types import BadFields
from aeformat.container.header import LatentsHeader, parse_header
from aeformat.container.limits import Limits
from aeformat.container.names import BadNames, RowNames, parse_names
from aeformat.container.parser import ChunkRead, HeaderRead, Parser
from aeformat.container.passes import PassesPrior
from aeformat.container.ragged import RaggedRows
from aeformat.container.receipts import Receipts
from aeformat.container.sizes import RowForm, RowSizes
from aeformat.errors import DecoderMismatch, DecoderMissing, FormatError, GoldenMismatch, UsageError
from aeformat.model.file_io import package_bytes, read_heading, read_package
from aeformat.model.golden import check_golden
from aeformat.model.identity import read_model_id
from aeformat.model.manifest import Manifest
from aeformat.model.match import check_decoder, check_receipted
from aeformat.model.package import ModelPackage
from aeformat.model.reference import golden_output
from aeformat.model.values import EXACT
from aeformat.pipeline.checking import receipts_by
from aeformat.reader import Latents, LatentStream, stream_latents
from aeformat.receipt_proofs import ReceiptCheck
from aeformat.report import Report
from aeformat.sets.manifest import manifest_file, parse_manifest
from aeformat.validator import validate
from tools.fuzz.mutator import Mutator

LIMITS: Final = Limits(chunk_bytes=1 << 16)  # so that a run stays quick; tests/hostile is about memory
_MAX_WORK: Final = 1 << 16
_MOST_SUMS: Final = 1 << 20
_ROOT: Final = Path(__file__).resolve().parents[2]

# Rules that a reader which seeks need not find broken: they are about what it has passed over (C8-1, C9-6).
_PASSED_OVER: Final = frozenset({"C4-9", "C4-11", "C4-6", "C4-7", "C7-4", "C8-1", "C9-3", "C9-5", "C9-6"})

# What only those see who compute images: the second decoder does where it has the decoder, a reader of rows does not.
_OF_PIXELS: Final = frozenset({"C7-5", "C7-6", "M3-12", "M4-7"})


# Rows of codec rans without their decoder: no broken rule, but where reading ends.
_UNREAD: Final = ("decoder-missing", "", 0)


class Disagreement(AssertionError):
    """Two ways to read the same bytes gave different answers."""


def agree(left: object, right: object, what: str) -> None:
    """Raise Disagreement if they differ."""
    if left != right:
        raise Disagreement(f"{what}: {left!r:.300} and {right!r:.300}")


@dataclass(frozen=True)
class Outcome:
    """What reading came to.  error: (code, rule, at) of what ended it, None if nothing did.

    blocks: (first_row, dtype, shape, bytes, names, receipts, fields) each.
    """

    error: tuple[str, str, int] | None
    header: object = None
    blocks: tuple[tuple[object, ...], ...] = ()
    decoder: bytes | None = None
    trailer: object = None


class _Pieces:
    """A stream that hands out the pieces it was given, one a call."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter([piece for piece in pieces if piece])

    def read(self, _n_bytes: int = -1) -> bytes:
        return next(self._pieces, b"")


def _stream(pieces: Iterable[bytes]) -> BinaryIO:
    return cast("BinaryIO", _Pieces(pieces))  # more than read() no reader of streams may ask for


def _place(error: FormatError) -> tuple[str, str, int]:
    return error.code, error.rule, error.at


def _in_pieces(data: bytes) -> list[list[bytes]]:
    """The ways in which a file is handed over."""
    middle = len(data) and hashlib.sha256(data).digest()[0] * len(data) // 256
    return [[data], [data[:middle], data[middle:]], [data[at : at + 61] for at in range(0, len(data), 61)]]


def _block(
    first_row: int, values: Any, names: RowNames | None, receipts: Receipts | None, fields: RowFields | None
) -> tuple[object, ...]:
    return first_row, values.dtype.str, _shape(values), values.tobytes(), names, receipts, fields


def _shape(values: Any) -> tuple[object, ...]:
    """How many rows, and their sizes."""
    return (len(values), *values.sizes.runs()) if isinstance(values, RaggedRows) else values.shape


def forward(pieces: Iterable[bytes], *, recover: bool = False, decoder_first: bool = False) -> Outcome:
    """Read latents forward.  Raises UsageError for a model package."""
    blocks: list[tuple[object, ...]] = []
    stream: LatentStream | None = None
    decoder = None
    try:
        stream = stream_latents(_stream(pieces), recover=recover, limits=LIMITS)
        if decoder_first:
            decoder = stream.embedded_decoder
        for block in stream:
            blocks.append(_block(*block[:4], block.fields))
        decoder = stream.embedded_decoder
    except FormatError as error:
        return Outcome(_place(error), stream and stream.header, tuple(blocks), decoder)
    except DecoderMissing:
        return Outcome(_UNREAD, stream and stream.header, tuple(blocks), decoder)
    damage = None if stream.damage is None else _place(stream.damage)
    return Outcome(damage, stream.header, tuple(blocks), decoder, stream.trailer)


def reader(data: bytes) -> str:
    """Forward, in pieces, recovering, and by seeking: all see the same rows."""
    whole = forward([data])
    for pieces in _in_pieces(data)[1:]:
        agree(forward(pieces), whole, "read whole, and in pieces")
    first = forward([data], decoder_first=True)
    agree((first.error, first.blocks), (whole.error, whole.blocks), "the decoder asked for first, and not")
    if whole.header is not None:
        kept = forward([data], recover=True)
        agree((kept.error, kept.blocks), (whole.error, whole.blocks), "with and without recover")
    _seek(data, whole)
    return _name(whole.error)


def _seek(data: bytes, whole: Outcome) -> None:
    path = _scratch_file()
    path.write_bytes(data)
    try:
        with Latents(path, limits=LIMITS) as latents:
            for first_row, *block in whole.blocks:
                agree(_rows(latents, int(str(first_row)), len(_array(block))), block, "a block by seeking, and forward")
            n_rows = _walk(latents)
            decoder = latents.embedded_decoder
            header, trailer = latents.header, latents.trailer
    except DecoderMissing:
        if whole.error is None:
            raise Disagreement("a decoder is missing by seeking, and forward it is not") from None
        return
    except FormatError as error:
        if whole.error is None:
            raise Disagreement(f"read forward without an error, by seeking not: {error}") from error
        return
    if whole.error is None:
        agree((header, trailer), (whole.header, whole.trailer), "header and trailer by seeking, and forward")
        agree(n_rows, sum(len(_array(block)) for _, *block in whole.blocks), "rows by seeking, and forward")
        agree(decoder, whole.decoder, "the decoder by seeking, and forward")
    elif trailer is not None and trailer.index_at and n_rows == sum(len(_array(block)) for _, *block in whole.blocks):
        pass  # what is wrong stands behind the last rows, where nobody who seeks by the index comes
    elif whole.error[1] not in _PASSED_OVER:
        raise Disagreement(f"read by seeking without an error, forward not: {whole.error}")


def _array(block: list[Any]) -> range:
    """The rows of a block, as far as their number goes."""
    return range(block[1][0])


def _rows(latents: Latents, first_row: int, n_rows: int) -> list[object]:
    """What `_block` says of the same rows."""
    values = latents.rows(first_row, first_row + n_rows)
    names = [latents.names(row) for row in range(first_row, first_row + n_rows)]
    agree(latents[first_row].tobytes(), values[0].tobytes(), "one row, and several")
    known = [name for name in names if name is not None]
    blocks = list(latents.blocks(first_row, first_row + n_rows))
    agree(len(blocks), 1, "blocks by seeking, and forward")
    fields, whole = latents.fields, blocks[0].fields
    agree(dict(latents.field_types), {} if whole is None else dict(whole.types), "fields, and those of a block")
    for name in () if whole is None else whole.types:
        of_rows = fields[name][first_row : first_row + n_rows]
        agree(_plain(of_rows), _plain(whole[name]) if whole else None, "a field alone, and of a block")
    return list(_block(0, values, RowNames.join(known) if known else None, blocks[0].receipts, whole)[1:])


def _plain(field: Any) -> object:
    """One field's values; numbers by their bytes, because NaN is not equal to itself."""
    return field if isinstance(field, list) else field.tobytes()


def _walk(latents: Latents) -> int:
    """Read every row and count them."""
    values = latents.rows(0, latents.n_rows)
    for row in {0, latents.n_rows // 2, latents.n_rows - 1}:
        latents.names(row)
    if latents.header.codec == "none" and not latents.header.encoding_spec.is_text:
        stored = b"".join(chunk.tobytes() for chunk in latents.stored_chunks())
        if latents.header.values == latents.header.encoding_spec.own != "bf16":
            flat = values.flat if isinstance(values, RaggedRows) else values
            agree(stored, flat.astype(flat.dtype.newbyteorder("<"), copy=False).tobytes(), "stored_chunks, and rows")
    agree(latents.sizes(), _sizes(latents, values), "sizes alone, and of the rows")
    return len(values)


def _sizes(latents: Latents, values: Any) -> RowSizes | None:
    return values.sizes if isinstance(values, RaggedRows) else latents.header.sizes_of(len(values))


def validator(data: bytes) -> str:
    """Any bytes give a report, whatever pieces they come in; it is empty for what readers take, and names what they refuse."""
    reports = [validate(_stream(pieces), limits=LIMITS) for pieces in _in_pieces(data)]
    for report in reports[1:]:
        agree(_problems(report), _problems(reports[0]), "validated whole, and in pieces")
    report = reports[0]
    json.dumps(report.as_dict())
    agree(bool(report.problems), exit_code_of(report) != 0, "problems, and the exit code")
    error = _first_error(data)
    if error == _UNREAD or _carries_a_broken_coder(data):
        return _name(error)  # it may go on to find more
    if error is None:
        agree(_problems(report), [], "what a reader takes, and the validator's problems")
    elif not report.problems:
        raise Disagreement(f"the validator finds nothing, a reader {error}")
    elif error not in [(p.code, p.rule, p.at) for p in report.problems] and not report.is_cut_short:
        raise Disagreement(f"the validator does not report {error}, but {_problems(report)}")
    return _name(error)


def _problems(report: Report) -> list[tuple[str, str, int, str]]:
    return [(p.code, p.rule, p.at, p.inside) for p in report.problems]


def _first_error(data: bytes) -> tuple[str, str, int] | None:
    """What a reader that uses everything in the file trips over."""
    try:
        whole = forward([data])
    except UsageError:
        try:
            read_package(data, limits=LIMITS)
        except FormatError as error:
            return _place(error)
        return None
    if whole.error is not None or whole.decoder is None:
        return whole.error
    assert isinstance(whole.header, LatentsHeader)
    at = data.index(whole.decoder)
    try:
        decoder = read_package(whole.decoder, limits=LIMITS)
        check_decoder(whole.header, decoder)
        receipts = whole.blocks[0][-1]
        if isinstance(receipts, Receipts):
            check_receipted(receipts, decoder)
    except UsageError:  # it holds latents
        return "structure", "C7-4", at
    except DecoderMismatch:
        return "structure", "C7-4", at
    except FormatError as error:
        return _place(error)
    return None


def _fields(body: bytes, n_rows: int) -> str:
    try:
        fields = parse_fields(body, n_rows)
    except BadFields as error:
        return error.rule
    agree(fields.to_bytes(), body, "fields, and what they encode to")
    agree(RowFields.join([fields.slice(0, 1), fields.slice(1, n_rows)]), fields, "fields, and their parts joined")
    return "fields"


def maps(data: bytes) -> str:
    """Canonical msgpack, headers, manifests, row names, fields: what parses encodes to the same bytes again."""
    body = data[1:]
    outcomes = []
    for depth in (4, 6):
        try:
            tree = canonical.unpack(body, max_depth=depth)
        except canonical.NotCanonical as error:
            outcomes.append(error.rule)
        else:
            agree(canonical.pack(tree), body, "a map, and what it encodes to")
            outcomes.append("map")
    for flags in (0, 1, 2, 3, 16, 17, 18, 19):
        try:
            header = parse_header(body, 24, flags)
        except FormatError as error:
            outcomes.append(error.rule)
        else:
            agree(header.flags, flags, "the flags of a header, and those it was read with")
            if b"\xa3ext\x80" not in body:  # an empty `ext` is allowed, and not written again
                agree(header.to_bytes(), body, "a header, and what it encodes to")
            outcomes.append("header")
    try:
        manifest = Manifest.parse(body, 24)
    except FormatError as error:
        outcomes.append(error.rule)
    else:
        agree(manifest.to_bytes(), body, "a manifest, and what it encodes to")
        outcomes.append("manifest")
    for n_rows in {data[0] if data else 0, 2}:
        try:
            names = parse_names(body, n_rows)
        except BadNames as error:
            outcomes.append(error.rule)
        else:
            agree(names.to_bytes(), body, "row names, and what they encode to")
            outcomes.append("names")
        outcomes.append(_fields(body, max(n_rows, 1)))
    try:
        in_set = parse_manifest(manifest_file(body))
    except FormatError as error:
        outcomes.append(error.rule)
    else:
        if b"\xa3ext\x80" not in body:
            agree(in_set.to_bytes(), manifest_file(body), "the manifest of a set, and what it encodes to")
        outcomes.append("set")
    return " ".join(outcomes)


def package(data: bytes) -> str:
    """Model packages: what is read names itself, can be written again, and computes within its bounds."""
    try:
        read = read_package(data, limits=LIMITS, max_work=_MAX_WORK)
    except FormatError as error:
        for part in (read_heading, read_model_id) if error.rule != "C4-4" else ():  # they take no limits
            try:
                part(data)
            except FormatError as other:
                agree(_place(other), _place(error), "an error in the heading, and in the package")
        return _name(_place(error))
    agree(read.model_id, hashlib.sha256(read.manifest_bytes).digest(), "the model id, and the manifest's hash")
    heading = read_heading(data)
    agree((heading.model_id, heading.manifest, heading.name), (read.model_id, read.manifest, read.name), "the heading")
    agree(read_model_id(data), read.model_id, "the model id in the header")
    agree(read.manifest.to_bytes(), read.manifest_bytes, "a manifest, and what it encodes to")
    for codec in ("none", "zstd"):
        again = read_package(package_bytes(read, codec=codec, level=1))
        agree([t.tobytes() for t in again.tensors], [t.tobytes() for t in read.tensors], "tensors, written again")
    if read.manifest.n_multiply_adds + read.manifest.n_made <= _MAX_WORK:
        if read.has_free_sizes:
            _run_sizes(read)
            _run_passes(read)
        else:
            _run(read)
    return "good"


def _run(read: ModelPackage) -> None:
    """The network's numbers lie in their intervals, at the ends of the input's range and on the golden input."""
    interval = read.input.interval
    inputs = [read.golden_input]
    if interval is not None:
        ends = np.array([interval.lo, interval.hi], read.golden_input.dtype)
        inputs += [np.full((1, *read.input.shape), end, ends.dtype) for end in ends]
        inputs.append(np.resize(ends, (1, *read.input.shape)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # float networks may overflow
        network = NumpyBackend().load(read)
        for rows in inputs:
            made = network.run(rows)
            agree(
                (made.dtype, made.shape),
                (read.golden_output.dtype, (len(rows), *read.output.shape)),
                "the output's shape",
            )
            if read.plan[-1].interval is not None:
                low, high = int(made.min()), int(made.max())
                agree(low >= read.plan[-1].interval.lo and high <= read.plan[-1].interval.hi, True, "the interval")


def _run_sizes(read: ModelPackage) -> None:
    """Small images, tile by tile, have the numbers of the plain evaluation of the whole, and lie in their interval."""
    info, shape = read.input.interval, read.input.shape
    if info is None or read.profile != EXACT:
        return
    for seed, size in enumerate(((1, 1), (1, 3), (2, 2))):
        rows = np.random.default_rng(seed).integers(info.lo, info.hi + 1, (1, *size, shape[2]))
        rows = rows.astype(read.golden_input.dtype)
        whole = golden_output(read, rows)
        made = NumpyNetwork(read, tile=(2, 3), n_threads=1).run(rows)
        agree(
            (made.dtype, made.shape, made.tobytes()),
            (whole.dtype, whole.shape, whole.tobytes()),
            "tiles, and the whole",
        )
        allowed = read.plan[-1].interval
        if allowed is not None:
            agree(int(made.min()) >= allowed.lo and int(made.max()) <= allowed.hi, True, "the interval")


def _run_passes(read: ModelPackage) -> None:
    """Latents from end to end of the range come back from their code."""
    prior = prior_of(read).prior
    if not isinstance(prior, PassesPrior) or prior.network.cost(3, 2).sums > _MOST_SUMS:
        return
    form = RowForm(read.input.shape, (0, 0, 1))
    sizes = RowSizes.of(form, [(1, 1, 1, 1), (3, 2, 1, 1)])
    rows = np.random.default_rng(0).integers(prior.lo, prior.hi + 1, sizes.n_values).astype(read.golden_input.dtype)
    code = rans_passes.encode_passes(rows, sizes, prior)
    agree(
        code is None or bytes(rans_passes.decode_passes(code, prior, sizes)), code is None or rows.tobytes(), "a code"
    )


def second(data: bytes) -> str:
    """The package and the second decoder (tools/second) break off at the same rule and byte."""
    from tools.second.container import read_latents, read_preamble
    from tools.second.decoder import _check_decoder
    from tools.second.errors import SpecError
    from tools.second.model import read_package as read_second

    try:
        file = read_preamble(data)
        if file.header["kind"] == "model":
            read_second(file)
        else:
            read_latents(file, _check_decoder if file.header["codec"] == "rans" else None)
        theirs = None
    except LookupError:
        theirs = _UNREAD
    except SpecError as error:
        theirs = (error.code, error.rule, error.at)
    except RecursionError:
        return "too deep for the second decoder"
    mine = _first_problem(data) if theirs is not None and theirs[1] in _OF_PIXELS else _reader_error(data)
    if _carries_a_broken_coder(data):
        return _name(mine)
    if mine is not None and mine[:2] == ("limit", "C4-4"):  # LIMITS are ours, not the spec's
        return _name(mine)
    if mine == _UNREAD and theirs != _UNREAD:  # the second decoder computes passes
        mine = _first_problem(data)
        if mine is not None and mine[1] == "C13-1":
            return _name(mine)
    agree(mine, theirs, "this package, and the second decoder")
    return _name(mine)


def _first_problem(data: bytes) -> tuple[str, str, int] | None:
    """What a validator that computes the images trips over first."""
    problems = validate(io.BytesIO(data), find_receipt_check=_receipt_check, limits=LIMITS, prior_of=prior_of).problems
    return (problems[0].code, problems[0].rule, problems[0].at) if problems else None


def _receipt_check(_header: LatentsHeader, decoder: ModelPackage | None) -> ReceiptCheck | None:
    return None if decoder is None else receipts_by(decoder)


def _carries_a_broken_coder(data: bytes) -> bool:
    """A file of codec rans whose embedded decoder breaks a rule: a reader need not see it all (container.md, section 6.1)."""
    is_coded = False
    with contextlib.suppress(FormatError):
        for event in Parser(LIMITS).each(data):
            if isinstance(event, HeaderRead):
                is_coded = event.header.codec == "rans"
            elif isinstance(event, ChunkRead) and event.header.tag == b"dECo" and is_coded:
                return _is_broken(event.stored)
    return False


def _is_broken(package: bytes) -> bool:
    try:
        read = read_package(package, limits=LIMITS, max_work=_MAX_WORK)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # float networks may overflow
            check_golden(read, NumpyBackend().load(read))
    except UsageError:
        return False  # latents instead of a decoder: everybody sees that
    except (FormatError, GoldenMismatch):
        return True
    return False


def _reader_error(data: bytes) -> tuple[str, str, int] | None:
    try:
        return forward([data]).error
    except UsageError:
        try:
            read_package(data, limits=LIMITS)
        except FormatError as error:
            return _place(error)
        return None


def _name(error: tuple[str, str, int] | None) -> str:
    return "good" if error is None else f"{error[0]} {error[1]}"


_folder: tempfile.TemporaryDirectory[str] | None = None


def _scratch_file() -> Path:
    global _folder  # noqa: PLW0603  # one for the process: the files are many and small
    if _folder is None:
        memory = Path("/dev/shm")
        _folder = tempfile.TemporaryDirectory(prefix="aeformat-fuzz-", dir=memory if memory.is_dir() else None)
    return Path(_folder.name) / "input.aef"


@dataclass(frozen=True)
class Target:
    """One thing to fuzz.  run: returns a word for what became of the input.  documented: what it may raise."""

    name: str
    run: Callable[[bytes], str]
    documented: tuple[type[Exception], ...]
    takes_maps: bool = False

    def mutate(self, mutator: Mutator) -> Callable[[bytes, int], bytes]:
        """Its way to the next input."""
        return mutator.map if self.takes_maps else mutator.container

    def __call__(self, data: bytes) -> str:
        """Run one input.  What it raises is a bug."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")  # NumPy only warns where a number does not fit
                return self.run(data)
        except self.documented as error:
            return f"{type(error).__name__}"


TARGETS: Final = {
    target.name: target
    for target in (
        Target("reader", reader, (UsageError,)),  # FormatError is caught where it ends a file, and compared
        Target("validator", validator, ()),
        Target("maps", maps, (), takes_maps=True),
        Target("package", package, (UsageError,)),
        Target("second", second, ()),
    )
}
