"""How long an upload lives, who may have how many, and what is left of it: T4-20 to T4-23, T7-6, T7-8, T10-6 of spec/transport.md."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import re
import socket
from datetime import datetime
from pathlib import Path

import pytest
from transport.containers import ends, latents

from aeformat.net.server.disk import Disk
from aeformat.net.server.storage import Storage
from aeformat.net.server.tokens import SCOPES, Caller
from aeformat.net.server.upload_files import UploadEntry
from aeformat.net.server.uploads import Uploads
from aeformat.transport.problems import Problem
from aeformat.transport.transfer_limits import TransferLimits
from aeformat.transport.upload_actions import Append
from net.running import running, until, upload
from net.test_tenants import write_tokens
from net.test_uploads import create, patch, slug

FILE = latents(400, dims=32)
ENDS = ends(FILE)
TYPE = "Content-Type: application/vnd.aeformat\r\n"
N_OPEN = 3  # uploads that a tenant may have


def listed(server, token=None):
    found = server.request("GET", "v1/uploads", token=token)
    assert found.status == 200
    return json.loads(found.body)["uploads"]


def folders(root: Path) -> list[Path]:
    """The folders of uploads on the disk."""
    return list((root / "uploads").iterdir())


def broken_line(server) -> None:
    """A one-shot POST whose connection ends in the middle of its body."""
    with socket.create_connection(("127.0.0.1", server.port)) as sock:
        head = f"POST /v1/uploads HTTP/1.1\r\nHost: localhost\r\nUpload-Complete: ?1\r\n{TYPE}"
        sock.sendall(f"{head}Content-Length: {len(FILE)}\r\n\r\n".encode() + FILE[: ENDS[4] + 9])
        until(lambda: any(entry["offset"] for entry in listed(server)))  # it was received, not just sent
    until(lambda: not listed(server))


def header_only(server) -> None:
    """A one-shot POST of more than one request may have; only its header is sent."""
    head = f"POST /v1/uploads HTTP/1.1\r\nHost: localhost\r\nUpload-Complete: ?1\r\n{TYPE}Content-Length: {2 << 30}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port)) as sock:
        sock.settimeout(60)
        sock.sendall(head.encode())
        found = sock.recv(65536)
    assert found.startswith(b"HTTP/1.1 413 ") and b"location:" not in found.lower()


def no_container(server) -> None:
    """A file that is no .aef."""
    found = upload(server, b"PK\3\4 no container" * 1000)
    assert (found.status, slug(found), found.get("Location")) == (409, "chunk-damaged", None)


ROWS = {"the line broke": broken_line, "a header above the limit": header_only, "no container": no_container}


@pytest.mark.parametrize("fails", ROWS.values(), ids=ROWS)
def test_requests_that_failed_for_good_lock_nobody_out(tmp_path, fails):
    """T4-20: nothing is open afterwards, nothing is on the disk, and the next upload is taken."""
    with running(tmp_path / "root", uploads=N_OPEN) as server:
        for _ in range(N_OPEN):
            fails(server)
        assert listed(server) == [] and folders(tmp_path / "root") == []
        assert upload(server, FILE).status == 201


def test_uploads_above_the_quota_are_not_open(tmp_path):
    """T4-20: 507 says `never`.  One-shot, and in a PATCH of an upload that was told; its staged bytes are free again."""
    tokens = write_tokens(tmp_path / "tokens", {"t": ("small", list(SCOPES), None)})
    text = tokens.read_text()
    tokens.write_text(text.replace(text.split('"quota_bytes": ')[1].split("}")[0], str(len(FILE) + 5000)))
    big = latents(800, dims=32)
    with running(tmp_path / "root", tokens=tokens, uploads=N_OPEN) as server:
        for _ in range(N_OPEN + 1):
            found = upload(server, big, "t")
            assert (found.status, found.problem["retry"], found.get("Location")) == (507, "never", None)
        named = {"Upload-Complete": "?0"}
        where = server.request("POST", "v1/uploads", named, b"", "t").get("Location")
        part = {"Upload-Offset": "0", "Content-Type": "application/partial-upload", **named}
        assert server.request("PATCH", where, part, FILE[: ENDS[3]], "t").status == 204
        assert server.request("PATCH", where, part | {"Upload-Offset": str(ENDS[3])}, big, "t").status == 507
        assert listed(server, "t") == [] and server.request("HEAD", where, token="t").status == 507
        assert upload(server, FILE, "t").status == 201


def test_a_cut_file_and_a_killed_sender_can_be_gone_on_with_and_are_told_of(tmp_path):
    """T4-22, T4-23: these are open for a reason.  The refusal says until when, the list names them, DELETE frees them."""
    with running(tmp_path / "root", uploads=N_OPEN) as server:
        cut = upload(server, FILE[:-10])
        assert (cut.status, slug(cut)) == (409, "upload-truncated") and cut.get("Location")
        assert "max-age=600" in cut.get("Upload-Limit")  # T4-21: until its sender comes back
        for _ in range(N_OPEN - 1):  # killed senders
            patch(server, create(server, **{"Upload-Length": str(len(FILE))}), 0, FILE[: ENDS[3]])
        found = server.request("POST", "v1/uploads", {"Upload-Complete": "?0"}, b"")
        assert (found.status, found.problem["retry"]) == (429, "after") and 1 <= int(found.get("Retry-After")) <= 600
        theirs = listed(server)
        assert [entry["offset"] for entry in theirs] == [ENDS[-2], ENDS[3], ENDS[3]]
        assert [entry["length"] for entry in theirs] == [None, len(FILE), len(FILE)]
        ages = [_seconds(entry["expires"]) - _seconds(entry["created"]) for entry in theirs]
        assert 595 <= ages[0] <= 700 and all(86_395 <= age <= 86_500 for age in ages[1:])
        assert patch(server, cut.get("Location"), ENDS[-2], FILE[ENDS[-2] :], last=True).status == 201
        for entry in theirs[1:]:
            assert server.request("DELETE", f"v1/uploads/{entry['id']}").status == 204
        assert listed(server) == [] and upload(server, FILE).status == 201


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def test_a_list_is_of_the_callers_tenant_and_needs_the_scope(tmp_path):
    """T4-22, T10-2."""
    tokens = {
        "a": ("acme", list(SCOPES), None),
        "b": ("beta", list(SCOPES), None),
        "r": ("acme", ["models:read"], None),
    }
    with running(tmp_path / "root", tokens=write_tokens(tmp_path / "tokens", tokens)) as server:
        server.request("POST", "v1/uploads", {"Upload-Complete": "?0"}, b"", "a")
        assert len(listed(server, "a")) == 1 and listed(server, "b") == []
        assert server.request("GET", "v1/uploads", token="r").status == 403
        assert server.request("GET", "v1/uploads").status == 401


def test_an_upload_whose_id_nobody_was_told_does_not_outlive_the_server(tmp_path):
    """T4-20: the server dies in the middle of a one-shot POST.  What was told of is still there, with its first day."""
    with running(tmp_path / "root") as server:
        told = create(server)
        kept = server.request(
            "POST", "v1/uploads", {"Upload-Complete": "?0", "Content-Type": "application/vnd.aeformat"}, FILE
        )
        with socket.create_connection(("127.0.0.1", server.port)) as sock:
            head = f"POST /v1/uploads HTTP/1.1\r\nHost: localhost\r\nUpload-Complete: ?1\r\n{TYPE}"
            sock.sendall(f"{head}Content-Length: {len(FILE)}\r\n\r\n".encode() + FILE[:-9])
            until(lambda: len(listed(server)) == 3)
            before = listed(server)
            server.stop()
    with running(tmp_path / "root") as server:
        after = listed(server)
        assert [entry["id"] for entry in after] == [told[-32:], kept.get("Location")[-32:]]
        assert [entry["created"] for entry in after] == [entry["created"] for entry in before[:2]]
        assert after[1]["offset"] is None  # the stored bytes are not verified yet
        assert server.request("HEAD", kept.get("Location")).get("Upload-Offset") == str(len(FILE))
        assert len(folders(tmp_path / "root")) == 2


@pytest.mark.parametrize("again", [False, True], ids=["same server", "started again"])
def test_an_upload_that_104_named_outlives_the_line(tmp_path, again):
    """T4-12, T4-20: its client knows where to go on, although no answer has come.  Also after the server was started again."""
    with running(tmp_path / "root") as server:
        with socket.create_connection(("127.0.0.1", server.port)) as sock:
            head = f"POST /v1/uploads HTTP/1.1\r\nHost: localhost\r\nUpload-Complete: ?1\r\n{TYPE}"
            head += f"Upload-Draft-Interop-Version: 8\r\nContent-Length: {len(FILE)}\r\n\r\n"
            sock.sendall(head.encode() + FILE[: ENDS[4] + 9])
            sock.settimeout(60)
            found = b""
            while b"\r\n\r\n" not in found:
                found += sock.recv(65536)
            assert found.startswith(b"HTTP/1.1 104 ")
            where = re.search(rb"(?i)\r\nlocation: *(\S+)", found).group(1).decode()
            until(lambda: any(entry["offset"] == ENDS[4] for entry in listed(server)))
        until(lambda: f"aeformat_received_bytes_total {ENDS[4] + 9}" in server.request("GET", "metrics").body.decode())
        if again:
            server.stop()
        else:
            assert goes_on(server, where)
    if again:
        with running(tmp_path / "root") as server:
            assert goes_on(server, where)


def goes_on(server, where: str) -> bool:
    """Whether an upload that ends at ENDS[4] can be sent to its end."""
    path = f"v1/uploads/{where.rsplit('/', 1)[1]}"
    assert [entry["id"] for entry in listed(server)] == [where.rsplit("/", 1)[1]]
    assert server.request("HEAD", path).get("Upload-Offset") == str(ENDS[4])
    return patch(server, path, ENDS[4], FILE[ENDS[4] :], last=True).status == 201


def test_the_end_of_the_request_drops_what_nobody_was_told_of(tmp_path):
    """T4-20: no answer could be sent; 104 was, or was not."""

    async def scenario() -> None:
        uploads = Uploads(Storage(tmp_path / "root"), TransferLimits())
        entries = [await uploads.create(CALLER, Append(0, True, body_bytes=len(FILE))) for _ in range(2)]
        await uploads.tell(entries[0])
        assert [await uploads.told(entry, None) for entry in entries] == [True, False]
        assert [one["id"] for one in uploads.listed(CALLER)] == [entries[0].name]
        uploads.close()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("token", "named", "body", "status"),
    [
        (None, {}, b"x", 401),
        ("r", {}, b"x", 403),
        ("t", {"Upload-Complete": "yes"}, b"x", 400),
        ("t", {"Content-Type": "text/plain"}, b"x", 415),
        ("t", {"Upload-Complete": "?0", "Upload-Length": str(1 << 40)}, b"", 413),
        ("t", {}, b"x" * 3000, 413),
        ("t", {"Upload-Complete": "?0"}, b"x" * 300, 507),
    ],
    ids=["no token", "no scope", "bad field", "type", "length", "append", "quota"],
)
def test_a_request_that_its_head_refuses_makes_nothing(tmp_path, token, named, body, status):
    """T10-6: not even for a moment."""
    tokens = write_tokens(
        tmp_path / "tokens", {"t": ("small", list(SCOPES), None), "r": ("small", ["models:read"], None)}
    )
    text = tokens.read_text()
    tokens.write_text(text.replace(text.split('"quota_bytes": ')[1].split("}")[0], "200"))
    with running(tmp_path / "root", tokens=tokens, disk=NoFolders(), max_append_size=2000) as server:
        fields = {"Upload-Complete": "?1", "Content-Type": "application/vnd.aeformat", **named}
        for _ in range(20):
            found = server.request("POST", "v1/uploads", fields, body, token)
            assert (found.status, found.get("Location")) == (status, None)
        assert folders(tmp_path / "root") == []
        if token == "t":
            assert listed(server, "t") == []


class NoFolders(Disk):
    """A disk that takes no new upload."""

    def write_small_file(self, path, data):
        assert path.name != "about", "an upload was made"
        super().write_small_file(path, data)


# The disk.


class Small(Disk):
    """A disk of so many bytes; those of blobs and staging files count.  n_written: bytes that were written."""

    def __init__(self, size: int) -> None:
        self._size = size
        self.root: Path | None = None

    def free_bytes(self, folder):
        used = sum(path.stat().st_size for path in folder.glob("*/**/*") if path.is_file())
        return max(0, self._size - used)

    def write(self, handle, at, data):
        assert len(data) < 1000 or os.fstat(handle).st_size + len(data) <= self._size, "it cannot fit"
        super().write(handle, at, data)


def test_what_cannot_fit_is_refused_before_it_is_written(tmp_path):
    """T7-6: by Content-Length and by Upload-Length, less the reserve.  What is stored and the next tenant's file have room."""
    small, big = FILE, latents(800, dims=32)
    size = 2 * len(small) + 20_000
    with running(tmp_path / "root", disk=Small(size), reserve_bytes=10_000) as server:
        assert upload(server, small).status == 201
        found = upload(server, big)
        assert (found.status, found.problem["retry"], found.get("Location")) == (507, "never", None)
        said = {"Upload-Complete": "?0", "Upload-Length": str(len(small) + 15_000)}
        assert server.request("POST", "v1/uploads", said, b"").status == 507
        assert folders(tmp_path / "root")[1:] == []  # the first upload's result
        assert upload(server, latents(400, dims=32, seed=2)).status == 201


