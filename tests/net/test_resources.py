"""Blobs over HTTP: section 2 of spec/transport.md."""

from __future__ import annotations

import hashlib
import io
import json
import zlib

import numpy as np
import pytest
from transport.containers import ends, latents

from aeformat.backends.numpy_backend import NumpyBackend
from aeformat.container.header import LatentsHeader
from aeformat.container.ragged import RaggedRows
from aeformat.container.writer import LatentsWriter
from aeformat.model import store
from aeformat.model.file_io import package_bytes
from aeformat.model.match import prior_of
from aeformat.transport import http_fields
from net.running import running, upload

FILE = latents(400, dims=32)
SHA = hashlib.sha256(FILE).digest()
PATH = f"v1/containers/{SHA.hex()}"
TAG = http_fields.entity_tag(SHA)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with running(tmp_path_factory.mktemp("store") / "root") as server:
        assert upload(server, FILE).status == 201
        yield server


@pytest.fixture(scope="module")
def digits():
    """A container, its decoder's package, and the images that it decodes to."""
    decoder = store.find_pair("mnist-exact")[1]
    end = decoder.input
    lo, hi = (end.interval.lo, end.interval.hi) if end.interval else (0, 255)
    kind = {"u8": np.uint8, "i8": np.int8}[end.type]
    rows = np.random.default_rng(5).integers(lo, hi, size=(30, *end.shape), endpoint=True).astype(kind)
    header = LatentsHeader(decoder.model_id, end.shape, decoder.output.shape, {"u8": "u8", "i8": "i8"}[end.type])
    sink = io.BytesIO()
    with LatentsWriter(sink, header, chunk_rows=7) as writer:
        writer.write(rows)
    return sink.getvalue(), package_bytes(decoder, level=3), NumpyBackend().load(decoder).run(rows)


def test_the_fields_of_a_blob(server):
    """T2-1, for HEAD and GET."""
    head, get = server.request("HEAD", PATH), server.request("GET", PATH)
    assert (head.status, head.body, get.status) == (200, b"", 200)
    for found in (head, get):
        assert found.get("ETag") == TAG
        assert found.get("Repr-Digest") == http_fields.repr_digest(SHA)
        assert found.get("Content-Length") == str(len(FILE))
        assert {"immutable", "no-transform"} <= set(found.get("Cache-Control").replace(",", " ").split())
        assert found.get("Content-Encoding") is None


@pytest.mark.parametrize(
    ("asked", "status", "span"),
    [
        ({"Range": "bytes=10-19"}, 206, (10, 20)),
        ({"Range": "bytes=-64"}, 206, (len(FILE) - 64, len(FILE))),
        ({"Range": "bytes=5-", "If-Range": TAG}, 206, (5, len(FILE))),
        ({"Range": "bytes=5-", "If-Range": f"W/{TAG}"}, 200, (0, len(FILE))),
        ({"Range": "bytes=5-", "If-Range": "Wed, 21 Oct 2015 07:28:00 GMT"}, 200, (0, len(FILE))),
        ({"Range": "bytes=5-", "If-Range": '"other"'}, 200, (0, len(FILE))),
        ({"Range": "bytes=0-1,4-5"}, 200, (0, len(FILE))),
        ({"Range": "rows=0-1"}, 200, (0, len(FILE))),
        ({"Range": f"bytes={len(FILE)}-"}, 416, (0, 0)),
        ({"If-None-Match": TAG}, 304, (0, 0)),
        ({"Accept-Encoding": "gzip, br, zstd"}, 200, (0, len(FILE))),
    ],
)
def test_ranges(server, asked, status, span):
    """T2-2 to T2-4."""
    import http.client

    line = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    line.request("GET", "/" + PATH, headers={"Accept-Encoding": "identity", **asked})
    found = line.getresponse()
    body = found.read()
    assert found.status == status
    assert found.headers["Content-Encoding"] is None
    if status < 300:
        assert body == FILE[slice(*span)]
    if status == 206:
        assert found.headers["Content-Range"] == f"bytes {span[0]}-{span[1] - 1}/{len(FILE)}"
    if status == 416:
        assert found.headers["Content-Range"] == f"bytes */{len(FILE)}"


