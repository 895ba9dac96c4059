"""Servers whose blobs lie in a bucket: one as any server, many on one bucket, killed at every step."""

from __future__ import annotations

import contextlib
import datetime
import errno
import hashlib
import itertools
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from transport.containers import latents

from aeformat.cli.main import main
from aeformat.errors import UsageError
from aeformat.model import store
from aeformat.model.file_io import package_bytes
from aeformat.net.server import bucket as bucket_module
from aeformat.net.server import bucket_check
from aeformat.net.server.bucket import Bucket
from aeformat.net.server.bucket_store import BucketStore
from aeformat.net.server.open_storage import open_storage
from aeformat.net.server.records import CONTAINERS
from aeformat.net.server.store import StoreFailed
from net.running import Running, running, upload
from net.s3_service import NAME
from net.test_api import digits
from net.test_folder import FILE, PATH, SHA, body, metric
from net.test_stores import put, service
from net.test_tenants import SCOPES, write_tokens
from net.test_uploads import create, patch

__all__ = ["service"]
TOKENS = {"a": ("acme", list(SCOPES), None), "b": ("beta", list(SCOPES), None), "small": ("small", list(SCOPES), None)}


@pytest.fixture
def url(service):
    """A prefix of the bucket that no other test uses."""
    return f"s3://{NAME}/{secrets.token_hex(8)}"


def objects(url):
    return [entry.key for entry in Bucket(url).listed("objects/")]


# One server.


def test_a_server_on_a_bucket_is_a_server(url, tmp_path):
    """Storing, reading, ranges, pictures, the list, models, deleting: as on a folder; nothing of a blob stays on this machine."""
    decoder, picture = store.find_pair("mnist-exact")[1], digits(3)
    model = f"v1/models/{decoder.model_id.hex()}"
    asked = json.dumps({"models": [decoder.model_id.hex(), "0" * 64]}).encode()
    with running(tmp_path / "staging", bucket=url) as server:
        for data in (FILE, picture, package_bytes(decoder, level=1)):
            assert upload(server, data).status == 201
        assert upload(server, FILE).status == 201
        assert body(server, PATH) == FILE
        found = server.request("GET", PATH, {"Range": "bytes=100-199"})
        assert (found.status, found.body) == (206, FILE[100:200])
        assert server.request("HEAD", PATH).get("Content-Length") == str(len(FILE))
        assert server.request("GET", PATH, {"Range": f"bytes={len(FILE)}-"}).status == 416
        rows = f"v1/containers/{hashlib.sha256(picture).hexdigest()}?rows=0-2"
        assert server.request("GET", rows, {"Accept": "image/png"}).body.startswith(b"\x89PNG")
        listed = json.loads(server.request("GET", "v1/containers").body)["containers"]
        assert [entry["sha256"] for entry in listed] == sorted([SHA, hashlib.sha256(picture).hexdigest()])
        assert json.loads(server.request("POST", "v1/models:missing", {}, asked).body) == {"missing": ["0" * 64]}
        assert server.request("HEAD", model).status == 200
        assert server.request("DELETE", PATH).status == 204
        assert [server.request(method, PATH).status for method in ("GET", "HEAD", "DELETE")] == [404] * 3
        assert server.request("DELETE", model).status == 204
    assert len(objects(url)) == 1
    staged = [path for path in (tmp_path / "staging").rglob("*") if path.is_file() and path.stat().st_size > 1000]
    assert staged == []


def test_a_large_blob_goes_in_parts(url, tmp_path, monkeypatch):
    """And comes back; no part is left."""
    monkeypatch.setattr(bucket_module, "PART_BYTES", 5 << 20)
    data = latents(30_000, dims=128, chunk_rows=5000)
    assert len(data) > 11 << 20
    with running(tmp_path / "staging", bucket=url) as server:
        assert upload(server, data).status == 201
        assert body(server, f"v1/containers/{hashlib.sha256(data).hexdigest()}") == data
    (key,) = objects(url)
    assert Bucket(url).read(key)[1].endswith('-6"')  # the entity tag tells the number of parts
    assert list(Bucket(url).unfinished()) == []


