"""A server in memory: one UploadServer, a disk that can lose bytes that were not synced, and the stored containers."""

from __future__ import annotations

from dataclasses import dataclass, field

from aeformat.transport import draft, http_fields
from aeformat.transport.messages import Request, Response
from aeformat.transport.problems import AFTER, Problem
from aeformat.transport.transfer_limits import TransferLimits
from aeformat.transport.upload_actions import Answer, Append, Discard, Replay, Store, Sync, Truncate
from aeformat.transport.upload_server import UploadServer
from aeformat.transport.upload_states import State

LIMITS = TransferLimits(chunk_bytes=1 << 16, sync_bytes=1500, max_append_size=1 << 20, max_size=1 << 22, max_age=3600)
PLENTY = 1 << 40
UPLOAD = "v1/uploads/u"


def lower_case(headers: dict[str, str]) -> dict[str, str]:
    return {name.lower(): text for name, text in headers.items()}


@dataclass
class Disk:
    data: bytearray = field(default_factory=bytearray)
    n_synced: int = 0

    def crash(self, n_kept: int, torn: bytes) -> None:
        """Crash: the synced bytes are kept, n_kept bytes after them too, and `torn` replaces bytes after these."""
        keep = self.n_synced + min(n_kept, len(self.data) - self.n_synced)
        self.data[keep:] = torn[: len(self.data) - keep]