def test_what_another_request_has_announced_is_not_free_and_ends_no_upload(tmp_path):
    """T7-6: until it has ended, one way or another.  What others have verified is kept, with and without a length."""
    with running(
        tmp_path / "root", disk=Small(3 * len(FILE) - 1000), reserve_bytes=0, idle_seconds=600, rate_seconds=600
    ) as server:
        where, mine = create(server), create(server)
        assert patch(server, mine, 0, FILE[: ENDS[3]]).status == 204
        announced = 3 * len(FILE) - 4000 - ENDS[3]
        with socket.create_connection(("127.0.0.1", server.port)) as sock:
            head = f"PATCH {where} HTTP/1.1\r\nHost: localhost\r\nUpload-Offset: 0\r\nUpload-Complete: ?0\r\n"
            head += f"Content-Type: application/partial-upload\r\nContent-Length: {announced}\r\n\r\n"
            sock.sendall(head.encode() + FILE[:9])
            until((tmp_path / "root" / "uploads" / where[-32:] / "data").exists)
            found = upload(server, latents(400, dims=32, seed=2))
            assert (found.status, slug(found), found.get("Location")) == (503, "busy", None)
            assert slug(patch(server, mine, ENDS[3], FILE[ENDS[3] :], last=True)) == "busy"
            chunked = f"PATCH {mine} HTTP/1.1\r\nHost: localhost\r\nUpload-Offset: {ENDS[3]}\r\nUpload-Complete: ?1\r\n"
            chunked += (
                "Content-Type: application/partial-upload\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
            )
            rest = FILE[ENDS[3] :]
            body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(rest), rest)
            assert server.raw(chunked.encode() + body, 60).startswith(b"HTTP/1.1 503 ")
            kept = server.request("HEAD", mine)
            assert kept.status == 200 and int(kept.get("Upload-Offset")) >= ENDS[3]
        at = int(server.request("HEAD", mine).get("Upload-Offset"))
        until(lambda: patch(server, mine, at, FILE[at:], last=True).status == 201)
        until(lambda: upload(server, latents(400, dims=32, seed=2)).status == 201)