def test_what_is_lost_in_the_bucket_is_not_promised_and_can_be_sent_again(url, tmp_path):
    """T2-12, T4-16: an object is missing; an object has another length."""
    bucket = Bucket(url)
    with running(tmp_path / "staging", bucket=url) as server:
        for harm in ("missing", "cut"):
            where = create(server)
            assert patch(server, where, 0, FILE, last=True).status == 201
            (key,) = objects(url)
            bucket.delete(key)
            if harm == "cut":
                assert bucket.put(key, FILE[:-1])
            assert [server.request(method, PATH).status for method in ("HEAD", "GET")] == [404, 404]
            assert server.request("HEAD", where).status == 404
            assert metric(server, "aeformat_blobs_missing") >= 3
            assert upload(server, FILE).status == 201
            assert body(server, PATH) == FILE
            assert server.request("DELETE", PATH).status == 204
            for left in objects(url):
                bucket.delete(left)


@pytest.mark.parametrize("data", [b"", b"{}", b'{"sha256": "00", "size": 1}', b"\xff" * 99])
def test_a_broken_record_in_the_bucket_stops_nothing(url, tmp_path, data):
    """T4-18."""
    key = f"tenants/local/containers/{SHA}"
    bucket = Bucket(url)
    with running(tmp_path / "staging", bucket=url) as server:
        for repair in ("GET", "DELETE"):
            assert upload(server, FILE).status == 201
            assert bucket.put(key, data, replaces=bucket.read(key)[1])
            assert server.request(repair, PATH).status == (404 if repair == "GET" else 204)
            assert bucket.read(key) is None
            assert json.loads(server.request("GET", "v1/containers").body) == {"containers": []}
        assert metric(server, "aeformat_files_set_aside") == 1
        assert upload(server, FILE).status == 201
        assert body(server, PATH) == FILE
    assert len(list(bucket.listed("quarantine/"))) == 1


# Many servers.


