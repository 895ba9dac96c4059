"""Full disks and exhausted quotas: the answer is 507, and no byte is acknowledged that is not on the disk."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import socket

import pytest
from transport.containers import latents

from aeformat.net.server.disk import Disk
from net.running import half, running, upload
from net.test_tenants import SCOPES, write_tokens
from net.test_uploads import create, patch, slug

FILE = latents(20_000, dims=64, chunk_rows=500)
SHA = hashlib.sha256(FILE).hexdigest()


class Full(Disk):
    """A disk that fails once: at the n-th large write, after half of it; or at the n-th sync, or rename."""

    def __init__(self, step: str, n: int) -> None:
        self._step, self._n = step, n

    def _fails(self, step: str) -> bool:
        self._n -= step == self._step
        return step == self._step and self._n == 0

    def write(self, handle, at, data):
        if len(data) > 1000 and self._fails("write"):
            super().write(handle, at, memoryview(data)[: half(data)])
            raise OSError(errno.ENOSPC, "no space left")
        super().write(handle, at, data)

    def sync(self, handle):
        if self._fails("sync"):
            raise OSError(errno.EIO, "input/output error")
        super().sync(handle)

    def rename(self, source, target):
        if self._fails("rename"):
            raise OSError(errno.EDQUOT, "quota exceeded")
        super().rename(source, target)


@pytest.mark.parametrize(
    ("step", "n", "sync_bytes"),
    [
        *[("write", n, 1 << 20) for n in (1, 4, 9)],
        *[("sync", n, 1 << 20) for n in (3, 5)],
        ("sync", 3, 1 << 30),  # the only one, before the blob is put in its place
        *[("rename", n, 1 << 20) for n in (3, 4)],
    ],
)
def test_a_disk_that_fails_loses_nothing_that_was_acknowledged(tmp_path, step, n, sync_bytes):
    """T4-1: after 500 the client goes on from the offset; after 507 the upload is over (T4-20).  The blob is complete."""
    with running(tmp_path / "root", disk=Full(step, n), sync_bytes=sync_bytes) as server:
        where = create(server)
        at, seen = 0, set()
        for _ in range(20):
            found = patch(server, where, at, FILE[at:], last=True)
            seen.add(found.status)
            if found.status == 201:
                break
            again = server.request("HEAD", where)
            assert again.status == (507 if found.status == 507 else 200)
            where, at = (create(server), 0) if found.status == 507 else (where, int(again.get("Upload-Offset")))
        assert seen <= {201, 500, 507} and 201 in seen
    blob = tmp_path / "root" / "objects" / SHA[:2] / SHA
    assert blob.read_bytes() == FILE


def test_uploads_side_by_side_do_not_exceed_a_quota(tmp_path):
    """The staged bytes of all uploads count, at each piece."""
    files = [latents(20_000, dims=64, chunk_rows=500, seed=seed) for seed in range(4)]
    tokens = write_tokens(tmp_path / "tokens", {"small": ("small", list(SCOPES), None)})
    text = tokens.read_text()
    quota = int(2.5 * len(FILE))
    tokens.write_text(text.replace(text.split('"quota_bytes": ')[1].split("}")[0], str(quota)))
    with running(tmp_path / "root", tokens=tokens) as server:
        socks = []
        for data in files:
            sock = socket.create_connection(("127.0.0.1", server.port))
            head = "POST /v1/uploads HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer small\r\nUpload-Complete: ?1\r\n"
            head += f"Content-Type: application/vnd.aeformat\r\nContent-Length: {len(data)}\r\n\r\n"
            sock.sendall(head.encode() + data[:1000])
            socks.append(sock)
        for sock, data in zip(socks, files, strict=True):
            sock.settimeout(30)
            with contextlib.suppress(OSError):
                sock.sendall(data[1000:])
        statuses = [sock.recv(65536).split(b" ")[1] for sock in socks]
        assert sorted(set(statuses)) == [b"201", b"507"]
        stored = sum(path.stat().st_size for path in (tmp_path / "root").glob("**/*") if path.name != "layout")
        assert stored <= quota + 100_000  # records and folders
        for sock in socks:
            sock.close()


def test_results_are_kept_for_the_newest_uploads_only(tmp_path):
    """Section 7: the number of kept results is bounded."""
    with running(tmp_path / "root", uploads_told=5) as server:
        gone = []
        for number in range(9):
            where = create(server)
            assert patch(server, where, 0, latents(5, seed=number), last=True).status == 201
            gone.append(where)
        assert [server.request("HEAD", where).status for where in gone] == [404] * 4 + [200] * 5
        assert slug(patch(server, gone[0], 0, b"x")) == "upload-unknown"
        assert upload(server, latents(5, seed=1)).status == 201
        assert len(list((tmp_path / "root" / "uploads").iterdir())) == 5