def test_a_body_without_a_length_ends_where_it_does_not_fit(tmp_path):
    """T7-6, T4-20: 507, and its staged bytes are free for the next tenant."""
    data = latents(2000, dims=32)
    with running(tmp_path / "root", disk=Small(len(FILE) + 9000), reserve_bytes=5000) as server:
        found = server.raw(
            f"POST /v1/uploads HTTP/1.1\r\nHost: localhost\r\nUpload-Complete: ?1\r\n{TYPE}"
            "Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
            + b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in _pieces(data, 20_000))
            + b"0\r\n\r\n",
            60,
        )
        assert found.startswith(b"HTTP/1.1 507 ") and b"location:" not in found.lower()
        assert folders(tmp_path / "root") == [] and upload(server, FILE).status == 201


def _pieces(data, size):
    return [data[at : at + size] for at in range(0, len(data), size)]


class FullAtOnce(Disk):
    """A disk that says it has room, and is full at the second large write."""

    n = 0

    def write(self, handle, at, data):
        self.n += len(data) > 1000
        if self.n == 2 and len(data) > 1000:
            super().write(handle, at, memoryview(data)[:1000])
            raise OSError(errno.ENOSPC, "no space left")
        super().write(handle, at, data)


def test_a_write_for_which_the_disk_is_full_leaves_nothing(tmp_path):
    """T4-20: of the upload that failed; its client is told `never`, and HEAD repeats it."""
    with running(tmp_path / "root", disk=FullAtOnce()) as server:
        where = create(server)
        assert patch(server, where, 0, FILE[: ENDS[5]]).status == 204
        assert patch(server, where, ENDS[5], FILE[ENDS[5] :], last=True).status == 507
        assert server.request("HEAD", where).status == 507
        assert folders(tmp_path / "root") == [] and listed(server) == []
        assert upload(server, FILE).status == 201


