"""Validation with the decoders of this machine.

Owns the functions that the validator calls to check receipts and to decode coded rows.  The validator owns the rules.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from aeformat.backends.golden_check import check
from aeformat.backends.numpy_backend import NumpyBackend
from aeformat.backends.numpy_passes import prior_of
from aeformat.errors import DecoderMissing
from aeformat.model import store
from aeformat.model.match import check_decoder
from aeformat.model.work import call_work, row_work
from aeformat.paths import checked_path
from aeformat.pipeline.models import as_model
from aeformat.pipeline.sized import sized_digest, sized_work
from aeformat.pipeline.unpack import run_digest
from aeformat.receipt_proofs import ReceiptCheck
from aeformat.remote import open_forward
from aeformat.report import Report
from aeformat.validator import validate as validate_stream

if TYPE_CHECKING:
    from aeformat.container.decoder_prior import DecoderPrior
    from aeformat.container.header import LatentsHeader
    from aeformat.model.package import ModelPackage
    from aeformat.pipeline.models import AnyModel


def decoder_here(model_id: bytes) -> ModelPackage | None:
    """This machine's decoder with that model id; None where it is not here.  Raises DecoderMismatch (an encoder)."""
    try:
        return store.find_decoder(model_id)
    except DecoderMissing:
        return None


class Decoders:
    """The functions that the validator calls for a decoder.

    find: model id -> the decoder, or None where it is not at hand.  n_asked: how often it was asked.
    """

    def __init__(self, find: Callable[[bytes], ModelPackage | None] = decoder_here) -> None:
        self._find = find
        self.n_asked = 0

    def _found(self, header: LatentsHeader) -> ModelPackage | None:
        self.n_asked += 1
        return self._find(header.decoder)

    def prior(self, header: LatentsHeader) -> DecoderPrior | None:
        """The prior that decodes the rows of a file with codec rans; None if the decoder is not found."""
        decoder = self._found(header)
        return None if decoder is None else prior_of(decoder)

    def receipt_check(self, header: LatentsHeader, embedded: ModelPackage | None) -> ReceiptCheck | None:
        """What checks a file's receipts, with its embedded decoder or one of this machine; None where there is none."""
        decoder = embedded
        if decoder is None:
            decoder = self._found(header)
            if decoder is None:
                return None
            check_decoder(header, decoder)
        return receipts_by(decoder)


def receipts_by(decoder: ModelPackage) -> ReceiptCheck:
    """What proves receipts with a decoder that fits the file."""
    network, manifest = NumpyBackend().load(decoder), decoder.manifest
    if manifest.scale is not None:
        return ReceiptCheck(
            lambda run: sized_digest(run, network), 0, call_work(manifest), lambda run: sized_work(run, manifest)
        )
    return ReceiptCheck(lambda run: run_digest(run, network), row_work(manifest), call_work(manifest))


def validate(path: str | os.PathLike[str], decoder: AnyModel | None = None) -> Report:
    """Check a file, of latents or a model package, against the spec: every problem, not the first.

    decoder: a Model, or what load_model takes, for rows of codec rans and for receipts; by default the one inside the file,
    else this machine's.  The report's `problems` is empty for a good file; `not_checked` says what could not be checked.

    Raises OSError; UsageError, DecoderMismatch for a decoder that is another.  Source: spec/README.md (validator).
    """
    here = Decoders()
    if decoder is not None:
        package = as_model(decoder).the_decoder
        here = Decoders(lambda model_id: package)
    name = checked_path(path)
    with open_forward(name) as file:
        return validate_stream(
            file,
            check_golden=check,
            find_receipt_check=here.receipt_check,
            find_prior=here.prior,
            name=name,
            prior_of=prior_of,
        )
