"""The server behind the page hands out what the page shows, to whoever has the URL, and nothing else."""

from __future__ import annotations

import base64
import http.client
import json
import os
import queue
import re
import signal
import subprocess
import sys
import threading
import webbrowser

import numpy as np
import pytest

import aeformat
from aeformat.cli import main as command
from aeformat.images import demo_digits
from aeformat.model import places
from aeformat.net.view import page as page_module
from aeformat.net.view import server as server_module
from aeformat.net.view.page import write_saved_page
from aeformat.net.view.server import ViewServer
from aeformat.net.view.shown import Exhibit, Originals, Shown

from .running import ROOT, need_page

PAGE = b"<html><!-- data --></html>"
DATA = bytes(range(256))


@pytest.fixture(autouse=True)
def small_page(monkeypatch):
    """The built page is not needed for this."""
    monkeypatch.setattr(server_module, "page", lambda: PAGE)
    monkeypatch.setattr(page_module, "page", lambda: PAGE)


@pytest.fixture
def server(tmp_path):
    """A server of one file of 256 bytes, with originals."""
    (tmp_path / "a.aef").write_bytes(DATA)
    (tmp_path / "other").write_bytes(b"not named")
    originals = Originals(tmp_path / "spool", "photos")
    originals.write(
        [np.zeros((2, 1, 3, 1), np.uint8), np.ones((1, 1, 3, 1), np.uint8), np.ones((1, 2, 2, 1), np.uint8)]
    )
    exhibit = Exhibit([Shown("a.aef", tmp_path / "a.aef", originals)])
    with ViewServer(exhibit) as running:
        threading.Thread(target=running.serve_forever, args=(0.05,), daemon=True).start()
        yield running
        running.shutdown()


def ask(server: ViewServer, place: str, *, method: str = "GET", token: str | None = None, **fields: str):
    """Status, header fields and body."""
    connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=60)
    path = f"/{server.token if token is None else token}/{place}"
    connection.request(method, path, headers={name.replace("_", "-"): value for name, value in fields.items()})
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, answer.headers, body


def test_the_page_and_its_list(server):
    assert ask(server, "")[2] == PAGE
    listed = json.loads(ask(server, "list.json")[2])

    against = {"label": "photos", "runs": [[3, 1, 3, 1], [1, 2, 2, 1]], "url": "against/0"}
    assert listed == {"files": [{"name": "a.aef", "url": "files/0", "against": against}]}
    assert ask(server, "against/0")[2] == bytes([0] * 6 + [1] * 7)


@pytest.mark.parametrize(
    ("wanted", "status", "first", "stop"),
    [("bytes=0-9", 206, 0, 10), ("bytes=250-999", 206, 250, 256), ("bytes=7-", 206, 7, 256), ("rows=1-2", 200, 0, 256)],
)
def test_byte_ranges(server, wanted, status, first, stop):
    found, fields, body = ask(server, "files/0", Range=wanted)

    assert (found, body) == (status, DATA[first:stop])
    assert fields.get("Content-Range") == (f"bytes {first}-{stop - 1}/256" if status == 206 else None)


def test_a_range_behind_the_end(server):
    found, fields, body = ask(server, "files/0", Range="bytes=256-")

    assert (found, fields["Content-Range"], body) == (416, "bytes */256", b"")


def test_an_entity_tag_changes_with_the_file(server, tmp_path):
    before = ask(server, "files/0")[1]["ETag"]
    (tmp_path / "a.aef").write_bytes(DATA + b"x")

    assert ask(server, "files/0")[1]["ETag"] != before


@pytest.mark.parametrize(
    "place", ["files/1", "against/1", "files/../other", "files/0/", "other", "decoders/" + "z" * 64]
)
def test_nothing_else_has_a_place(server, place):
    assert ask(server, place)[0] == 404


@pytest.mark.parametrize("token", ["", "x", "%E9"])
def test_who_has_no_token_gets_nothing(server, token):
    assert [ask(server, place, token=token)[0] for place in ("", "list.json", "files/0")] == [404] * 3


def test_a_name_that_was_pointed_here_is_not_answered(server):
    """DNS rebinding: the page of another site, under its own name."""
    port = server.server_address[1]
    hosts = [f"evil.example:{port}", "127.0.0.1", f"127.0.0.1:{port + 1}"]

    assert [ask(server, "", Host=host)[0] for host in hosts] == [421] * 3
    assert ask(server, "", Host=f"localhost:{port}")[0] == 200


def test_the_port_of_http_is_not_in_the_name():
    """A browser leaves it out; of any other port it must be there."""
    assert "127.0.0.1" in server_module.host_names(80) and "127.0.0.1" not in server_module.host_names(8080)


def test_it_listens_on_loopback_and_each_has_its_own_token(server):
    with ViewServer(server.exhibit) as other:
        assert other.server_address[0] == "127.0.0.1"
        assert other.token != server.token


def test_answers_are_for_this_page_alone(server):
    _, fields, body = ask(server, "files/0", method="HEAD")

    assert body == b"" and fields["Content-Length"] == "256"
    assert fields["Cross-Origin-Resource-Policy"] == "same-origin"
    assert fields["Cache-Control"] == "no-store" and "frame-ancestors 'none'" in fields["Content-Security-Policy"]


def test_decoders_of_this_machine(server):
    """By model id; the one that was given counts alone."""
    name = places.shipped_folder() / "mnist-exact.decoder.aef"
    model_id = aeformat.load_model("mnist-exact").the_decoder.model_id.hex()

    assert ask(server, f"decoders/{model_id}")[::2] == (200, name.read_bytes())
    assert ask(server, "decoders/" + "0" * 64)[::2] == (204, b"")
    assert Exhibit([], places.shipped_folder() / "mnist-rd-24.decoder.aef").decoder_file(model_id) is None
    assert Exhibit([], name).decoder_file(model_id) == name


