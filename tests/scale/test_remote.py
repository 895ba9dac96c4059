"""Promise: a file at a URL is read as a file of this machine is, and what goes wrong is an OSError with the URL."""

from __future__ import annotations

import pickle
import secrets
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

import aeformat
from aeformat import remote
from aeformat.errors import UsageError
from aeformat.paths import absolute, is_url
from scale.conftest import digits, require

DATA = bytes(range(256)) * 1000


@pytest.fixture
def memory():
    """The URL of a folder in fsspec's memory."""
    require("fsspec")
    return f"memory://{secrets.token_hex(8)}"


def put(url, data):
    import fsspec

    with fsspec.open(url, "wb") as file:
        file.write(data)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("s3://b/x", True),
        ("memory://x", True),
        ("mnist:test", False),
        ("C://x", False),
        ("a/b", False),
        ("s3://", False),
    ],
)
def test_what_is_a_url(name, expected):
    assert is_url(name) == expected
    assert (absolute(name) == name) == expected


@pytest.mark.parametrize(
    ("at", "n_bytes"), [(0, 10), (65_530, 20), (255_990, 100), (0, 300_000), (10, 0), (256_000, 5)]
)
def test_any_place_is_read(memory, at, n_bytes):
    """Small reads come in blocks that are kept, large ones as they are; none goes past the end."""
    put(f"{memory}/data", DATA)
    file = remote.RemoteFile(f"{memory}/data")
    assert file.size == len(DATA)
    assert file.read(at, n_bytes) == file.read(at, n_bytes) == DATA[at : at + n_bytes]
    file.close()
    with pytest.raises(UsageError, match="closed"):
        file.read(0, 1)


def test_a_latents_file_at_a_url_is_one(memory, tmp_path):
    """Rows, names and the whole file; pickled, too; not mapped."""
    aeformat.pack(digits(50)[..., None], tmp_path / "x.aef", model="mnist-exact", codec="none")
    put(f"{memory}/x.aef", (tmp_path / "x.aef").read_bytes())
    with aeformat.open(f"{memory}/x.aef") as there, aeformat.open(tmp_path / "x.aef") as here:
        assert np.array_equal(there[:], here[:])
        assert np.array_equal(pickle.loads(pickle.dumps(there))[7], here[7])
    assert aeformat.validate(f"{memory}/x.aef").problems == []
    with pytest.raises(UsageError, match="cannot be mapped"):
        aeformat.open(f"{memory}/x.aef", mmap=True)


def test_what_is_not_there_is_said_by_its_url(memory):
    with pytest.raises(FileNotFoundError) as caught:
        aeformat.open(f"{memory}/nothing.aef")
    assert caught.value.filename == f"{memory}/nothing.aef"
    with pytest.raises(UsageError, match="nonsense"):
        remote.read_whole("nonsense://x/y")
    assert isinstance(remote.read_many([f"{memory}/nothing"])[0], FileNotFoundError)


def test_listings_are_sorted_and_named_from_the_fixed_part_on(memory, tmp_path):
    """Of a tree, a pattern, one file; of URLs and of paths."""
    for name in ("b/2.png", "a/1.png", "a/c/3.png", "x.txt"):
        put(f"{memory}/{name}", b"x")
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    for root in (memory, str(tmp_path)):
        tree = ["a/1.png", "a/c/3.png", "b/2.png", "x.txt"]
        assert [file.name for file in remote.listed(f"{root}/**")] == tree
        assert [file.name for file in remote.listed(f"{root}/*/*.png")] == ["a/1.png", "b/2.png"]
        assert [remote.read_whole(file.url) for file in remote.listed(f"{root}/a/1.png")] == [b"x"]
        assert [file.name for file in remote.listed(f"{root}/a/1.png")] == ["1.png"]


def test_a_whole_object_takes_one_request(bucket, url):
    """Its length is not asked for before; an object of no bytes, of which no range can be had, is read too."""
    put(f"{url}/x", b"abc")
    put(f"{url}/empty", b"")
    before = bucket.counted()
    assert remote.read_many([f"{url}/x"] * 3) == [b"abc"] * 3
    after = bucket.counted()
    assert after["requests"] - before["requests"] == 3
    assert remote.read_whole(f"{url}/empty") == b""
    with pytest.raises(FileNotFoundError):
        remote.read_whole(f"{url}/nothing")


def test_a_web_server_that_refuses_the_range_of_an_empty_file():
    class Empty(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(416 if "Range" in self.headers else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_arguments):
            pass

    require("fsspec", "aiohttp")
    with ThreadingHTTPServer(("127.0.0.1", 0), Empty) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        assert remote.read_whole(f"http://127.0.0.1:{server.server_port}/x") == b""
        server.shutdown()