# Expiry.


class Sticky(Disk):
    """A disk that does not remove the folder whose name is in `stuck`."""

    def __init__(self) -> None:
        self.stuck: set[str] = set()

    def remove_folder(self, path):
        if path.name in self.stuck:
            raise OSError(errno.EIO, "input/output error")
        super().remove_folder(path)


CALLER = Caller("local", frozenset(SCOPES), 1 << 62)
EMPTY = Append(0, is_last=False, body_bytes=0)


def age(*entries: UploadEntry) -> None:
    """Let a week pass for these uploads."""
    for entry in entries:
        entry.machine._touched -= 7 * 86_400


def test_an_upload_that_cannot_be_removed_keeps_no_other_from_expiring(tmp_path, caplog):
    """T7-8: it is logged once and tried again; the tenant may open new ones meanwhile."""
    disk = Sticky()

    async def run() -> None:
        uploads = Uploads(Storage(tmp_path / "root", disk), TransferLimits(uploads=2))
        entries = [await uploads.create(CALLER, EMPTY) for _ in range(2)]
        age(*entries)
        disk.stuck.add(entries[0].name)
        for n_tries in (1, 2):
            await uploads.sweep()
            assert (
                uploads.n_open == 0
                and uploads.files.left == {entries[0].name}
                and uploads.files.n_failures == n_tries + 1
            )
            assert [path.name for path in folders(tmp_path / "root")] == [entries[0].name]
        another = await uploads.create(CALLER, EMPTY)
        disk.stuck.clear()
        await uploads.sweep()
        assert [path.name for path in folders(tmp_path / "root")] == [another.name] and not uploads.files.left

    asyncio.run(run())
    assert sum("cannot remove" in record.getMessage() for record in caplog.records) == 1