class World:
    """The server that a client under test talks to.  now: its clock, in seconds."""

    def __init__(self, limits: TransferLimits = LIMITS) -> None:
        self.limits = limits
        self.now = 0.0
        self.disk = Disk()
        self.upload: UploadServer | None = None
        self.number = 0
        self.length: int | None = None
        self.objects: dict[bytes, bytes] = {}
        self.n_stored = 0
        self.acknowledged = 0

    def carry_out(self, upload: UploadServer, actions: list) -> Answer | None:
        answer = None
        for action in actions:
            if isinstance(action, Truncate):
                del self.disk.data[action.at :]
                self.disk.n_synced = min(self.disk.n_synced, action.at)
            elif isinstance(action, Sync):
                self.disk.n_synced = len(self.disk.data)
                upload.staged.synced(action.at)
            elif isinstance(action, Replay):
                for at in range(0, len(self.disk.data), 777):
                    if not upload.replay(bytes(self.disk.data[at : at + 777])):
                        break
                answer = self.carry_out(upload, upload.replayed()) or answer
            elif isinstance(action, Store):
                self.objects[action.sha256] = bytes(self.disk.data[: action.size])
                self.n_stored += 1
                answer = upload.stored(f"/v1/containers/{action.sha256.hex()}")
            elif isinstance(action, Discard):
                self.disk = Disk()
            else:
                answer = action
        return answer

    @property
    def path(self) -> str:
        return f"{UPLOAD}{self.number}"

    def begin(self, request: Request) -> tuple[UploadServer, int]:
        """Begin a PATCH.  Returns the upload and the generation of the request.  Raises Problem."""
        upload = self._known(request.path)
        self.carry_out(upload, upload.settle(now=self.now))
        asked = Append(
            offset=int(request.fields[draft.OFFSET]),
            is_last=request.fields[draft.COMPLETE] == "?1",
            body_bytes=None if request.body is None else request.body[1] - request.body[0],
        )
        generation, actions = upload.append(asked, now=self.now, quota_left=PLENTY)
        self.carry_out(upload, actions)
        return upload, generation

    def piece(self, upload: UploadServer, generation: int, data: bytes) -> Answer | None:
        at = upload.data(generation, len(data), now=self.now, quota_left=PLENTY)
        if at is None:
            return self.carry_out(upload, upload.excess(len(data), quota_left=PLENTY))
        self.disk.data[at : at + len(data)] = data
        error = upload.check(data)
        if error is not None:
            return self.carry_out(upload, upload.broken(error))
        due = upload.staged.sync_due(len(self.disk.data))
        return None if due is None else self.carry_out(upload, [due])

    def finish(self, upload: UploadServer, generation: int) -> Answer | None:
        return self.carry_out(upload, upload.end(generation, now=self.now))

    def body(self, request: Request, data: bytes, pieces: int = 100) -> Response:
        """Handle a request whose body arrives as `data`, in pieces of this many bytes."""
        if request.method == "POST":
            request = self.opened(request)
        try:
            upload, generation = self.begin(request)
            for at in range(0, len(data), pieces):
                answer = self.piece(upload, generation, data[at : at + pieces])
                if answer is not None:
                    return self.response(answer)
            answer = self.finish(upload, generation)
        except Problem as problem:
            return self.refused(problem)
        assert answer is not None
        return self.response(answer)

    def plain(self, request: Request) -> Response:
        """Handle a request without a body."""
        try:
            if request.method == "POST":
                return self._create(request)
            if request.path.startswith("v1/containers/"):
                data = self.objects.get(bytes.fromhex(request.path.rsplit("/", 1)[1]))
                if data is None:
                    raise Problem("not-found", "no such container")
                return Response(
                    200, lower_case({"Repr-Digest": http_fields.repr_digest(bytes.fromhex(request.path[-64:]))})
                )
            upload = self._known(request.path)
            if request.method == "DELETE":
                answer = self.carry_out(upload, upload.cancel())
                assert answer is not None
                return self.response(answer)
            self.carry_out(upload, upload.settle(now=self.now))
            return self.response(upload.head())
        except Problem as problem:
            return self.refused(problem)

    def _create(self, request: Request) -> Response:
        self.number += 1
        self.acknowledged = 0
        self.disk = Disk()
        self.length = int(request.fields[draft.LENGTH]) if draft.LENGTH in request.fields else None
        self.upload = UploadServer(self.limits, now=self.now, length=self.length)
        return Response(201, lower_case({"Location": f"../{self.path}", draft.LIMIT: self.limits.upload_limit}))

    def opened(self, request: Request) -> Request:
        """Create the upload of a POST that carries the file.  Returns the PATCH that does the rest of it."""
        self._create(request)
        return Request(
            "PATCH", self.path, {draft.OFFSET: "0", draft.COMPLETE: request.fields[draft.COMPLETE]}, request.body
        )

    def _known(self, path: str) -> UploadServer:
        if self.upload is None or path != self.path:
            raise Problem("upload-unknown", "no such upload")
        return self.upload

    def response(self, answer: Answer) -> Response:
        if answer.problem is not None:
            return self.refused(answer.problem, answer.fields)
        self._note(answer.fields)
        return Response(answer.status, lower_case(answer.fields))

    def refused(self, problem: Problem, more: dict[str, str] | None = None) -> Response:
        import json

        named = {**problem.fields, **(more or {}), "Content-Type": http_fields.PROBLEM_TYPE}
        if problem.type.retry == AFTER:
            named["Retry-After"] = "1"
        self._note(named)
        return Response(problem.type.status, lower_case(named), json.dumps(problem.document()).encode())

    def _note(self, named: dict[str, str]) -> None:
        """Check that an acknowledged offset never decreases and is on disk (T4-1)."""
        if draft.OFFSET in named and self.upload is not None and self.upload.state is not State.COMMITTED:
            at = int(named[draft.OFFSET])
            assert at >= self.acknowledged
            assert at <= self.disk.n_synced or at == 0
            self.acknowledged = at

    def crash(self, n_kept: int, torn: bytes) -> None:
        """kill -9, and a restart that has lost bytes that were not synced.  A complete upload stays complete."""
        self.disk.crash(n_kept, torn)
        if self.upload is None or self.upload.state is State.COMMITTED:
            return
        if self.upload.state in (State.EXPIRED, State.CANCELLED, State.FAILED):
            self.upload = None  # its staging file was deleted
        else:
            self.upload = UploadServer(self.limits, now=self.now, length=self.length, is_restored=True)

    def tick(self, seconds: float) -> None:
        self.now += seconds
        if self.upload is not None:
            self.carry_out(self.upload, self.upload.tick(self.now))
