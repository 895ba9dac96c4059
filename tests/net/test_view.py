"""`aeformat view` with the URL of a container."""

from __future__ import annotations

import base64
import hashlib
import json
import re

import aeformat
from aeformat.cli.main import main
from aeformat.images import demo_digits
from aeformat.model import places
from aeformat.net.view import page as page_module
from net.running import running, upload


def test_a_url_is_fetched_with_its_decoder(tmp_path, monkeypatch):
    """The file is verified; its decoder, which is not here, comes from the same server."""
    path, page = tmp_path / "digits.aef", tmp_path / "page.html"
    aeformat.pack(demo_digits()[:3], path, backend="numpy")
    monkeypatch.setattr(page_module, "page", lambda: b"<html><!-- data --></html>")
    with running(tmp_path / "root") as server:
        upload(server, path.read_bytes())
        upload(server, (places.shipped_folder() / "mnist-exact.decoder.aef").read_bytes())
        url = f"{server.url}v1/containers/{hashlib.sha256(path.read_bytes()).hexdigest()}"
        monkeypatch.setattr(places, "shipped_files", list)
        assert main(["view", url, "--save", str(page), "--image-bytes", "1e9"]) == 0

    saved = json.loads(re.search(r'id="saved">(.*?)</script>', page.read_text())[1])
    assert base64.b64decode(saved["files"][0]["base64"]) == path.read_bytes()
    assert len(saved["decoders"]) == 1


def test_options_of_a_server_go_with_a_url(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(page_module, "page", lambda: b"")

    assert main(["view", str(tmp_path / "digits.aef"), "--image-bytes", "5"]) == 2
    assert "without a URL" in capsys.readouterr().err
