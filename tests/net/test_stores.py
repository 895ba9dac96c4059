"""What both stores promise, the folder and the bucket (aeformat/net/server/store.py)."""

from __future__ import annotations

import hashlib
import os
import secrets

import pytest

from aeformat.net.server.disk import Disk
from aeformat.net.server.folder_lock import FolderLock
from aeformat.net.server.folder_store import FolderStore
from aeformat.net.server.quarantine import Quarantine
from aeformat.net.server.records import CONTAINERS, MODELS, UploadResult
from net.s3_service import NAME, s3_service

MODEL = "d" * 64


@pytest.fixture(scope="module")
def service():
    with s3_service() as places, pytest.MonkeyPatch.context() as patch:
        for name, value in places.items():
            patch.setenv(name, value)
        import boto3

        boto3.client("s3").create_bucket(Bucket=NAME)
        yield


@pytest.fixture(params=["folder", "bucket"])
def store(request, tmp_path):
    if request.param == "folder":
        root = tmp_path / "root"
        root.mkdir()
        return FolderStore(root, Disk(), FolderLock(root), Quarantine(root, Disk()))
    request.getfixturevalue("service")
    from aeformat.net.server import bucket
    from aeformat.net.server.bucket import Bucket
    from aeformat.net.server.bucket_store import BucketStore

    request.getfixturevalue("monkeypatch").setattr(bucket, "PART_BYTES", 5 << 20)
    return BucketStore(Bucket(f"s3://{NAME}/{secrets.token_hex(8)}"), tmp_path)


def put(store, tmp_path, data, tenant="acme", model=""):
    path = tmp_path / secrets.token_hex(8)
    path.write_bytes(data)
    sha256 = hashlib.sha256(data).hexdigest()
    kind, name = (MODELS, model) if model else (CONTAINERS, sha256)
    store.put(UploadResult(tenant, kind, name, sha256, len(data)), path)
    return sha256


def whole(store, record, tenant="acme"):
    with store.open(record, tenant, 0, record.size) as file:
        return b"".join(iter(lambda: file.read(1000), b""))


@pytest.mark.parametrize("n_bytes", [1, 100_000, (5 << 20) - 1, 5 << 20, (5 << 20) + 1, 12_000_000])
def test_a_blob_comes_back_byte_for_byte(store, tmp_path, n_bytes):
    """Whole, by ranges, and as a local file; in one piece or in parts."""
    data = os.urandom(n_bytes)
    sha256 = put(store, tmp_path, data)
    record = store.find("acme", CONTAINERS, sha256)
    assert (record.sha256, record.size) == (sha256, n_bytes)
    assert store.holds(record, "acme")
    assert whole(store, record) == data
    for start, stop in ((0, 1), (n_bytes - 1, n_bytes), (n_bytes // 3, n_bytes // 2 + 1)):
        with store.open(record, "acme", start, stop) as file:
            assert file.read(stop - start) == data[start:stop]
    with store.open(record, "acme", 0, 0) as file:
        assert file is not None
    with store.local_file(record, "acme") as path:
        assert path.read_bytes() == data


def test_what_is_not_there_is_none(store, tmp_path):
    """Another tenant's blob too."""
    sha256 = put(store, tmp_path, b"abc")
    assert store.find("beta", CONTAINERS, sha256) is None
    assert store.find("acme", MODELS, sha256) is None
    assert not store.delete("beta", CONTAINERS, sha256)
    assert store.known("acme", CONTAINERS, [sha256, "0" * 64]) == {sha256}
    assert store.known("beta", CONTAINERS, [sha256]) == set()
    assert store.containers("beta", "", 10) == []


def test_the_bytes_of_each_tenant_are_counted_once(store, tmp_path):
    """The same blob twice counts once; each tenant counts it; deleting frees it, and leaves the other tenant's."""
    sha256 = put(store, tmp_path, b"abc")
    put(store, tmp_path, b"abc")
    put(store, tmp_path, b"abc", "beta")
    put(store, tmp_path, b"defgh")
    for tenant, n_bytes in (("acme", 8), ("beta", 3), ("nobody", 0)):
        store.count(tenant)
        assert store.used(tenant) == n_bytes
    assert store.delete("acme", CONTAINERS, sha256)
    assert (store.used("acme"), store.used("beta")) == (5, 3)
    assert store.find("acme", CONTAINERS, sha256) is None
    assert whole(store, store.find("beta", CONTAINERS, sha256), "beta") == b"abc"
    put(store, tmp_path, b"abc")
    assert store.used("acme") == 8


def test_containers_are_listed_in_order(store, tmp_path):
    """From any digest on; models are not among them."""
    shas = sorted(put(store, tmp_path, bytes([n])) for n in range(7))
    put(store, tmp_path, b"model", model=MODEL)
    assert [stored.record.sha256 for stored in store.containers("acme", "", 100)] == shas
    assert [stored.record.sha256 for stored in store.containers("acme", shas[2], 2)] == shas[3:5]
    assert store.containers("acme", shas[-1], 5) == []
    assert all(stored.when > 1e9 for stored in store.containers("acme", "", 100))


def test_the_first_package_of_a_model_stays(store, tmp_path):
    """T2-6; the second one leaves nothing behind."""
    first = put(store, tmp_path, b"one package", model=MODEL)
    put(store, tmp_path, b"another package of it", model=MODEL)
    record = store.find("acme", MODELS, MODEL)
    assert record.sha256 == first and whole(store, record) == b"one package"
    store.count("acme")
    assert store.used("acme") == len(b"one package")


def test_no_file_is_left_behind(store, tmp_path):
    """A local file ends with its block."""
    record = store.find("acme", CONTAINERS, put(store, tmp_path, b"abc"))
    before = sorted(tmp_path.iterdir())
    with store.local_file(record, "acme"):
        pass
    assert sorted(tmp_path.iterdir()) == before
