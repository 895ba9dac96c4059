"""aeformat ls and rm: what the caller has on a server, page by page, and taking it away."""

from __future__ import annotations

import hashlib
import json
import re

import pytest
from transport.containers import latents

from aeformat.cli.main import main
from aeformat.errors import UsageError
from aeformat.net.client import stored
from aeformat.net.client.stored import OpenUpload, containers, remove, uploads
from aeformat.transport.problems import TransferFailed
from net.fake import Fake, answer
from net.running import running, upload

FILES = [latents(5, seed=seed) for seed in range(5)]
DIGESTS = sorted(hashlib.sha256(data).hexdigest() for data in FILES)
OPEN = {
    "id": "0" * 32,
    "offset": 900,
    "length": None,
    "created": "2030-01-01T00:00:00Z",
    "expires": "2030-01-02T00:00:00Z",
}


def as_json(value: object) -> bytes:
    return answer(200, json.dumps(value).encode(), Content_Type="application/json")


@pytest.fixture(autouse=True)
def no_waits(monkeypatch):
    monkeypatch.setattr("aeformat.transport.retry.FIRST_SECONDS", 0.001)


@pytest.fixture
def server(tmp_path):
    """A server that has FILES."""
    with running(tmp_path / "root") as server:
        for data in FILES:
            assert upload(server, data).status == 201
        yield server


def test_containers_are_listed_page_by_page(server, monkeypatch):
    """In order of their digests, each once."""
    for size in (1000, 2, 1):
        monkeypatch.setattr(stored, "PAGE", size)
        found = list(containers(server.url))
        assert [one.sha256 for one in found] == DIGESTS
        assert {one.sha256: one.n_bytes for one in found} == {
            hashlib.sha256(data).hexdigest(): len(data) for data in FILES
        }


