"""What HTTP itself demands of a server (T2-13 to T2-15), and the draft of uploads (T4-24 to T4-29): seen on the wire."""

from __future__ import annotations

import base64
import email.utils
import hashlib
import re
import socket
import time

import pytest
from transport.containers import ends, latents

from aeformat.net.server.protocol import Connection
from aeformat.transport import http_fields
from net.running import running, upload
from net.test_tenants import SCOPES, write_tokens
from net.test_uploads import PARTIAL, create, patch, slug

FILE = latents(200, dims=32)
ENDS = ends(FILE)
SHA = hashlib.sha256(FILE).digest()
PATH = f"v1/containers/{SHA.hex()}"
TAG = http_fields.entity_tag(SHA)
WHOLE = {"Upload-Complete": "?1", "Content-Type": "application/vnd.aeformat"}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with running(tmp_path_factory.mktemp("rules") / "root") as server:
        assert upload(server, FILE).status == 201
        yield server


def digest(algorithm: str, data: bytes) -> str:
    found = hashlib.new(algorithm.replace("-", ""), data).digest()
    return f"{algorithm}=:{base64.b64encode(found).decode()}:"


def heads(found: bytes) -> list[bytes]:
    return re.findall(rb"HTTP/1\.1 \d.*?\r\n\r\n", found, re.S)


def test_small_packets_are_sent_at_once(tmp_path, monkeypatch):
    """TCP_NODELAY is set on accepted connections, and an answer with its head is one write; else each takes 40 ms."""
    log = tmp_path / "log"
    made = Connection.connection_made

    def connection_made(self, transport):
        made(self, transport)
        option = transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        write = transport.write

        def noting(data):
            with log.open("a") as file:
                file.write(f"write {len(data)}\n")
            write(data)

        self.transport = type(
            "Noting", (), {"write": staticmethod(noting), "__getattr__": lambda _, n: getattr(transport, n)}
        )()
        with log.open("a") as file:
            file.write(f"nodelay {option}\n")

    monkeypatch.setattr(Connection, "connection_made", connection_made)  # the server is forked from this process
    with running(tmp_path / "root") as server:
        assert upload(server, FILE).status == 201
        for method, path, status in (
            ("GET", PATH, 200),
            ("HEAD", PATH, 200),
            ("GET", "v1/", 200),
            ("GET", "v1/x", 404),
        ):
            log.write_text("")
            found = server.request(method, path)
            assert found.status == status
            option, *writes = log.read_text().split("\n")[:-1]
            assert option == "nodelay 1"
            assert len(writes) == 1 and int(writes[0].split()[1]) > len(found.body)


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /v1/ HTTP/1.1\r\nHost: x\r\n\r\n",
        b"HEAD /v1/nothing HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /v1/ HTTP/1.0\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"GET /v1/ HTTP/1.1\r\n\r\n",
        b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
    ids=["200", "404", "http 1.0", "no request", "no host", "431"],
)
def test_every_answer_has_a_date(server, request_):
    """T2-13: in UTC; also what the HTTP layer refuses by itself."""
    found = server.raw(request_, seconds=2)
    (text,) = re.findall(rb"(?i)\r\ndate: (.*? GMT)\r\n", found)
    assert abs(email.utils.parsedate_to_datetime(text.decode()).timestamp() - time.time()) < 3600