def test_a_saved_page_has_all_in_it(tmp_path):
    """The files and the decoder that one needs; no name ends the element that it stands in."""
    path = tmp_path / "apart.aef"
    aeformat.pack(demo_digits()[:3], path, backend="numpy")
    broken = tmp_path / "broken.aef"
    broken.write_bytes(b"no .aef")
    originals = Originals(tmp_path / "spool", "photos")
    originals.write([np.arange(9, dtype=np.uint8).reshape(1, 3, 3, 1)])
    with (tmp_path / "page.html").open("wb") as file:
        write_saved_page(file, Exhibit([Shown("</script>", path, originals), Shown("broken.aef", broken)]))

    text = (tmp_path / "page.html").read_text()
    saved = json.loads(re.search(r'<script type="application/json" id="saved">(.*?)</script>', text)[1])
    first, second = saved["files"]
    (decoder,) = saved["decoders"].values()
    assert first["name"] == "</script>" and base64.b64decode(first["base64"]) == path.read_bytes()
    assert first["against"]["runs"] == [[1, 3, 3, 1]] and base64.b64decode(first["against"]["base64"]) == bytes(
        range(9)
    )
    assert base64.b64decode(second["base64"]) == b"no .aef"
    assert base64.b64decode(decoder) == (places.shipped_folder() / "mnist-exact.decoder.aef").read_bytes()


def run(capsys, *arguments: object) -> tuple[int, str]:
    """Exit code and what stderr says, of the command in this process."""
    try:
        code = command.main(["view", *map(str, arguments)])
    except SystemExit as stop:
        code = int(stop.code)
    return code, capsys.readouterr().err


@pytest.fixture
def digits(tmp_path):
    """Three digits, and the originals of two of them."""
    path = tmp_path / "digits.aef"
    aeformat.pack(demo_digits()[:3], path, backend="numpy")
    np.save(tmp_path / "two.npy", demo_digits()[:2])
    return path


def test_what_cannot_be_shown_is_one_line(capsys, digits, tmp_path):
    """Originals of other images, a file that is not there, options that do not go together."""
    cases = {
        (digits, "--against", tmp_path / "two.npy"): (1, "2 originals for 3 images"),
        (tmp_path / "none.aef",): (2, "no such file"),
        (digits, digits, "--against", tmp_path / "two.npy"): (2, "one FILE"),
        (digits, "--force"): (2, "--save"),
        (digits, "--resize"): (2, "--against"),
        (digits, "--decoder", digits): (2, "not a model"),
        (digits, "--save", tmp_path / "page.html", "--port", 8000): (2, "beside --save"),
    }
    for arguments, (code, text) in cases.items():
        found, err = run(capsys, *arguments)
        assert (found, err.count("\n")) == (code, 1) and text in err


def test_files_of_one_name_are_told_apart(capsys, digits, tmp_path):
    """By their paths as they were given; a file whose name is its own has that."""
    (tmp_path / "more").mkdir()
    for name in ("more/digits.aef", "other.aef"):
        (tmp_path / name).write_bytes(digits.read_bytes())
    page = tmp_path / "page.html"

    assert run(capsys, digits, tmp_path / "more/digits.aef", tmp_path / "other.aef", "--save", page) == (0, "")

    saved = json.loads(re.search(r'id="saved">(.*?)</script>', page.read_text())[1])
    assert [file["name"] for file in saved["files"]] == [str(digits), str(tmp_path / "more/digits.aef"), "other.aef"]


def test_save_replaces_no_file_without_force(capsys, digits, tmp_path):
    page = tmp_path / "page.html"
    assert run(capsys, digits, "--save", page) == (0, "")
    assert run(capsys, digits, "--save", page)[0] == 2
    assert run(capsys, digits, "--save", page, "--force") == (0, "")


def test_a_saved_page_has_a_largest_size(capsys, digits, tmp_path, monkeypatch):
    """Browsers take no text of any length; nothing is written."""
    monkeypatch.setattr(page_module, "MOST_BYTES", digits.stat().st_size - 1)

    code, err = run(capsys, digits, "--save", tmp_path / "page.html")

    assert code == 2 and "without saving" in err and not (tmp_path / "page.html").exists()


def test_without_a_built_page_it_says_how_to_build_it(capsys, digits, monkeypatch):
    monkeypatch.undo()
    monkeypatch.setattr(page_module.resources, "files", lambda _: digits.parent)

    code, err = run(capsys, digits, "--no-browser")

    assert code == 2 and "npm run build" in err and err.count("\n") == 1


def test_it_opens_the_browser(capsys, digits, monkeypatch):
    """At the URL that it prints; not with --no-browser."""

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    opened: queue.Queue[str] = queue.Queue()
    monkeypatch.setattr(webbrowser, "open", opened.put)
    monkeypatch.setattr(ViewServer, "serve_forever", interrupted)

    assert command.main(["view", str(digits), "--no-browser"]) == 0
    capsys.readouterr()
    assert command.main(["view", str(digits)]) == 0
    assert opened.get(timeout=300) == capsys.readouterr().out.strip()
    assert opened.empty()


@pytest.mark.skipif(os.name != "posix", reason="Ctrl-C is a signal")
def test_it_prints_the_url_and_ends_on_ctrl_c(digits):
    need_page()
    line = [sys.executable, "-m", "aeformat", "view", str(digits), "--no-browser"]
    with subprocess.Popen(line, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        url = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=300)

    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/[\w-]{32}/\n", url)
    assert (process.returncode, err) == (0, "")