def test_the_command_lists_and_removes(server, capsys):
    """A line each, or a JSON object each; rm takes what ls names."""
    assert main(["ls", server.url]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == DIGESTS and all(line.endswith("Z") for line in lines)
    assert main(["ls", server.url, "--json"]) == 0
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [set(one) for one in found] == [{"sha256", "bytes", "stored"}] * 5
    urls = [f"{server.url}v1/containers/{sha256}" for sha256 in DIGESTS]
    assert main(["rm", *urls[:4]]) == 0 and capsys.readouterr() == ("", "")
    assert main(["rm", urls[0], urls[4]]) == 1
    assert capsys.readouterr().err == f"aeformat: {urls[0]}: it is not there, or not for this token\n"
    assert main(["rm", *urls, "--missing-ok"]) == 0
    assert main(["ls", server.url]) == 0 and capsys.readouterr() == ("", "")


def test_the_gravest_of_several_is_the_exit_code(server, capsys):
    """A URL that is none does not stop the others."""
    good = f"{server.url}v1/containers/{DIGESTS[0]}"
    assert main(["rm", f"{server.url}v1/containers/x", good]) == 2
    assert "is not the URL of a container, a model or an upload" in capsys.readouterr().err
    assert main(["rm", good]) == 1


def test_open_uploads_are_listed(capsys):
    """--uploads, with and without --json; a length that nobody has said is null."""
    with Fake(lambda asked: as_json({"uploads": [OPEN, {**OPEN, "length": 5000}]})) as server:
        assert uploads(server.url)[0] == OpenUpload("0" * 32, 900, None, OPEN["created"], OPEN["expires"])
        assert main(["ls", server.url, "--uploads"]) == 0
        first, second = capsys.readouterr().out.splitlines()
        assert "900 of ?" in first and "900 of 5,000" in second and first.startswith("0" * 32)
        assert main(["ls", server.url, "--uploads", "--json"]) == 0
        assert json.loads(capsys.readouterr().out.splitlines()[0]) == OPEN
        assert {asked.target for asked in server.asked} == {"/v1/uploads"}


def test_an_open_upload_is_found_and_removed(tmp_path, capsys):
    """A real server's: `ls --uploads` names what `rm` takes, and another can be begun in its place."""
    new = {"Upload-Complete": "?0", "Upload-Length": "5000"}
    with running(tmp_path / "root", uploads=1) as server:
        assert server.request("POST", "v1/uploads", new, b"").status == 201
        assert server.request("POST", "v1/uploads", new, b"").status == 429
        assert main(["ls", server.url, "--uploads"]) == 0
        (line,) = capsys.readouterr().out.splitlines()
        name = line.split()[0]
        assert len(name) == 32 and "0 of 5,000" in line
        assert [found.id for found in uploads(server.url)] == [name]
        assert main(["rm", f"{server.url}v1/uploads/{name}"]) == 0
        assert main(["rm", f"{server.url}v1/uploads/{name}"]) == 1
        assert main(["rm", f"{server.url}v1/uploads/{name}", "--missing-ok"]) == 0
        capsys.readouterr()
        assert main(["ls", server.url, "--uploads"]) == 0 and capsys.readouterr().out == ""
        assert server.request("POST", "v1/uploads", new, b"").status == 201


@pytest.mark.parametrize("n_files", [1, 3])
def test_a_tenant_without_room_is_told_how_to_make_some(tmp_path, capsys, n_files):
    """T8-3: the open upload lives for a day, so nothing is waited for.  T5-18: a batch ends, as all would be refused."""
    paths = []
    for number in range(n_files):
        paths.append(str(tmp_path / f"{number}.aef"))
        (tmp_path / f"{number}.aef").write_bytes(latents(5, seed=number))
    with running(tmp_path / "root", uploads=1) as server:
        named = {"Upload-Complete": "?0", "Content-Type": "application/vnd.aeformat"}
        assert server.request("POST", "v1/uploads", named, latents(400, dims=32)).status == 201
        line = ["send", *paths, server.url, "--model-policy", "never"]
        assert main(line) == 3
        said = capsys.readouterr().err.splitlines()
        assert len(said) == 1 + (n_files > 1) and re.search(
            r"429: 1 uploads? .*there is room in 2[34] h \d+ min, or", said[0]
        )
        assert said[0].endswith("; aeformat ls --uploads lists what is open, aeformat rm drops it")
        assert n_files == 1 or "2 of 3 files were not tried" in said[1]
        (found,) = uploads(server.url)
        assert main(["rm", f"{server.url}v1/uploads/{found.id}"]) == 0 and main([*line[:2], *line[n_files + 1 :]]) == 0


BAD = {
    "no json": answer(200, b"{"),
    "no object": as_json([]),
    "no list": as_json({"containers": {}}),
    "no entries": as_json({"containers": ["x"]}),
    "no digest": as_json({"containers": [{"bytes": 1, "stored": "x"}]}),
    "a size that is none": as_json({"containers": [{"sha256": "x", "bytes": True, "stored": "x"}]}),
    "control characters": as_json({"containers": [{"sha256": "\x1b[31m", "bytes": 1, "stored": "x"}]}),
    "a next page that is none": as_json({"containers": [], "next": "x"}),
    "too long": answer(200, b" " * ((1 << 22) + 1)),
    "no route": answer(404),
    "not allowed": answer(403),
}


@pytest.mark.parametrize("data", BAD.values(), ids=BAD)
def test_a_list_is_not_trusted(data):
    """One error, whatever is wrong with it."""
    with Fake(lambda asked: data) as server, pytest.raises(TransferFailed):
        list(containers(server.url))


def test_pages_must_go_on():
    """A server whose pages begin behind the same digest again and again is left."""
    with Fake(lambda asked: as_json({"containers": [], "next": "a" * 64})) as server:
        with pytest.raises(TransferFailed, match="does not go on"):
            list(containers(server.url))
        assert len(server.asked) == 2


@pytest.mark.parametrize(
    "path", ["", "v1/containers/", f"v1/containers/{'A' * 64}", f"v1/containers/{'a' * 64}/x", "v1/uploads/1"]
)
def test_only_exact_urls_are_removed(path):
    """Nothing is guessed at."""
    with pytest.raises(UsageError, match="is not the URL"):
        remove(f"http://x/{path}")


@pytest.mark.parametrize("path", [f"v1/models/{'a' * 64}", f"v1/uploads/{'a' * 32}", f"v1/containers/{'a' * 64}"])
def test_a_removal_whose_answer_was_lost_is_one(path):
    """DELETE is sent again; that it is gone then is what was asked for.  Below a path, too."""
    with Fake(lambda asked: None if len(server.asked) == 1 else answer(404)) as server:
        assert remove(f"{server.url}ae/{path}")
        assert {(asked.method, asked.target) for asked in server.asked} == {("DELETE", f"/ae/{path}")}
    with Fake(lambda asked: answer(404)) as server:
        assert not remove(server.url + path)
    with Fake(lambda asked: answer(403)) as server, pytest.raises(TransferFailed, match="does not allow"):
        remove(server.url + path)


def test_a_server_that_stays_busy_is_given_up():
    """T8-2: as a transfer would."""
    with Fake(lambda asked: answer(503)) as server, pytest.raises(TransferFailed, match="gave up after 8 tries"):
        list(containers(server.url))
