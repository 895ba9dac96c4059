"""The server's folder: its lock, blobs that are missing or damaged, broken small files, names that survive a power cut.

T2-12 and T4-16 to T4-19 of spec/transport.md.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest
from transport.containers import latents

from aeformat.errors import UsageError
from aeformat.model import store
from aeformat.model.file_io import package_bytes
from aeformat.net.server import disk as disk_module
from aeformat.net.server.disk import Disk
from aeformat.net.server.storage import CONTAINERS, Storage
from net.running import Running, running, upload
from net.test_tenants import SCOPES, write_tokens
from net.test_uploads import create, patch

FILE = latents(400, dims=32)
SHA = hashlib.sha256(FILE).hexdigest()
PATH = f"v1/containers/{SHA}"
TOKENS = {"a": ("acme", list(SCOPES), None), "b": ("beta", list(SCOPES), None)}


def blob(root, sha=SHA):
    return root / "objects" / sha[:2] / sha


def record(root, sha=SHA, tenant="local"):
    return root / "tenants" / tenant / "containers" / sha


def body(server, path, token=None):
    """The whole body of an answer to GET, of any size."""
    asked = urllib.request.Request(server.url + path, headers={"Authorization": f"Bearer {token}"} if token else {})
    with urllib.request.urlopen(asked, timeout=60) as found:
        return found.read()


def metric(server, name):
    lines = server.request("GET", "metrics").body.decode().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(f"{name} "))


def serve_once(root):
    """Start a server as a person would, on a folder where it must not start."""
    return subprocess.run(
        [sys.executable, "-m", "aeformat", "serve", str(root), "--port", "0"],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


# One server at a time: T4-17.


def test_a_second_server_is_refused_and_nothing_is_lost(tmp_path):
    """Overlapping starts under load, as in a restart that comes too early: exit code 2, one line, every acknowledged blob stays."""
    root, stored, is_over = tmp_path / "root", [], threading.Event()

    def send(client: int, server: Running) -> None:
        for number in range(10_000):
            if is_over.is_set():
                return
            data = latents(3, seed=100_000 * client + number)
            if upload(server, data).status == 201:
                stored.append(hashlib.sha256(data).hexdigest())

    with running(root) as server, ThreadPoolExecutor(3) as pool:
        clients = [pool.submit(send, client, server) for client in range(3)]
        try:
            refused = [serve_once(root) for _ in range(3)]
        finally:
            is_over.set()
        for client in clients:
            client.result()
        assert [(done.returncode, done.stdout, done.stderr.count("\n")) for done in refused] == [(2, "", 1)] * 3
        assert all("another server is using this folder" in done.stderr for done in refused)
        assert len(stored) > 3
        assert all(server.request("HEAD", f"v1/containers/{sha}").status == 200 for sha in stored)


def test_the_lock_ends_with_its_server(tmp_path):
    """However it ends: a killed one leaves no lock behind."""
    root = tmp_path / "root"
    with running(root) as server:
        with pytest.raises(UsageError, match="another server"):
            Storage(root)
        server.stop()  # kill -9
        Storage(root).close()
    with running(root) as server:
        assert server.is_up


def test_a_foreign_folder_is_left_as_it_is(tmp_path):
    """Not even a lock file is put into it."""
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="not the folder of a server"):
        Storage(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


class ReadOnly(Disk):
    """A disk that is mounted read-only."""

    def write_small_file(self, path, data):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))


@pytest.mark.parametrize("step", ["lock", "layout"])
def test_a_folder_that_cannot_be_written_to_is_refused_at_the_start(tmp_path, monkeypatch, step):
    """Not with the first upload."""
    root = tmp_path / "root"
    root.mkdir()
    if step == "lock":
        true_open = os.open

        def refuse(path, flags, *rest, **named):
            if flags & os.O_CREAT:
                raise OSError(errno.EROFS, os.strerror(errno.EROFS))
            return true_open(path, flags, *rest, **named)

        monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(UsageError, match=r"cannot be written to: Read-only file system"):
        Storage(root, ReadOnly())


# Blobs that are missing or damaged: T2-12, T4-16.


def cut(path):
    path.write_bytes(path.read_bytes()[:-1])


def flip(path):
    path.write_bytes(FILE[:-1] + bytes([FILE[-1] ^ 1]))


HARMS = {
    "missing": lambda path: path.unlink(),
    "empty": lambda path: path.write_bytes(b""),
    "cut": cut,
    "longer": lambda path: path.write_bytes(FILE + b"x"),
    "one bit": flip,
    "its folder": lambda path: shutil.rmtree(path.parent),
    "all folders": lambda path: shutil.rmtree(path.parent.parent),
}


@pytest.mark.parametrize("sender", ["a", "b"])
@pytest.mark.parametrize("harm", HARMS.values(), ids=HARMS)
def test_verified_bytes_replace_a_blob_that_is_not_good(tmp_path, harm, sender):
    """T4-16: whoever sends them, the tenant that had the blob or another one."""
    root = tmp_path / "root"
    with running(root, tokens=write_tokens(tmp_path / "tokens", TOKENS)) as server:
        assert upload(server, FILE, "a").status == 201
        harm(blob(root))
        assert upload(server, FILE, sender).status == 201
        assert blob(root).read_bytes() == FILE
        assert body(server, PATH, "a") == FILE


@pytest.mark.parametrize("name", [name for name in HARMS if name != "one bit"])
def test_nothing_is_promised_that_is_not_there(tmp_path, name):
    """T2-12: 404 for HEAD, GET and the upload that stored it; not in the list; it can be deleted.  It is logged and counted."""
    root = tmp_path / "root"
    with running(root, log=tmp_path / "log") as server:
        where = create(server)
        assert patch(server, where, 0, FILE, last=True).status == 201
        HARMS[name](blob(root))
        assert [server.request(method, PATH).status for method in ("HEAD", "GET")] == [404, 404]
        assert server.request("GET", f"{PATH}?rows=0").status == 404
        assert server.request("HEAD", where).status == 404
        assert json.loads(server.request("GET", "v1/containers").body) == {"containers": []}
        assert metric(server, "aeformat_blobs_missing") >= 3
        assert server.request("DELETE", PATH).status == 204
        assert server.request("DELETE", PATH).status == 404
    assert f"blob {SHA} of tenant local is" in (tmp_path / "log").read_text()


def test_a_model_whose_bytes_are_gone_is_missing_and_another_package_takes_its_place(tmp_path):
    """T2-6 holds for as long as the first package is there."""
    root, decoder = tmp_path / "root", store.find_pair("mnist-exact")[1]
    first, second = package_bytes(decoder, level=1), package_bytes(decoder, level=3)
    path, asked = f"v1/models/{decoder.model_id.hex()}", json.dumps({"models": [decoder.model_id.hex()]}).encode()
    with running(root) as server:
        assert upload(server, first).status == upload(server, second).status == 201
        assert body(server, path) == first
        blob(root, hashlib.sha256(first).hexdigest()).unlink()
        assert json.loads(server.request("POST", "v1/models:missing", {}, asked).body)["missing"]
        assert upload(server, second).status == 201
        assert body(server, path) == second
        assert not json.loads(server.request("POST", "v1/models:missing", {}, asked).body)["missing"]
    storage = Storage(root)
    assert storage.used("local") == len(second)


# Broken small files: T4-18.

GARBAGE = {
    "empty": b"",
    "garbage": b"\x00\xff" * 50,
    "cut": b'{"sha256": "5b1b',
    "a list": b"[]",
    "no fields": b"{}",
    "wrong types": b'{"sha256": 5, "size": "x", "tenant": 1, "length": -1, "kind": "containers", "name": "../../x"}',
    "deep": b"[" * 100_000,
}


@pytest.mark.parametrize("data", GARBAGE.values(), ids=GARBAGE)
def test_a_broken_record_stops_nothing(tmp_path, data):
    """While the server runs, and at its start: set aside, logged with its name, counted; all else is served; sending mends it."""
    root, other = tmp_path / "root", latents(10)
    with running(root, log=tmp_path / "log") as server:
        assert upload(server, FILE).status == upload(server, other).status == 201
        record(root).write_bytes(data)
        assert server.request("GET", PATH).status == 404
        assert len(json.loads(server.request("GET", "v1/containers").body)["containers"]) == 1
        assert metric(server, "aeformat_files_set_aside") == 1
        assert upload(server, FILE).status == 201
        assert body(server, PATH) == FILE
        record(root).write_bytes(data)
    with running(root, log=tmp_path / "log") as server:
        assert server.is_up
        assert server.request("GET", PATH).status == 404
        assert blob(root).read_bytes() == FILE  # its record may have named it
        assert body(server, f"v1/containers/{hashlib.sha256(other).hexdigest()}") == other
        assert metric(server, "aeformat_files_set_aside") == 1
        assert upload(server, FILE).status == 201
        assert body(server, PATH) == FILE
        assert not list(root.glob("quarantine/*/tenants/*/*/*"))  # what was set aside is no longer needed
    assert f"set aside tenants/local/containers/{SHA}" in (tmp_path / "log").read_text()
    storage = Storage(root)
    assert storage.used("local") == len(FILE) + len(other)


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_delete_repairs_a_broken_record(tmp_path, kind):
    """204, and the blob goes with it."""
    root = tmp_path / "root"
    with running(root) as server:
        assert upload(server, FILE).status == 201
        record(root).unlink()
        record(root).write_bytes(b"") if kind == "file" else record(root).mkdir()
        assert server.request("DELETE", PATH).status == 204
        assert not record(root).exists() and not blob(root).exists()
        assert server.request("DELETE", PATH).status == 404


@pytest.mark.parametrize("data", GARBAGE.values(), ids=GARBAGE)
@pytest.mark.parametrize("name", ["about", "result"])
@pytest.mark.parametrize("is_complete", [True, False])
def test_a_broken_file_of_an_upload_stops_nothing(tmp_path, name, is_complete, data):
    """The start goes on.  The upload is forgotten, or goes on where it was."""
    root = tmp_path / "root"
    with running(root) as server:
        where = create(server)
        assert patch(server, where, 0, FILE, last=is_complete).status == (201 if is_complete else 204)
        folder = root / "uploads" / where.rsplit("/", 1)[1]
        (folder / name).write_bytes(data)
    with running(root) as server:
        assert server.is_up
        status = server.request("HEAD", where).status
        assert status == (200 if (name == "about") == is_complete else 404)
        assert patch(server, create(server), 0, FILE, last=True).status == 201
        assert metric(server, "aeformat_files_set_aside") == 1


def test_blobs_are_kept_while_a_record_is_set_aside(tmp_path):
    """Even over a second start: nobody knows which blob the record of a model named."""
    root, package = tmp_path / "root", package_bytes(store.find_pair("mnist-exact")[1], level=1)
    with running(root) as server:
        assert upload(server, package).status == 201
    next(root.glob("tenants/local/models/*")).write_bytes(b"")
    for _ in range(2):
        Storage(root).close()
        assert blob(root, hashlib.sha256(package).hexdigest()).read_bytes() == package


def test_an_interrupted_commit_whose_bytes_are_gone_is_set_aside(tmp_path):
    """The start goes on without it."""
    root = tmp_path / "root"
    with running(root) as server:
        where = create(server)
        assert patch(server, where, 0, FILE, last=True).status == 201
    folder = root / "uploads" / where.rsplit("/", 1)[1]
    (folder / "about").write_text('{"tenant": "local", "length": null}')  # as before the last step
    record(root).unlink()
    blob(root).unlink()
    storage = Storage(root)
    assert list(storage.uploads()) == []
    assert storage.find("local", CONTAINERS, SHA) is None
    assert storage.quarantine.n_files == 1


# Names that survive a power cut: T4-19.


def test_the_folders_of_new_folders_are_synced(tmp_path, monkeypatch):
    """Each folder that is made, before anything in it is acknowledged."""
    synced = []
    true_sync = disk_module.sync_folder

    def noting(path):
        synced.append(path)
        true_sync(path)

    monkeypatch.setattr(disk_module, "sync_folder", noting)
    storage = Storage(tmp_path / "root")
    Disk().make_folder(tmp_path / "root" / "a" / "b" / "c")
    assert synced[-3:] == [tmp_path / "root", tmp_path / "root" / "a", tmp_path / "root" / "a" / "b"]
    synced.clear()
    from aeformat.net.server.storage import UploadInfo, UploadResult

    storage.create("0" * 32, UploadInfo("local", None))
    assert tmp_path / "root" / "uploads" in synced
    storage.staging("0" * 32).write_bytes(FILE)
    storage.commit("0" * 32, UploadResult("local", CONTAINERS, SHA, SHA, len(FILE)))
    assert {
        tmp_path / "root" / "objects",
        tmp_path / "root" / "tenants",
        tmp_path / "root" / "tenants" / "local",
    } <= set(synced)


# What a person removes under a running server.


@pytest.mark.parametrize("what", ["the file", "its folder", "all uploads"])
def test_an_upload_whose_bytes_are_removed_begins_anew(tmp_path, what):
    """It claims no offset that no file holds; a new upload is made and succeeds."""
    root = tmp_path / "root"
    with running(root) as server:
        where = create(server)
        assert patch(server, where, 0, FILE[:6000]).status == 204
        assert int(server.request("HEAD", where).get("Upload-Offset")) > 0
        folder = root / "uploads" / where.rsplit("/", 1)[1]
        {
            "the file": (folder / "data").unlink,
            "its folder": lambda: shutil.rmtree(folder),
            "all uploads": lambda: shutil.rmtree(folder.parent),
        }[what]()
        found = server.request("HEAD", where)
        assert found.status == 404 or found.get("Upload-Offset") == "0"
        assert patch(server, create(server), 0, FILE, last=True).status == 201
        assert body(server, PATH) == FILE
