"""aeformat store check and gc, on a folder, with and without a server that runs on it."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from transport.containers import latents

from aeformat.cli.main import main
from aeformat.errors import UsageError
from aeformat.model import store
from aeformat.model.file_io import package_bytes
from aeformat.net.server import folder_check, folder_gc
from aeformat.net.server.check_report import DAMAGE, LEFT_OVER
from aeformat.net.server.folder_check import FolderCheck
from aeformat.net.server.folder_gc import FolderGc
from aeformat.net.server.records import UploadInfo, dump
from aeformat.net.server.storage import Storage
from net.running import running, upload
from net.test_folder import FILE, PATH, SHA, blob, body, record
from net.test_tenants import SCOPES, write_tokens
from net.test_uploads import create, patch

OTHER = latents(10)
OTHER_SHA = hashlib.sha256(OTHER).hexdigest()
TOKENS = {"a": ("acme", list(SCOPES), None), "b": ("beta", list(SCOPES), None)}


@pytest.fixture
def root(tmp_path):
    """A folder in which two containers and a model are stored; no server runs."""
    with running(tmp_path / "root") as server:
        for data in (FILE, OTHER, package_bytes(store.find_pair("mnist-exact")[1], level=1)):
            assert upload(server, data).status == 201
    return tmp_path / "root"


def check(root, *options, capsys):
    """The exit code of `store check`, and its report."""
    code = main(["store", "check", str(root), "--json", *options])
    return code, json.loads(capsys.readouterr().out)


def kinds(report):
    return sorted(finding["kind"] for finding in report["findings"])


def age(path, hours):
    """Make a file old.  Its ctime stays, so the limit is moved where that counts."""
    when = time.time() - 3600 * hours
    os.utime(path, (when, when))


@pytest.fixture
def nothing_is_young(monkeypatch):
    monkeypatch.setattr(folder_check, "TEMP_SECONDS", -1.0)


def test_a_good_store_is_good(root, capsys):
    """Exit code 0, and what was looked at is counted; nothing is written."""
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    code, report = check(root, capsys=capsys)
    assert code == 0 and report["good"] and report["findings"] == []
    assert (report["blobs"], report["records"]) == (3, 3)
    assert report["bytes"] == sum(path.stat().st_size for path in root.glob("objects/*/*"))
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


BROKEN = {
    "a bit": (lambda root: flip(blob(root)), ["damaged-blob"], ["damaged-blob", "missing-blob"]),
    "cut": (lambda root: blob(root).write_bytes(FILE[:-5]), ["damaged-blob", "missing-blob"], None),
    "missing": (lambda root: blob(root).unlink(), ["missing-blob"], None),
    "empty record": (lambda root: record(root).write_bytes(b""), ["broken-record"], None),
    "record of another": (
        lambda root: record(root).write_bytes(record(root, OTHER_SHA).read_bytes()),
        ["broken-record"],
        None,
    ),
    "model is no model": (
        lambda root: next(root.glob("tenants/local/models/*")).write_bytes(record(root).read_bytes()),
        ["wrong-model"],
        None,
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_damage_is_found_set_aside_and_mended_by_a_new_upload(root, capsys, name):
    """Exit code 1, once as it is found, once as it is repaired; then 0.  The server then serves what is good, and takes it anew."""
    harm, found, repaired = BROKEN[name]
    harm(root)
    code, report = check(root, capsys=capsys)
    damage = [kind for kind in kinds(report) if kind not in ("orphan-blob", "set-aside")]
    assert (code, report["good"], damage) == (1, False, found)

    code, report = check(root, "--repair", capsys=capsys)
    damage = [kind for kind in kinds(report) if kind not in ("orphan-blob", "set-aside")]
    assert (code, damage) == (1, repaired or found)
    assert all(finding["done"] == "set aside" for finding in report["findings"] if finding["kind"] in damage)

    code, report = check(root, capsys=capsys)
    assert code == 0 and report["good"]
    assert list(root.glob("quarantine/*/**/*"))
    with running(root) as server:
        assert body(server, f"v1/containers/{OTHER_SHA}") == OTHER
        assert upload(server, FILE).status == 201
        assert body(server, PATH) == FILE


def test_a_record_that_a_good_blob_proves_is_taken_back(root, capsys):
    """The broken record of a container, and that of a model: what was acknowledged is served again, without a new upload."""
    model = next(root.glob("tenants/local/models/*"))
    record(root).write_bytes(b"")
    model.write_bytes(b"garbage")
    code, report = check(root, "--repair", capsys=capsys)
    assert code == 1
    assert [finding["done"] for finding in report["findings"] if finding["kind"] == "set-aside"] == ["taken back"] * 2
    assert check(root, capsys=capsys)[0] == 0
    with running(root) as server:
        assert body(server, PATH) == FILE
        assert server.request("HEAD", f"v1/models/{model.name}").status == 200
    storage = Storage(root)
    assert storage.used("local") == sum(path.stat().st_size for path in root.glob("objects/*/*"))


def test_what_a_tenant_has_deleted_is_not_taken_back(tmp_path, capsys):
    """A record is set aside, its blob is sent again and deleted: it stays deleted, though another tenant has the blob."""
    root, tokens = tmp_path / "root", write_tokens(tmp_path / "tokens", TOKENS)
    with running(root, tokens=tokens) as server:
        assert upload(server, FILE, "a").status == upload(server, FILE, "b").status == 201
        record(root, tenant="acme").write_bytes(b"")
        assert server.request("GET", PATH, token="a").status == 404
        assert upload(server, FILE, "a").status == 201
        assert server.request("DELETE", PATH, token="a").status == 204
        check(root, "--repair", capsys=capsys)
        assert server.request("GET", PATH, token="a").status == 404
        assert body(server, PATH, "b") == FILE


def test_a_broken_upload_and_strange_files_are_told(root, capsys):
    """Files that no server wrote are left over, not damage, and stay."""
    with running(root) as server:
        where = create(server)
        assert patch(server, where, 0, FILE[:5000]).status == 204
    about = root / "uploads" / where.rsplit("/", 1)[1] / "about"
    about.write_bytes(b"")
    (root / "objects" / "notes").mkdir()
    (root / "objects" / "notes" / "mine.txt").write_text("x")
    (root / "uploads" / "mine").mkdir()
    code, report = check(root, capsys=capsys)
    assert (code, kinds(report)) == (1, ["broken-upload", "stray-file", "stray-file"])
    code, report = check(root, "--repair", capsys=capsys)
    assert (code, kinds(report)) == (1, ["broken-upload", "set-aside", "stray-file", "stray-file"])
    assert check(root, capsys=capsys)[0] == 0
    assert (root / "objects" / "notes" / "mine.txt").exists()


def test_left_overs_are_told_and_collected(root, capsys, nothing_is_young):
    """Blobs without a record, what is set aside, old uploads, temporary files: told by check, removed by gc, and nothing else."""
    with running(root) as server:
        where = create(server)
        assert patch(server, where, 0, FILE[:5000]).status == 204
        young = create(server)
    folder = root / "uploads" / where.rsplit("/", 1)[1]
    for path in (*folder.iterdir(), folder):
        age(path, 25)
    record(root).unlink()
    (root / "objects" / ".aeformat-tmp-0").write_bytes(b"x")
    model = next(root.glob("tenants/local/models/*"))
    lost = json.loads(model.read_bytes())["sha256"]
    blob(root, lost).unlink()
    check(root, "--repair", capsys=capsys)
    code, report = check(root, capsys=capsys)
    assert (code, kinds(report)) == (0, ["orphan-blob", "set-aside", "temporary-file"])

    for options, done in (["--dry-run"], ""), ([], "removed"):
        assert main(["store", "gc", str(root), "--json", *options]) == 0
        report = json.loads(capsys.readouterr().out)
        assert kinds(report) == ["old-upload", "orphan-blob", "set-aside", "temporary-file"]
        assert {finding["done"] for finding in report["findings"]} == {done}
    assert not blob(root).exists() and blob(root, OTHER_SHA).read_bytes() == OTHER
    assert [path.name for path in (root / "uploads").iterdir() if path.is_dir()].count(young.rsplit("/", 1)[1]) == 1
    assert main(["store", "gc", str(root)]) == 0
    assert capsys.readouterr() == ("", f"{root}: 0 left over\n")
    assert check(root, capsys=capsys)[0] == 0


def test_gc_refuses_what_can_be_mended(root, capsys):
    """A blob whose record is broken is no rubbish."""
    record(root).write_bytes(b"")
    assert main(["store", "gc", str(root)]) == 2
    assert "run aeformat store check --repair first" in capsys.readouterr().err
    Storage(root).close()  # a start sets the record aside
    assert main(["store", "gc", str(root)]) == 2
    assert blob(root).exists()
    check(root, "--repair", capsys=capsys)
    assert main(["store", "gc", str(root)]) == 0
    assert blob(root).exists() and record(root).exists()


def test_gc_leaves_uploads_to_the_server_that_runs(root, capsys):
    """And says so."""
    with running(root) as server:
        where = create(server)
        age(root / "uploads" / where.rsplit("/", 1)[1] / "about", 48)
        age(root / "uploads" / where.rsplit("/", 1)[1], 48)
        assert main(["store", "gc", str(root)]) == 0
        assert "a server is running" in capsys.readouterr().err
        assert server.request("HEAD", where).status == 200


def test_checks_and_clean_ups_beside_a_server_lose_nothing(tmp_path):
    """T4-17: uploads, deletes, repairs and clean-ups at the same time, in two processes.  What was acknowledged is there."""
    root, stored, is_over = tmp_path / "root", set(), threading.Event()
    program = "import sys; from aeformat.cli.main import main; [main(['store', *a.split(), sys.argv[1]]) for a in "
    program += "('check --repair', 'gc') * 6]"

    def send(client, server):
        for number in range(100_000):
            if is_over.is_set():
                return
            data = latents(3, seed=100_000 * client + number % 20)  # the same few, again and again
            sha = hashlib.sha256(data).hexdigest()
            if upload(server, data).status == 201:
                stored.add(sha)
            if number % 3 == 0 and server.request("DELETE", f"v1/containers/{sha}").status == 204:
                stored.discard(sha)

    with running(root) as server, ThreadPoolExecutor(2) as pool:
        clients = [pool.submit(send, client, server) for client in range(2)]
        try:
            done = subprocess.run(
                [sys.executable, "-c", program, str(root)], capture_output=True, text=True, timeout=300
            )
        finally:
            is_over.set()
        for client in clients:
            client.result()
        assert done.returncode == 0, done.stderr
        assert stored
        assert all(server.request("HEAD", f"v1/containers/{sha}").status == 200 for sha in stored)
    report = FolderCheck(root).run(repairs=False)
    assert report.is_good, report.findings


def test_a_blob_that_is_put_there_meanwhile_is_left_alone(root, monkeypatch):
    """The check reads a damaged blob; before it sets it aside, an upload brings a good one."""
    flip(blob(root))
    check = FolderCheck(root)
    true_damaged = check._damaged

    def late(path, *rest):
        mended = root / "mended"
        mended.write_bytes(FILE)
        mended.replace(blob(root))
        true_damaged(path, *rest)

    monkeypatch.setattr(check, "_damaged", late)
    report = check.run(repairs=True)
    assert [finding.done for finding in report.findings] == ["left alone: a new upload has replaced it"]
    assert blob(root).read_bytes() == FILE


def test_a_blob_that_is_named_meanwhile_is_not_collected(root, monkeypatch):
    """gc finds a blob without a record; before it removes it, an upload names it."""
    record(root).unlink()
    gc = FolderGc(root, is_dry=False)
    true_remove = gc._remove_orphan

    def late(path, was):
        mended = root / "mended"
        mended.write_bytes(FILE)
        mended.replace(blob(root))
        true_remove(path, was)

    monkeypatch.setattr(gc, "_remove_orphan", late)
    assert gc.run().findings == []
    assert blob(root).read_bytes() == FILE


def test_a_commit_that_a_start_finishes_meanwhile_is_not_collected(root, monkeypatch):
    """A server died after the blob was in its place, before its record.  gc finds it; then the next server names it."""
    record(root).unlink()
    result = next(path for path in root.glob("uploads/*/result") if SHA in path.read_text())
    (result.parent / "about").write_bytes(dump(UploadInfo("local", None)))
    calls, true_records = [], folder_gc.records

    def late(root):
        found = list(true_records(root))
        calls.append(len(found))
        if len(calls) == 2:  # gc has looked for broken ones before
            Storage(root).close()
        return found

    monkeypatch.setattr(folder_gc, "records", late)
    assert FolderGc(root, is_dry=False).run().findings == []
    assert len(calls) == 2 and record(root).exists() and blob(root).read_bytes() == FILE


def test_a_repair_is_known_to_the_server_that_runs(tmp_path, capsys):
    """The quota of a record that was set aside is free again, without a restart."""
    root = tmp_path / "root"
    tokens = write_tokens(tmp_path / "tokens", {"small": ("small", list(SCOPES), None)})
    with running(root, tokens=tokens) as server:
        data = latents(400, dims=32)
        assert upload(server, data, "small").status == 201
        blob(root, hashlib.sha256(data).hexdigest()).unlink()
        assert upload(server, latents(400, dims=32, seed=5), "small").status == 507
        check(root, "--repair", capsys=capsys)
        assert upload(server, latents(400, dims=32, seed=5), "small").status == 201


def test_a_folder_that_is_no_servers_is_refused(tmp_path, capsys):
    """Exit code 2, and nothing is made there."""
    for action in ("check", "gc"):
        assert main(["store", action, str(tmp_path)]) == 2
        assert "is not the folder of a server" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_text_names_each_finding(root, capsys):
    """One line each on standard output; the sum on standard error."""
    flip(blob(root))
    assert main(["store", "check", str(root)]) == 1
    out, err = capsys.readouterr()
    assert out.startswith(f"objects/{SHA[:2]}/{SHA}: damaged-blob: its SHA-256 is ") and out.count("\n") == 1
    assert err.startswith(f"{root}: 2 good blobs, ") and err.endswith("3 records; 1 problem, 0 left over\n")


def test_what_the_page_shows_is_so(root, monkeypatch, capsys):
    """docs/storage.md: its commands run, and its findings are those that there are."""
    page = (Path(__file__).resolve().parents[2] / "docs" / "storage.md").read_text(encoding="utf-8")
    monkeypatch.chdir(root.parent)
    root.rename("store")
    commands = re.findall(r"^aeformat (store .* store.*)$", page, re.MULTILINE)
    assert len(commands) == 4
    assert [main(command.split()) for command in commands] == [0] * 4
    told = {kind for line in page.splitlines() if line.startswith("| `") for kind in re.findall(r"`([a-z-]+)`", line)}
    assert {*DAMAGE, *LEFT_OVER} <= told


def test_a_blob_that_cannot_be_read_is_damaged(root, monkeypatch):
    """A bad sector: it is set aside, and the check goes on."""
    true_open = Path.open

    def fail(path, *rest, **named):
        if path == blob(root):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return true_open(path, *rest, **named)

    monkeypatch.setattr(Path, "open", fail)
    report = FolderCheck(root).run(repairs=True)
    assert [(finding.kind, finding.done) for finding in report.findings if finding.is_damage] == [
        ("damaged-blob", "set aside"),
        ("missing-blob", "set aside"),
    ]
    assert report.n_blobs == 2 and not blob(root).exists()


def test_a_blob_that_this_user_may_not_read_is_not_damaged(root, monkeypatch):
    """Nor does another user than the server's repair or remove anything: the server could not read what that one writes."""

    true_open = Path.open

    def fail(path, *rest, **named):
        if path == blob(root):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return true_open(path, *rest, **named)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", fail)
        with pytest.raises(PermissionError):
            FolderCheck(root).run(repairs=True)
    assert not (root / "quarantine").exists()
    monkeypatch.setattr(os, "geteuid", lambda: -1)
    for act in (lambda: FolderCheck(root).run(repairs=True), lambda: FolderGc(root, is_dry=False)):
        with pytest.raises(UsageError, match="belongs to another user"):
            act()
    assert FolderCheck(root).run(repairs=False).is_good


def test_what_is_deleted_during_a_check_is_no_finding(root, monkeypatch):
    """Blobs come and go while it reads."""
    check = FolderCheck(root)
    true_check = check._check_blob

    def late(path):
        if path == blob(root):
            record(root).unlink()
            path.unlink()
        return true_check(path)

    monkeypatch.setattr(check, "_check_blob", late)
    assert check.run(repairs=True).findings == []


def test_a_record_that_cannot_be_read_is_broken(root, monkeypatch):
    """A bad sector in a small file is no reason not to start."""
    true_read = Path.read_bytes

    def fail(path):
        if path == record(root) and path.exists():
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return true_read(path)

    monkeypatch.setattr(Path, "read_bytes", fail)
    storage = Storage(root)
    assert storage.quarantine.n_files == 1
    assert storage.find("local", "containers", SHA) is None
    assert blob(root).exists()