def test_a_disk_that_fails_while_an_upload_expires_is_tried_again(tmp_path):
    """T7-8: the last pieces of an upload could not be written; the sweep goes on, and the next one lets it expire."""

    class Failing:
        async def finish(self):
            raise OSError(errno.EIO, "input/output error")

    async def run() -> None:
        uploads = Uploads(Storage(tmp_path / "root"), TransferLimits())
        entries = [await uploads.create(CALLER, EMPTY) for _ in range(2)]
        age(*entries)
        entries[0].pipeline = Failing()
        await uploads.sweep()
        assert uploads.n_open == 1 and uploads.files.n_failures == 1
        await uploads.sweep()
        assert uploads.n_open == 0

    asyncio.run(run())


def test_too_many_are_counted_after_those_that_are_too_old(tmp_path):
    """T4-23: a client that comes back after Retry-After is let in, whenever the sweep comes."""

    async def run() -> None:
        uploads = Uploads(Storage(tmp_path / "root"), TransferLimits(uploads=1))
        entry = await uploads.create(CALLER, EMPTY)
        with pytest.raises(Problem, match=r"expires in (600|599) s"):
            await uploads.create(CALLER, EMPTY)
        age(entry)
        await uploads.create(CALLER, EMPTY)
        assert uploads.n_open == 1

    asyncio.run(run())


def test_an_idle_upload_holds_no_file_open(tmp_path):
    """T7-4: between requests."""
    if not Path("/proc/self/fd").exists():
        pytest.skip("open files are counted in /proc")
    with running(tmp_path / "root", uploads=40) as server:
        server.request("GET", "v1/")
        opened = Path(f"/proc/{server.pid}/fd")
        n_before = len(list(opened.iterdir()))
        for _ in range(30):
            assert patch(server, create(server), 0, FILE[: ENDS[2] + 7]).status == 204
        until(lambda: len(list(opened.iterdir())) <= n_before + 3)
