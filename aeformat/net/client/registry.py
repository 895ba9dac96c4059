"""A decoder from a registry that the user named (spec/transport.md, section 9).

Owns carrying out ModelResolver: this machine's models, the weighing, the fetch, the proof, the cache.  The registry's URL comes
from the user, never from a file (T5-9).
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aeformat.backends.golden_check import check
from aeformat.errors import DecoderMissing, FormatError, GoldenMismatch
from aeformat.model import store
from aeformat.model.file_io import read_package
from aeformat.model.package import ModelPackage
from aeformat.net.client.fetching import fetch
from aeformat.net.client.line import Line
from aeformat.net.client.options import DEFAULTS, Options, Say, quiet
from aeformat.net.client.wire import Base
from aeformat.transport.messages import Lost, Request
from aeformat.transport.policy import weigh
from aeformat.transport.problems import TransferFailed, TransferUnfinished
from aeformat.transport.resolver import Event, ModelResolver, State

MAX_WORK: Final = 1 << 36  # of one row, M7-1: what a stranger's decoder may cost


@dataclass(frozen=True, slots=True)
class Need:
    """What the decoder is wanted for, so that it can be weighed.  image_bytes: of one image sent otherwise."""

    n_rows: int
    image_bytes: float
    container_bytes: int


def registry_decoder(
    url: str, model_id: bytes, options: Options = DEFAULTS, *, need: Need | None = None, say: Say = quiet
) -> ModelPackage:
    """The decoder with this model id: one of this machine's, or fetched, checked, proved and kept in the cache.

    need: with policy "auto" it is fetched only if that pays; None: it is fetched.  Raises DecoderMissing (exit code 4),
    GoldenMismatch, FormatError, TransferFailed, UsageError.
    """
    return _Search(url, model_id, options, need, say).run()


class _Search:
    def __init__(self, url: str, model_id: bytes, options: Options, need: Need | None, say: Say) -> None:
        self._base = Base.parse(url, token=options.token, ca_file=options.ca_file)
        self._id, self._options, self._need, self._say = model_id, options, need, say
        self._machine = ModelResolver(model_id)
        self._size = 0
        self._found: ModelPackage | None = None
        self._error: Exception | None = None

    def run(self) -> ModelPackage:
        """Until READY or REFUSED."""
        steps = {
            State.LOOKUP: self._lookup,
            State.DISCARD: lambda: (Event.DONE, ""),  # the store has removed it
            State.ASK: self._ask,
            State.WEIGH: self._weigh,
            State.FETCH: self._fetch,
            State.CHECK: self._check,
            State.PROVE: self._prove,
            State.INSTALL: self._install,
        }
        with tempfile.TemporaryDirectory(prefix="aeformat-") as folder:
            self._file = Path(folder) / "decoder.aef"
            while not self._machine.is_over:
                self._machine.on(*steps[self._machine.state]())
        if self._machine.state is State.REFUSED:
            raise self._error or DecoderMissing(f"decoder {self._id.hex()}: {self._machine.why}")
        assert self._found is not None
        return self._found

    def _lookup(self) -> tuple[Event, str]:
        try:
            self._found = store.find_decoder(self._id)
        except DecoderMissing as error:
            return (Event.CORRUPT if "damaged" in str(error) else Event.MISS), ""
        return Event.HIT, ""

    def _ask(self) -> tuple[Event, str]:
        found = Line(self._base, self._options.patience).ask(Request("HEAD", self._path))
        if isinstance(found, Lost):
            self._error = TransferUnfinished(f"no answer from the server: {found.why}")
            return Event.MISS, found.why
        if found.status == 404:
            return (
                Event.MISS,
                f"neither this machine nor {self._base.url} has it; get its package and give it with --decoder",
            )
        if found.status != 200:
            self._error = found.refusal("asking for the decoder")
            return Event.MISS, ""
        self._size = int(found.get("Content-Length") or 0)
        return Event.HIT, ""

    @property
    def _path(self) -> str:
        return f"v1/models/{self._id.hex()}"

    def _weigh(self) -> tuple[Event, str]:
        need, policy = self._need, self._options.policy
        if need is None:
            return (Event.COSTS, "policy never") if policy == "never" else (Event.PAYS, "")
        weighed = weigh(
            policy,
            n_rows=need.n_rows,
            image_bytes=need.image_bytes,
            container_bytes=need.container_bytes,
            model_bytes=self._size,
        )
        self._say(f"decoder {self._id.hex()[:12]} is at {self._base.url}: {weighed.why}")
        advice = "fetch it all the same with --model-policy always"
        return (Event.PAYS, "") if weighed.moves else (Event.COSTS, f"{weighed.why}; {advice}")

    def _fetch(self) -> tuple[Event, str]:
        try:
            fetch(self._base.url + self._path, self._file, self._options)
        except (TransferFailed, FormatError) as error:
            self._error = error
            return Event.BAD, str(error)
        return Event.DONE, ""

    def _check(self) -> tuple[Event, str]:
        try:
            self._found = read_package(self._file, max_work=MAX_WORK)
        except FormatError as error:
            self._error = error
            return Event.BAD, str(error)
        if self._found.model_id != self._id or self._found.role != "decoder":
            return Event.BAD, "the registry sent another model"
        return Event.GOOD, ""

    def _prove(self) -> tuple[Event, str]:
        assert self._found is not None
        try:
            check(self._found)
        except GoldenMismatch as error:
            self._error = error
            return Event.BAD, str(error)
        return Event.GOOD, ""

    def _install(self) -> tuple[Event, str]:
        try:
            store.install(self._file, lambda package: None)  # it was proved a moment ago
        except OSError as error:
            self._say(f"the decoder could not be kept: {error.strerror}")  # it can be used all the same
        return Event.DONE, ""
