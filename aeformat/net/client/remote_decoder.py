"""A decoder from a server that the user named (spec/transport.md, section 9).

Owns carrying out the steps of ModelResolver: this machine's models, the decision, the fetch, the checks, the cache.  The URL
of the server comes from the user, never from a file (T5-9).  What reads and runs a package is imported once there is one: it
loads NumPy, which takes longer than to learn that there is none.
"""

from __future__ import annotations

import contextlib
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from aeformat.errors import DecoderMissing, FormatError, GoldenMismatch, Hint
from aeformat.model import places
from aeformat.net.client.fetching import fetch
from aeformat.net.client.http_client import HttpClient
from aeformat.net.client.http_messages import ServerAddress
from aeformat.net.client.options import DEFAULTS, Notify, Options, ignore
from aeformat.transport.messages import Lost, Request
from aeformat.transport.policy import decide_transfer
from aeformat.transport.problems import TransferFailed, TransferUnfinished
from aeformat.transport.resolver import Event, ModelResolver, State

if TYPE_CHECKING:
    from aeformat.model.package import ModelPackage

MAX_WORK: Final = 1 << 36  # of one row, M7-1: the most that an unknown decoder may cost


@dataclass(frozen=True, slots=True)
class DecoderNeed:
    """The file that the decoder is for, from which the policy "auto" decides.

    n_rows, container_bytes: of that file.  image_bytes: of one image in the format that it would be sent in otherwise.
    """

    n_rows: int
    image_bytes: float
    container_bytes: int


def registry_decoder(
    url: str, model_id: bytes, options: Options = DEFAULTS, *, need: DecoderNeed | None = None, notify: Notify = ignore
) -> ModelPackage:
    """The decoder with this model id: one of this machine's, or fetched from the server, checked and put into the cache.

    A fetched decoder has reproduced its golden set here.  need: the file that the decoder is for; with policy "auto" the
    decoder is fetched only if that pays for this file, or if `need` is None.  Raises DecoderMissing, GoldenMismatch,
    FormatError, TransferFailed, UsageError.
    """
    return _DecoderSearch(url, model_id, options, need, notify).run()


class _DecoderSearch:
    """Does the steps of one ModelResolver.  Each method for a step returns its event, and the reason for people."""

    def __init__(self, url: str, model_id: bytes, options: Options, need: DecoderNeed | None, notify: Notify) -> None:
        self._address = ServerAddress.parse(url, token=options.token, ca_file=options.ca_file)
        self._id, self._options, self._need, self._notify = model_id, options, need, notify
        self._resolver = ModelResolver(model_id)
        self._size = 0
        self._cleanup = contextlib.ExitStack()  # removes the temporary folder, if one was made
        self._file: Path | None = None  # the fetched package, in that folder
        self._found: ModelPackage | None = None
        self._error: Exception | None = None
        self._hint: Hint | None = None

    def run(self) -> ModelPackage:
        """Do one step after the other, until the state is READY or REFUSED."""
        steps = {
            State.LOOKUP: self._lookup,
            State.ASK: self._ask,
            State.WEIGH: self._decide,
            State.FETCH: self._fetch,
            State.CHECK: self._check,
            State.PROVE: self._run_golden_set,
            State.INSTALL: self._install,
        }
        with self._cleanup:
            while not self._resolver.is_over:
                self._resolver.on(*steps[self._resolver.state]())
        if self._resolver.state is State.REFUSED:
            what = f"decoder {self._id.hex()}: {self._resolver.reason}"
            raise self._error or DecoderMissing(what, hint=self._hint)
        assert self._found is not None
        return self._found

    def _lookup(self) -> tuple[Event, str]:
        if next(places.files_of(self._id), None) is None:
            return Event.MISS, ""
        from aeformat.model import store

        try:
            self._found = store.find_decoder(self._id)  # which also removes a damaged one from the cache (T9-4)
        except DecoderMissing:
            return Event.MISS, ""
        return Event.HIT, ""

    def _ask(self) -> tuple[Event, str]:
        with HttpClient.to(self._address, self._options) as http:
            found = http.request(Request("HEAD", self._path))
        if isinstance(found, Lost):
            self._error = TransferUnfinished(f"no answer from the server: {found.reason}")
            return Event.MISS, found.reason
        if found.status == 404:
            self._hint = Hint.GIVE_DECODER
            return Event.MISS, f"neither this machine nor {self._address.url} has it"
        if found.status != 200:
            self._error = found.refusal("asking for the decoder")
            return Event.MISS, ""
        length = found.get("Content-Length") or ""
        if not length.isdigit():  # what it costs is not known, and fetching would be refused for the same reason
            self._error = TransferFailed("asking for the decoder: the server does not say its length")
            return Event.MISS, ""
        self._size = int(length)
        return Event.HIT, ""

    @property
    def _path(self) -> str:
        return f"v1/models/{self._id.hex()}"

    def _decide(self) -> tuple[Event, str]:
        need, policy = self._need, self._options.policy
        if need is None:
            return (Event.COSTS, "policy never") if policy == "never" else (Event.PAYS, "")
        decision = decide_transfer(
            policy,
            n_rows=need.n_rows,
            image_bytes=need.image_bytes,
            container_bytes=need.container_bytes,
            model_bytes=self._size,
        )
        self._notify(f"decoder {self._id.hex()[:12]} is at {self._address.url}: {decision.reason}")
        if decision.should_transfer:
            return Event.PAYS, ""
        self._hint = Hint.TRANSFER_ALWAYS
        return Event.COSTS, decision.reason

    def _fetch(self) -> tuple[Event, str]:
        folder = self._cleanup.enter_context(tempfile.TemporaryDirectory(prefix="aeformat-"))
        self._file = Path(folder) / "decoder.aef"
        try:
            fetch(self._address.url + self._path, self._file, self._options)
        except (TransferFailed, FormatError) as error:
            self._error = error
            return Event.BAD, str(error)
        return Event.DONE, ""

    def _check(self) -> tuple[Event, str]:
        from aeformat.model.file_io import read_package

        assert self._file is not None
        try:
            self._found = read_package(self._file, max_work=MAX_WORK)
        except FormatError as error:
            self._error = error
            return Event.BAD, str(error)
        if self._found.model_id != self._id or self._found.role != "decoder":
            return Event.BAD, "the server sent another model"
        return Event.GOOD, ""

    def _run_golden_set(self) -> tuple[Event, str]:
        from aeformat.backends.golden_check import check

        assert self._found is not None
        try:
            check(self._found)
        except GoldenMismatch as error:
            self._error = error
            return Event.BAD, str(error)
        return Event.GOOD, ""

    def _install(self) -> tuple[Event, str]:
        from aeformat.model import store

        assert self._file is not None
        try:
            store.install(self._file, lambda package: None)  # its golden set has just been run
        except OSError as error:
            self._notify(f"the decoder could not be kept: {error.strerror}")  # it can be used all the same
        return Event.DONE, ""