def test_the_server_publishes_its_limits(server):
    """GET v1/: all limits, and Upload-Limit."""
    found = server.request("GET", "v1/")
    document = json.loads(found.body)
    assert document["versions"] == ["v1"]
    assert f"min-append-size={document['limits']['min_append_size']}" in found.get("Upload-Limit")


def test_missing_models_are_listed_and_sent_once(server, digits):
    """T2-5, T2-6, T4-13."""
    _, package, _ = digits
    model = store.find_pair("mnist-exact")[1].model_id.hex()
    ask = lambda: json.loads(  # noqa: E731
        server.request("POST", "v1/models:missing", {}, json.dumps({"models": ["0" * 64, model]}).encode()).body
    )
    assert ask() == {"missing": ["0" * 64, model]}
    first = upload(server, package)
    assert (first.status, first.get("Content-Location")) == (201, f"../v1/models/{model}")
    assert ask() == {"missing": ["0" * 64]}
    other = package_bytes(store.find_pair("mnist-exact")[1], level=1)
    assert upload(server, other).status == 201
    assert server.request("GET", f"v1/models/{model}").get("ETag") == http_fields.entity_tag(
        hashlib.sha256(package).digest()
    )


def test_rows_can_be_fetched_as_images(tmp_path, digits):
    """T2-7, T2-8: bit for bit the output of the decoder; without the decoder 409."""
    container, package, images = digits
    path = f"v1/containers/{hashlib.sha256(container).hexdigest()}?rows="
    with running(tmp_path / "root") as server:
        assert upload(server, container).status == 201
        refused = server.request("GET", path + "0", {"Accept": "image/png"})
        assert (refused.status, refused.problem["type"]) == (409, "urn:aeformat:problem:model-missing")
        assert upload(server, package).status == 201

        found = server.request("GET", path + "3-9", {"Accept": http_fields.NPY})
        assert (np.load(io.BytesIO(found.body)) == images[3:10, :, :, 0]).all()
        assert found.get("Vary") == "Accept"
        picture = server.request("GET", path + "3-4", {"Accept": "image/*, text/html;q=0.9"}).body
        assert _pixels(picture).tobytes() == images[3:5].tobytes()
        assert server.request("GET", path + "30", {}).status == 416
        assert server.request("GET", path + "0-900", {}).status == 416
        assert server.request("GET", path + "x", {}).status == 400
        assert server.request("GET", path + "0", {"Accept": "text/html"}).status == 406


def test_a_blob_that_was_damaged_on_the_disk_is_not_rendered(tmp_path, digits):
    """T2-8: a chunk is checked again before its rows are decoded.  The other chunks are rendered."""
    container, package, images = digits
    sha256 = hashlib.sha256(container).hexdigest()
    with running(tmp_path / "root") as server:
        assert upload(server, container).status == upload(server, package).status == 201
        blob = tmp_path / "root" / "objects" / sha256[:2] / sha256
        bad = bytearray(container)
        bad[ends(container)[3] - 1] ^= 1  # the last row of the third chunk, rows 14 to 20
        blob.write_bytes(bad)
        found = server.request("GET", f"v1/containers/{sha256}?rows=15", {"Accept": http_fields.NPY})
        assert (found.status, found.problem["rule"]) == (422, "C4-11")
        found = server.request("GET", f"v1/containers/{sha256}?rows=21", {"Accept": http_fields.NPY})
        assert (np.load(io.BytesIO(found.body))[0] == images[21, :, :, 0]).all()


def test_rows_of_codec_rans_are_rendered_with_their_decoders_prior(tmp_path):
    """T2-8: as for any reader, the prior is that of the decoder, which need not be in the file."""
    decoder = store.find_pair("mnist-rd-24")[1]
    end = decoder.input
    rows = np.zeros((9, *end.shape), {"u8": np.uint8, "i8": np.int8}[end.type])
    header = LatentsHeader(decoder.model_id, end.shape, decoder.output.shape, end.type, codec="rans")
    sink = io.BytesIO()
    with LatentsWriter(sink, header, prior=prior_of(decoder)) as writer:
        writer.write(rows)
    container = sink.getvalue()
    path = f"v1/containers/{hashlib.sha256(container).hexdigest()}?rows=2-5"
    with running(tmp_path / "root") as server:
        assert upload(server, container).status == upload(server, package_bytes(decoder, level=3)).status == 201
        found = server.request("GET", path, {"Accept": http_fields.NPY})
    assert found.status == 200, found.body
    assert (np.load(io.BytesIO(found.body)) == NumpyBackend().load(decoder).run(rows)[2:6, :, :, 0]).all()