def shared_load(url, tmp_path, seconds):
    """Two servers on one bucket, five clients, kill -9 of one server after the other, check --repair and gc beside them.

    Returns the numbers of kills, of acknowledged uploads, of blobs that must be there, and of those that are not.
    """
    tokens = write_tokens(tmp_path / "tokens", TOKENS)
    until = time.monotonic() + seconds

    def start(number):
        return Running(server_settings(tmp_path / f"staging{number}", url, tokens))

    servers = [start(number) for number in range(2)]

    def sends(number):
        """The same few blobs as another client, to both servers in turn; and which must be there in the end."""
        stored, n_acknowledged = set(), 0
        for n in itertools.count():
            if time.monotonic() > until:
                return stored, n_acknowledged
            data, token = latents(3, seed=number % 2 * 1000 + n % 25), "ab"[number // 2]
            with contextlib.suppress(AssertionError, OSError):  # the server was killed
                if upload(servers[(number + n) % 2], data, token).status == 201:
                    stored.add((f"v1/containers/{hashlib.sha256(data).hexdigest()}", token))
                    n_acknowledged += 1

    def deletes():
        """Blobs of its own, and by turns those that nobody has: what others have is expected to stay."""
        for n in itertools.count():
            if time.monotonic() > until:
                return
            data = latents(3, seed=5000 + n % 5)
            for server in servers:
                with contextlib.suppress(AssertionError, OSError):
                    upload(server, data, "a")
                    server.request("DELETE", f"v1/containers/{hashlib.sha256(data).hexdigest()}", token="a")

    n_kills = 0
    with ThreadPoolExecutor(5) as pool:
        clients, other = [pool.submit(sends, number) for number in range(4)], pool.submit(deletes)
        while time.monotonic() < until - 2:
            time.sleep(1.0)
            servers[n_kills % 2].stop(signal.SIGKILL)
            servers[n_kills % 2] = start(n_kills % 2)
            n_kills += 1
            if n_kills % 8 == 2:
                main(["store", "check", url, "--repair"])
                main(["store", "gc", url])
        other.result()
        found = [future.result() for future in clients]
    stored = set().union(*(stored for stored, _ in found))
    try:
        n_lost = sum(
            server.request("HEAD", path, token=token).status != 200 for server in servers for path, token in stored
        )
    finally:
        for server in servers:
            server.stop()
    return n_kills, sum(n for _, n in found), len(stored), n_lost


def test_two_servers_share_a_bucket_under_load_and_kills_and_lose_nothing(url, tmp_path):
    """Uploads of the same and of other blobs, deletes, kill -9 of either server in between, a check and a clean-up beside them."""
    n_kills, n_acknowledged, n_stored, n_lost = shared_load(url, tmp_path, 12)
    assert n_kills >= 2 and n_acknowledged >= n_stored >= 10
    assert n_lost == 0
    assert main(["store", "check", url]) == 0


def server_settings(staging, url, tokens=None):
    from aeformat.net.server.run import Settings

    return Settings(staging, "127.0.0.1", 0, tokens, bucket=url)


def test_whatever_request_it_dies_at_the_blob_is_whole_and_the_upload_goes_on(url, tmp_path, monkeypatch):
    """T4-10: kill -9 before and after each request to the bucket; the next start finishes what was acknowledged."""
    true_call = Bucket._call
    n_deaths = 0
    for number in range(1, 100):
        left = [number]

        def call(self, operation, left=left, before=number % 2 == 0, **named):
            left[0] -= 1
            if left[0] == 0 and before:
                os.kill(os.getpid(), signal.SIGKILL)
            try:
                return true_call(self, operation, **named)
            finally:
                if left[0] == 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        here, staging = f"{url}/{number}", tmp_path / str(number)
        with monkeypatch.context() as patched:
            patched.setattr(Bucket, "_call", call)
            with running(staging, bucket=here) as server:
                status = 0
                try:
                    if server.is_up:
                        where = create(server)
                        status = patch(server, where, 0, FILE, last=True).status
                except AssertionError:  # it died
                    pass
        n_deaths += status != 201
        with running(staging, bucket=here) as server:
            if status == 201:
                assert body(server, PATH) == FILE
                break
            assert upload(server, FILE).status == 201
            assert body(server, PATH) == FILE
        assert main(["store", "check", here]) == 0
    assert status == 201 and n_deaths >= 6


def test_a_commit_that_was_interrupted_is_finished_at_the_start(url, tmp_path, monkeypatch):
    """The client was not answered, and finds its upload complete."""
    with monkeypatch.context() as patched:

        def die(self, key, path, sha256):
            os.kill(os.getpid(), signal.SIGKILL)

        patched.setattr(Bucket, "put_file", die)
        with running(tmp_path / "staging", bucket=url) as server:
            where = create(server)
            with pytest.raises(AssertionError):
                patch(server, where, 0, FILE, last=True)
    with running(tmp_path / "staging", bucket=url) as server:
        found = server.request("HEAD", where)
        assert (found.status, found.get("Upload-Complete")) == (200, "?1")
        assert body(server, PATH) == FILE


def test_kill_in_the_middle_of_parts_leaves_parts_that_the_clean_up_removes(url, tmp_path, monkeypatch):
    """Once they are a day old; younger ones may be under way."""
    monkeypatch.setattr(bucket_module, "PART_BYTES", 5 << 20)
    data = latents(30_000, dims=128, chunk_rows=5000)
    true_call = Bucket._call
    with monkeypatch.context() as patched:

        def call(self, operation, **named):
            if operation == "complete_multipart_upload":
                os.kill(os.getpid(), signal.SIGKILL)
            return true_call(self, operation, **named)

        patched.setattr(Bucket, "_call", call)
        with running(tmp_path / "staging", bucket=url) as server, pytest.raises(AssertionError):
            upload(server, data)
    (left,) = Bucket(url).unfinished()
    with monkeypatch.context() as patched:  # moto's are all of the year 2010
        patched.setattr(Bucket, "unfinished", lambda self: iter([replace(left, when=time.time() - 80_000)]))
        assert main(["store", "gc", url]) == 0
    assert list(Bucket(url).unfinished()) == [left]
    assert main(["store", "gc", url]) == 0
    assert list(Bucket(url).unfinished()) == []


def test_what_other_servers_stored_counts_when_it_is_counted_again(url, tmp_path, monkeypatch):
    """The quota over many servers holds as of the last count."""
    from aeformat.net.server import bucket_store

    tokens = write_tokens(tmp_path / "tokens", TOKENS)
    monkeypatch.setattr(bucket_store, "_COUNTED_SECONDS", 0.0)
    monkeypatch.setattr(bucket_store, "_COUNT_SHARE", 0)
    with (
        running(tmp_path / "1", bucket=url, tokens=tokens) as one,
        running(tmp_path / "2", bucket=url, tokens=tokens) as two,
    ):
        assert upload(one, FILE, "small").status == 201
        assert upload(two, latents(400, dims=32, seed=5), "small").status == 507
        assert two.request("DELETE", PATH, token="small").status == 204
        assert upload(one, latents(400, dims=32, seed=5), "small").status == 201


# The store alone: races and lost answers, one step at a time.


@pytest.fixture
def two(url, tmp_path):
    return BucketStore(Bucket(url), tmp_path), BucketStore(Bucket(url), tmp_path)


def test_a_delete_between_the_object_and_the_record_of_another_server_loses_nothing(two, tmp_path, monkeypatch):
    """One server has written its object; another one deletes what the tenant had under this name; then the record is written."""
    one, other = two
    sha256 = put(other, tmp_path, b"abc")
    other._bucket.delete(objects(other._bucket.url)[0])  # the blob is lost, so that it is sent again
    true_put = one._bucket.put_file

    def late(key, path, digest):
        true_put(key, path, digest)
        assert other.delete("acme", CONTAINERS, sha256)

    monkeypatch.setattr(one._bucket, "put_file", late)
    put(one, tmp_path, b"abc")
    assert one.holds(one.find("acme", CONTAINERS, sha256), "acme")


def test_of_two_servers_that_store_one_blob_one_wins_and_the_other_clears_up(two, tmp_path, monkeypatch):
    """One record, one object."""
    one, other = two
    true_put = one._bucket.put_file

    def late(key, path, digest):
        true_put(key, path, digest)
        put(other, tmp_path, b"abc")

    monkeypatch.setattr(one._bucket, "put_file", late)
    sha256 = put(one, tmp_path, b"abc")
    assert one.find("acme", CONTAINERS, sha256) == other.find("acme", CONTAINERS, sha256)
    assert len(objects(one._bucket.url)) == 1


def test_an_answer_that_was_lost_is_no_failure(two, tmp_path, monkeypatch):
    """The service has carried out a write and the answer is lost; the client library sends it again, and it is refused."""
    one, _ = two
    true_call = one._bucket._call

    def call(operation, **named):
        found = true_call(operation, **named)
        if operation in ("put_object", "complete_multipart_upload"):
            return true_call(operation, **named)
        return found

    monkeypatch.setattr(one._bucket, "_call", call)
    sha256 = put(one, tmp_path, b"abc")
    assert one.holds(one.find("acme", CONTAINERS, sha256), "acme")
    assert len(objects(one._bucket.url)) == 1


def test_a_conflict_is_tried_again(two, tmp_path, monkeypatch):
    """409 ConditionalRequestConflict, as a service answers two conditional writes at a time; for ever is a failure."""
    one, _ = two
    true_call, n_left = one._bucket._call, [2]

    def call(operation, **named):
        if operation == "put_object" and n_left[0]:
            n_left[0] -= 1
            raise bucket_module._Conflict(errno.EIO, "conflict")
        return true_call(operation, **named)

    monkeypatch.setattr(one._bucket, "_call", call)
    assert one.holds(one.find("acme", CONTAINERS, put(one, tmp_path, b"abc")), "acme")
    n_left[0] = 1000
    with pytest.raises(StoreFailed, match="faster each time"):
        put(one, tmp_path, b"abcd")


@pytest.mark.parametrize("n_bytes", [3, 11_000_000])
def test_a_staged_file_that_its_disk_has_damaged_is_not_stored(url, tmp_path, monkeypatch, n_bytes):
    """The bytes are hashed once more as they go out, whole or in parts; no part is left."""
    from aeformat.net.server.records import UploadResult

    monkeypatch.setattr(bucket_module, "PART_BYTES", 5 << 20)
    one, path = BucketStore(Bucket(url), tmp_path), tmp_path / "data"
    path.write_bytes(bytes(n_bytes - 1) + b"!")
    sha256 = hashlib.sha256(bytes(n_bytes)).hexdigest()
    with pytest.raises(StoreFailed, match="damaged on its disk"):
        one.put(UploadResult("acme", CONTAINERS, sha256, sha256, n_bytes), path)
    assert objects(url) == list(Bucket(url).unfinished()) == []


# Check and gc.


def found_by(capsys, *arguments):
    code = main(["store", *arguments, "--json"])
    report = json.loads(capsys.readouterr().out)
    return code, sorted((finding["kind"], finding["done"]) for finding in report["findings"])


def test_a_bucket_is_checked_repaired_and_cleaned_up(url, tmp_path, capsys, monkeypatch):
    """As a folder is; then a new upload mends what was damaged."""
    bucket, other = Bucket(url), latents(10)
    model = package_bytes(store.find_pair("mnist-exact")[1], level=1)
    with running(tmp_path / "staging", bucket=url) as server:
        for data in (FILE, other, model, latents(20), latents(30)):
            assert upload(server, data).status == 201
        assert found_by(capsys, "check", url) == (0, [])

        (key,) = [key for key in objects(url) if SHA in key]
        bucket.delete(key)
        assert bucket.put(key, FILE[:-1] + b"!")
        (key,) = [key for key in objects(url) if hashlib.sha256(other).hexdigest() in key]
        bucket.delete(key)
        (record,) = [entry.key for entry in bucket.listed("tenants/local/models/")]
        assert bucket.put(record, b"", replaces=bucket.read(record)[1])
        assert bucket.put("objects/notes.txt", b"mine")
        damage = ["broken-record", "damaged-blob", "missing-blob"]
        stray = ("stray-file", "")
        assert found_by(capsys, "check", url) == (1, [*((kind, "") for kind in damage), stray])
        assert main(["store", "gc", url]) == 0
        done = [(kind, "set aside") for kind in damage] + [("set-aside", "")] * 3
        assert found_by(capsys, "check", url, "--repair") == (1, sorted([*done, stray]))
        assert found_by(capsys, "check", url) == (0, [*[("set-aside", "")] * 3, stray])
        for data in (FILE, other, model):
            assert upload(server, data).status == 201
        assert body(server, PATH) == FILE

        monkeypatch.setattr(bucket_check, "YOUNG_SECONDS", -10.0)
        left = [("orphan-blob", "")] * 2 + [("set-aside", "")] * 3
        assert found_by(capsys, "gc", url, "--dry-run") == (0, left)
        assert found_by(capsys, "gc", url) == (0, [(kind, "removed") for kind, _ in left])
        assert found_by(capsys, "check", url) == (0, [stray])
        assert len(json.loads(server.request("GET", "v1/containers").body)["containers"]) == 4


def test_gc_of_a_bucket_refuses_what_can_be_mended(url, tmp_path, capsys, monkeypatch):
    """The object of a broken record is not removed before the record was looked at."""
    monkeypatch.setattr(bucket_check, "YOUNG_SECONDS", -10.0)
    with running(tmp_path / "staging", bucket=url) as server:
        assert upload(server, FILE).status == 201
    key, bucket = f"tenants/local/containers/{SHA}", Bucket(url)
    bucket.put(key, b"", replaces=bucket.read(key)[1])
    assert main(["store", "gc", url]) == 2
    assert "run aeformat store check --repair first" in capsys.readouterr().err
    assert len(objects(url)) == 1


def test_records_that_name_the_wrong_blob_are_found(url, tmp_path, capsys):
    """A container's record that names another digest; a model's record that names no package, or one of another model."""
    bucket, other = Bucket(url), latents(10)
    encoder, decoder = (package_bytes(model, level=1) for model in store.find_pair("mnist-exact"))
    with running(tmp_path / "staging", bucket=url) as server:
        for data in (FILE, other, encoder, decoder):
            assert upload(server, data).status == 201
    models = [entry.key for entry in bucket.listed("tenants/local/models/")]
    contents = [bucket.read(key) for key in models]
    of_other = bucket.read(f"tenants/local/containers/{hashlib.sha256(other).hexdigest()}")[0]
    assert bucket.put(models[0], of_other, replaces=contents[0][1])
    assert bucket.put(models[1], contents[0][0], replaces=contents[1][1])
    key = f"tenants/local/containers/{SHA}"
    assert bucket.put(key, of_other, replaces=bucket.read(key)[1])
    assert found_by(capsys, "check", url) == (1, [("broken-record", ""), ("wrong-model", ""), ("wrong-model", "")])


def test_long_lists_are_read_to_their_end(url, tmp_path, monkeypatch):
    """Objects, records, and uploads in parts, of which a service tells a thousand at a time."""
    true_call = Bucket._call
    pages = {None: [1, 2], "2": [3, 4], "4": [5]}

    def call(self, operation, **named):
        if operation == "list_multipart_uploads":
            begun = datetime.datetime.now(datetime.timezone.utc)
            some = pages[named.get("KeyMarker")]
            uploads = [{"Key": f"{self._prefix}{n}", "UploadId": f"u{n}", "Initiated": begun} for n in some]
            more = {"NextKeyMarker": str(some[-1]), "NextUploadIdMarker": "x"} if some[-1] < 5 else {}
            return {"Uploads": uploads, "IsTruncated": bool(more)} | more
        return true_call(self, operation, **named | ({"MaxKeys": 2} if operation == "list_objects_v2" else {}))

    monkeypatch.setattr(Bucket, "_call", call)
    one = BucketStore(Bucket(url), tmp_path)
    shas = sorted(put(one, tmp_path, bytes([n])) for n in range(7))
    assert [stored.record.sha256 for stored in one.containers("acme", "", 100)] == shas
    assert [stored.record.sha256 for stored in one.containers("acme", shas[0], 5)] == shas[1:6]
    one.count("acme")
    assert one.used("acme") == 7
    assert [left.key for left in one._bucket.unfinished()] == ["1", "2", "3", "4", "5"]


@pytest.mark.parametrize("operation", ["get_object", "head_object", "list_objects_v2"])
def test_what_is_deleted_during_a_check_is_no_finding(url, tmp_path, monkeypatch, operation):
    """Blobs come and go while it reads."""
    one, true_call = BucketStore(Bucket(url), tmp_path), Bucket._call
    shas = [put(one, tmp_path, bytes([n])) for n in range(3)]
    deleted = []

    def call(self, asked, **named):
        if asked == operation and not deleted:
            deleted.append(1)
            for sha256 in shas:
                assert one.delete("acme", CONTAINERS, sha256)
        return true_call(self, asked, **named)

    check = bucket_check.BucketCheck(Bucket(url))
    monkeypatch.setattr(Bucket, "_call", call)
    assert check.run(repairs=True).findings == []


def test_a_connection_that_breaks_is_an_error_of_the_store(url, tmp_path, monkeypatch):
    """While an answer is read, and while one is awaited: no other kind of exception comes out."""
    from botocore.exceptions import EndpointConnectionError, IncompleteReadError

    def fail(error):
        raise error

    one = BucketStore(Bucket(url), tmp_path)
    record = one.find("acme", CONTAINERS, put(one, tmp_path, b"abc"))
    with one.open(record, "acme", 0, 3) as file:
        monkeypatch.setattr(file._body, "read", lambda n: fail(IncompleteReadError(actual_bytes=1, expected_bytes=3)))
        with pytest.raises(StoreFailed, match="broke off"):
            file.read(3)
    error = EndpointConnectionError(endpoint_url="x")
    monkeypatch.setattr(one._bucket._client, "get_object", lambda **named: fail(error))
    with pytest.raises(StoreFailed, match="Could not connect"):
        one.find("acme", CONTAINERS, "0" * 64)


def test_a_bucket_that_fails_is_a_500_and_the_upload_goes_on(url, tmp_path, monkeypatch):
    """What was acknowledged is staged; the last request can be repeated once the bucket answers again."""
    true_call, broken = Bucket._call, tmp_path / "broken"

    def call(self, operation, **named):
        if broken.exists():
            raise StoreFailed(errno.EIO, "the service is down")
        return true_call(self, operation, **named)

    monkeypatch.setattr(Bucket, "_call", call)
    with running(tmp_path / "staging", bucket=url) as server:
        where = create(server)
        broken.touch()
        found = patch(server, where, 0, FILE, last=True)
        assert (found.status, found.get("Retry-After") is not None) == (500, True)
        assert server.request("GET", PATH).status == 500
        assert int(server.request("HEAD", where).get("Upload-Offset")) == len(FILE)
        broken.unlink()
        assert patch(server, where, len(FILE), b"", last=True).status == 201
        assert body(server, PATH) == FILE


# What is refused at the start.


@pytest.mark.parametrize("text", ["s3://", "s3:///x", "s3://a", "s3://UPPER/x", "s3://under_score/x"])
def test_a_malformed_url_is_refused(text):
    """Before anything is asked."""
    with pytest.raises(UsageError, match="not of the form s3://bucket/prefix"):
        Bucket(text)


def test_a_bucket_that_is_not_there_is_refused(url, tmp_path):
    """And one to which there is no way, one of another program, one without conditions."""
    with pytest.raises(UsageError, match="NoSuchBucket"):
        open_storage(tmp_path / "1", "s3://there-is-no-such-bucket/x")
    Bucket(url).put("layout", b"mine")
    with pytest.raises(UsageError, match="by another program"):
        open_storage(tmp_path / "2", url)
    with pytest.raises(UsageError, match="not the bucket of a server"):
        bucket_check.require_ours(Bucket(f"{url}/elsewhere"))


def test_a_service_without_conditional_writes_is_refused(url, tmp_path, monkeypatch):
    """Or two servers would overwrite each other's records."""
    true_call = Bucket._call

    def call(self, operation, **named):
        named.pop("IfNoneMatch", None)
        return true_call(self, operation, **named)

    monkeypatch.setattr(Bucket, "_call", call)
    with pytest.raises(UsageError, match="ignores the condition of a write"):
        open_storage(tmp_path / "root", url)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["serve", "s3://bucket/x"], "with s3:// give --staging"),
        (["serve", "folder", "--staging", "x"], "--staging goes with s3://"),
        (["serve", "s3://-/x", "--staging", "x"], "not of the form s3://bucket/prefix"),
        (["store", "check", "s3://-/x"], "not of the form s3://bucket/prefix"),
    ],
)
def test_wrong_arguments_are_one_line_and_exit_code_2(arguments, says, tmp_path, monkeypatch, capsys):
    """Nothing is made."""
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    err = capsys.readouterr().err
    assert says in err and err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_without_credentials_or_service_the_start_says_so(tmp_path):
    """One line, exit code 2."""
    places = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    places |= {"AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": os.devnull, "AWS_DEFAULT_REGION": "us-east-1"}
    places |= {"AWS_SHARED_CREDENTIALS_FILE": os.devnull, "AWS_ENDPOINT_URL": "http://127.0.0.1:1"}
    done = subprocess.run(
        [sys.executable, "-m", "aeformat", "serve", "s3://bucket/x", "--staging", str(tmp_path / "staging")],
        env=places, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert "credentials" in done.stderr


def test_a_folder_of_one_kind_is_not_taken_for_the_other(url, tmp_path):
    """Staging for a bucket, or a store."""
    open_storage(tmp_path / "store").close()
    open_storage(tmp_path / "staging", url).close()
    with pytest.raises(UsageError, match="keeps blobs"):
        open_storage(tmp_path / "store", url)
    with pytest.raises(UsageError, match="stages for a bucket"):
        open_storage(tmp_path / "staging")