@pytest.mark.parametrize("target", ["http://{host}/v1/", "HTTP://{host}/v1/", "https://[::1]:9/v1/?x=1"])
def test_the_absolute_form_is_understood(server, target):
    """T2-14: RFC 9112, 3.2.2; the host in it stands above the field, also for T2-16."""
    other = server.raw(b"GET http://other.example/v1/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    assert other.startswith(b"HTTP/1.1 421 ")
    line = f"GET {target.format(host=f'127.0.0.1:{server.port}')} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    found = server.raw(line.encode())
    assert found.startswith(b"HTTP/1.1 200 ") and b'"versions"' in found


@pytest.mark.parametrize(
    "head",
    [
        b"GET ftp://x/v1/ HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET http://user@x/v1/ HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET http:///v1/ HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET v1/ HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /v1/uploads HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /v1/uploads HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /v1/uploads HTTP/1.0\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
    ids=["ftp", "user", "no host", "no slash", "two framings", "chunked in 1.0", "both in 1.0"],
)
def test_a_request_whose_form_is_not_clear_is_400_and_the_connection_closed(server, head):
    """T2-14: what follows on the connection is no request of its own."""
    found = server.raw(head + b"GET /v1/ HTTP/1.1\r\nHost: x\r\n\r\n", seconds=3)
    (answer,) = heads(found)
    assert answer.startswith(b"HTTP/1.1 400 ") and b"connection: close" in answer.lower()


@pytest.mark.parametrize("broken", [b"zz\r\n", b"5\r\nabcdefgh\r\n"], ids=["size", "end"])
def test_broken_chunks_are_answered_and_the_connection_closed(server, broken):
    """T2-14: 400 also after good chunks, of which the verified bytes are kept (T4-3)."""
    where = create(server)
    head = (
        f"PATCH {where} HTTP/1.1\r\nHost: x\r\nUpload-Offset: 0\r\nUpload-Complete: ?1\r\nContent-Type: {PARTIAL}\r\n"
    )
    good = b"%x\r\n%s\r\n" % (ENDS[3], FILE[: ENDS[3]])
    found = server.raw(head.encode() + b"Transfer-Encoding: chunked\r\n\r\n" + good + broken, seconds=5)
    (answer,) = heads(found)
    assert answer.startswith(b"HTTP/1.1 400 ") and b"connection: close" in answer.lower()
    assert server.request("HEAD", where).get("Upload-Offset") == str(ENDS[3])


def test_broken_chunks_behind_an_answer_do_no_harm(server):
    """T2-14: a request that is refused by its head is answered once."""
    head = b"POST /v1/uploads HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    (answer,) = heads(server.raw(head + b"zz\r\n" + b"GET /v1/ HTTP/1.1\r\nHost: x\r\n\r\n", seconds=3))
    assert answer.startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(("fields", "method", "path", "status"), [
    (["If-Match: \"nope\""], "GET", PATH, 412),
    (["If-Match: \"nope\""], "HEAD", PATH, 412),
    (["If-Match: \"nope\""], "DELETE", PATH, 412),
    (["If-Match: \"nope\""], "GET", "v1/containers/" + "0" * 64, 404),
    (["If-Match: \"nope\"", f"If-Match: {TAG}"], "GET", PATH, 200),
    (["If-Match: *"], "HEAD", PATH, 200),
    (["If-None-Match: \"nope\"", f"If-None-Match: {TAG}"], "GET", PATH, 304),
    ([f"If-None-Match: {TAG}"], "DELETE", PATH, 412),
    ([f"If-Match: {TAG}", "Range: bytes=0-9"], "GET", PATH, 206),
])  # fmt: skip
def test_preconditions_are_evaluated(server, fields, method, path, status):
    """T2-15: before anything is done; lists may stand in several lines."""
    lines = "".join(f"{field}\r\n" for field in fields)
    found = server.raw(f"{method} /{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{lines}\r\n".encode())
    assert int(found[9:12]) == status
    if status == 412 and method != "HEAD":
        assert b"urn:aeformat:problem:precondition-failed" in found
    assert server.request("HEAD", PATH).status == 200  # it was not deleted


def test_an_upload_has_no_entity_tag(server):
    """T2-15: so that nothing but * matches."""
    where = create(server)
    assert slug(patch(server, where, 0, FILE, **{"If-Match": '"x"'})) == "precondition-failed"
    assert patch(server, where, 0, FILE, last=True, **{"If-Match": "*"}).status == 201


@pytest.mark.parametrize("method", ["HEAD", "GET"])
def test_head_and_get_of_an_upload_tell_all_that_is_known(server, method):
    """T4-25: GET has the fields of HEAD, and no body."""
    where = create(server, **{"Upload-Length": str(len(FILE))})
    for step, offset, complete in (("created", 0, "?0"), ("begun", ENDS[2], "?0"), ("complete", len(FILE), "?1")):
        if step == "begun":
            patch(server, where, 0, FILE[: ENDS[2]])
        elif step == "complete":
            patch(server, where, ENDS[2], FILE[ENDS[2] :], last=True)
        found = server.request(method, where)
        assert (found.status, found.body, found.get("Cache-Control")) == (200, b"", "no-store")
        said = [found.get(f"Upload-{name}") for name in ("Offset", "Complete", "Length")]
        assert said == [str(offset), complete, str(len(FILE))]
        assert found.get("Upload-Limit").startswith("max-size=")


def test_a_length_that_nobody_said_is_not_told(server):
    """T4-25."""
    assert server.request("HEAD", create(server)).get("Upload-Length") is None


def test_options_tell_what_an_upload_may_be(tmp_path):
    """T4-25: also without a token, as v1/ does."""
    with running(tmp_path / "root", tokens=write_tokens(tmp_path / "t", {"a": ("acme", list(SCOPES), None)})) as server:
        for path, allow in (
            ("v1/uploads", "GET, HEAD, OPTIONS, POST"),
            (f"v1/uploads/{'0' * 32}", "DELETE, GET, HEAD, OPTIONS, PATCH"),
        ):
            found = server.request("OPTIONS", path)
            assert (found.status, found.get("Allow"), found.get("Accept-Patch")) == (204, allow, PARTIAL)
            assert found.get("Upload-Limit") == server.request("GET", "v1/").get("Upload-Limit")
        assert server.request("OPTIONS", PATH).status == 405


def test_contradictory_lengths_create_nothing(server):
    """T4-24: 400 before anything moves, also where an upload is there already."""
    found = server.request("POST", "v1/uploads", {**WHOLE, "Upload-Length": "7"}, FILE)
    assert (found.status, slug(found), found.get("Location")) == (400, "inconsistent-upload-length", None)
    where = create(server, **{"Upload-Length": str(len(FILE))})
    found = patch(server, where, 0, FILE[: ENDS[3]], last=True)
    assert (found.status, slug(found), found.problem["retry"]) == (400, "inconsistent-upload-length", "resume")
    assert server.request("HEAD", where).get("Upload-Offset") == "0"
    assert patch(server, where, 0, FILE, last=True).status == 201


def test_parameters_of_fields_and_malformed_optional_ones_are_ignored(server):
    """RFC 9651, 3.1.2; the draft on other values of Upload-Length."""
    where = create(server, **{"Upload-Complete": "?0;b", "Upload-Length": "many"})
    named = {"Upload-Offset": "0;a=1", "Upload-Complete": "?1;x", "Upload-Length": f"{len(FILE)};y=?0"}
    assert patch(server, where, 0, FILE, **named).status == 201


@pytest.mark.parametrize(("interop", "media"), [("5", None), ("6", PARTIAL)], ids=["draft 03", "draft 05"])
def test_older_drafts_are_plain_uploads(server, interop, media):
    """T4-14: what tus-js-client 5 sends with its protocols ietf-draft-03 and -05; the former knows no type for PATCH."""
    version = {"Upload-Draft-Interop-Version": interop}
    where = create(server, **version)
    named = {"Upload-Offset": "0", "Upload-Complete": "?1", **version, **({"Content-Type": media} if media else {})}
    found = server.request("PATCH", where, named, FILE)
    assert (found.status, found.get("Upload-Offset")) == (201, str(len(FILE)))
    assert server.request("HEAD", where, version).get("Upload-Complete") == "?1"


@pytest.mark.parametrize("algorithm", ["sha-256", "sha-512"])
@pytest.mark.parametrize("name", ["Content-Digest", "Repr-Digest"])
def test_the_digest_of_a_body_is_checked(server, name, algorithm):
    """T4-26: in a PATCH both are of the body.  A body that differs leaves nothing, and may be sent again."""
    where = create(server)
    patch(server, where, 0, FILE[: ENDS[2]])
    rest = FILE[ENDS[2] :]
    bad = patch(server, where, ENDS[2], rest, last=True, **{name: digest(algorithm, FILE)})
    assert (bad.status, slug(bad), bad.problem["retry"]) == (409, "mismatching-content-digest", "resume")
    assert bad.get("Upload-Offset") == server.request("HEAD", where).get("Upload-Offset") == str(ENDS[2])
    good = patch(server, where, ENDS[2], rest, last=True, **{name: digest(algorithm, rest)})
    assert (good.status, good.get("Repr-Digest")) == (201, http_fields.repr_digest(SHA))


def test_two_digests_of_one_body_must_agree(server):
    """T4-26."""
    named = {"Content-Digest": digest("sha-256", FILE), "Repr-Digest": digest("sha-256", b"")}
    assert slug(patch(server, create(server), 0, FILE, **named)) == "bad-request"


def test_the_digest_of_an_empty_body_is_checked(server):
    """T4-26: also where only an upload is created."""
    for data, status in ((b"", 201), (b"x", 409)):
        named = {"Upload-Complete": "?0", "Content-Digest": digest("sha-256", data)}
        assert server.request("POST", "v1/uploads", named, b"").status == status


@pytest.mark.parametrize("algorithm", ["sha-256", "sha-512"])
@pytest.mark.parametrize("restarts", [False, True], ids=["", "restarted"])
def test_the_digest_of_the_whole_is_checked_on_completion(tmp_path, algorithm, restarts):
    """T4-27: the one that was named when the upload was created; a restart does not forget it."""
    root = tmp_path / "root"
    for data, status in ((FILE, 201), (b"another", 422)):
        with running(root) as server:
            where = create(server, **{"Repr-Digest": digest(algorithm, data)})
            patch(server, where, 0, FILE[: ENDS[2]])
            if not restarts:
                last = patch(server, where, ENDS[2], FILE[ENDS[2] :], last=True)
        if restarts:
            with running(root) as server:
                last = patch(server, where, ENDS[2], FILE[ENDS[2] :], last=True)
        assert last.status == status
        if status == 422:
            assert (slug(last), last.problem["retry"]) == ("mismatching-repr-digest", "never")
        else:
            with running(root) as server:
                assert server.request("DELETE", PATH).status == 204
    with running(root) as server:
        assert server.request("HEAD", PATH).status == 404


def test_no_answer_has_an_absolute_path(server):
    """T4-29: so that a proxy may put the server below a path of its own."""
    where = create(server)
    answers = [
        server.request("POST", "v1/uploads", WHOLE, FILE),
        patch(server, where, 0, FILE, last=True),
        server.request("HEAD", where),
        patch(server, where, len(FILE), b"", last=True),
    ]
    places = [found.get("Content-Location") for found in answers]
    assert places == ["../" + PATH, *["../../" + PATH] * 3]
    assert re.fullmatch(r"\.\./v1/uploads/[0-9a-f]{32}", answers[0].get("Location"))


def test_a_request_that_is_repeated_is_not_appended_twice(server):
    """What broke GoogleContainerTools/jib#4526, and wendylabsinc/WendyOS#1072 (a client that begins at 0 again): T4-4."""
    where = create(server)
    assert patch(server, where, 0, FILE[: ENDS[2]]).status == 204
    for _ in range(2):
        found = patch(server, where, 0, FILE[: ENDS[2]])
        assert (found.status, slug(found), found.get("Upload-Offset")) == (
            409,
            "mismatching-upload-offset",
            str(ENDS[2]),
        )
    assert patch(server, where, ENDS[2], FILE[ENDS[2] :], last=True).get("Repr-Digest") == http_fields.repr_digest(SHA)