def test_a_container_that_names_no_decoder_is_stored_and_not_rendered(tmp_path):
    """T2-8: rows of their own size of a decoder that is not known."""
    head = LatentsHeader(b"", (0, 2), (), "u8")
    sink = io.BytesIO()
    with LatentsWriter(sink, head) as writer:
        writer.write(RaggedRows.of(head.form, [np.zeros((n, 2), np.uint8) for n in (1, 3, 2)]))
    container = sink.getvalue()
    path = f"v1/containers/{hashlib.sha256(container).hexdigest()}"
    with running(tmp_path / "root") as server:
        assert upload(server, container).status == 201
        assert server.request("GET", path).body == container
        found = server.request("GET", path + "?rows=0", {})
    assert (found.status, found.problem["type"]) == (409, "urn:aeformat:problem:model-missing")
    assert "does not say which decoder" in found.problem["detail"]


def test_a_container_that_names_an_encoder_is_not_rendered(tmp_path):
    """T2-8: the model is here, and it is no decoder."""
    encoder, decoder = store.find_pair("mnist-exact")
    header = LatentsHeader(encoder.model_id, decoder.input.shape, decoder.output.shape, decoder.input.type)
    sink = io.BytesIO()
    with LatentsWriter(sink, header) as writer:
        writer.write(np.zeros((3, *header.dims), {"u8": np.uint8, "i8": np.int8}[decoder.input.type]))
    container = sink.getvalue()
    with running(tmp_path / "root") as server:
        assert upload(server, container).status == upload(server, package_bytes(encoder, level=3)).status == 201
        found = server.request("GET", f"v1/containers/{hashlib.sha256(container).hexdigest()}?rows=0", {})
    assert (found.status, found.problem["type"]) == (409, "urn:aeformat:problem:model-missing")
    assert "is an encoder" in found.problem["detail"]


def _pixels(png: bytes) -> np.ndarray:
    """The pixels of a grey PNG without filters, parsed by hand."""
    width, height = (int.from_bytes(png[at : at + 4], "big") for at in (16, 20))
    size = int.from_bytes(png[33:37], "big")
    raw = np.frombuffer(zlib.decompress(png[41 : 41 + size]), np.uint8).reshape(height, width + 1)
    return raw[:, 1:]


def test_counters(server):
    """Prometheus' text format: names, types and counts."""
    lines = server.request("GET", "metrics").body.decode().splitlines()
    assert "# TYPE aeformat_requests_total counter" in lines
    assert any(line.startswith('aeformat_requests_total{method="GET",route="/v1/"') for line in lines)
    assert all(line.startswith("#") or len(line.rsplit(" ", 1)) == 2 for line in lines)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "v1/containers/" + "0" * 64, 404),
        ("GET", "v1/containers/" + SHA.hex().upper(), 404),
        ("GET", "v1/containers/..%2f..%2fetc%2fpasswd", 404),
        ("GET", "v1/containers/%2e%2e", 404),
        ("GET", "v1/models/" + SHA.hex(), 404),
        ("GET", "v1/nothing", 404),
        ("GET", "v2/", 404),
        ("PUT", PATH, 405),
        ("DELETE", "v1/containers/" + "0" * 64, 404),
        ("DELETE", "v1/uploads", 405),
        ("PATCH", "v1/uploads", 405),
        ("HEAD", "v1/uploads/" + "0" * 32, 404),
        ("HEAD", "v1/uploads/../../layout", 404),
    ],
)
def test_unknown_paths_are_404(server, method, path, status):
    """T2-9; paths with dots or escapes find nothing."""
    found = server.request(method, path)
    assert found.status == status
    if method != "HEAD":
        assert found.problem["status"] == status
    if status == 405:
        assert found.get("Allow")
