"""`aeformat view` with the URL of a container, and the page that a server itself has for it."""

from __future__ import annotations

import base64
import hashlib
import json
import re

from view.running import READY, drive, need_page

import aeformat
from aeformat.cli.main import main
from aeformat.images import demo_digits
from aeformat.model import places
from aeformat.net.view import page as page_module
from net.running import running, upload
from net.test_token_file import TENANT, write


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


def test_a_server_has_the_page(tmp_path):
    """The same for each digest, stored or not, without a token; nothing else lies beside it."""
    need_page()
    with running(tmp_path / "root", tokens=write(tmp_path / "tokens", ann=TENANT)) as server:
        answers = [server.request("GET", f"view/{digest * 64}") for digest in "0f"]
        others = [server.request("GET", f"view/{name}").status for name in ("", "0" * 63, "0" * 64 + "/", "F" * 64)]
        posted = server.request("POST", f"view/{'0' * 64}", {}, b"").status

    assert [answer.status for answer in answers] == [200, 200] and answers[0].body == answers[1].body
    assert "frame-ancestors 'none'" in answers[0].fields["content-security-policy"]
    assert others == [404] * 4 and posted == 405


def test_a_container_is_seen_by_its_url_and_a_token(tmp_path):
    """A wrong token and one without the scope see nothing; the right one proves its receipts with the server's decoder."""
    path = tmp_path / "digits.aef"
    aeformat.pack(demo_digits(), path, receipts=True, backend="numpy")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    tokens = write(tmp_path / "tokens", ann=TENANT, deaf=["models:read"])
    with running(tmp_path / "root", tokens=tokens) as server:
        upload(server, path.read_bytes(), "ann")
        upload(server, (places.shipped_folder() / "mnist-exact.decoder.aef").read_bytes(), "ann")
        found = drive(
            "await page.goto(url); const enter = async (token, text) => {"
            "  await page.getByLabel('Token').fill(token); await page.getByRole('button', { name: 'Show' }).click(); await page.getByText(text).waitFor(); };"
            "await page.getByLabel('Token').waitFor(); const wrong = await axe();"
            "await enter('wrong', 'does not know'); await enter('deaf', 'may not read');"
            "const before = await page.locator('canvas').count();"
            f"await enter('ann', 'receipts proved'); {READY} await page.waitForSelector('.cell');"
            "await page.goto(other); await enter('ann', 'no such container');"
            "return { wrong, before };",
            url=f"{server.url}view/{digest}", other=f"{server.url}view/{'0' * 64}", refused=True,
        )  # fmt: skip

    assert found == {"wrong": [], "before": 0}


def test_without_tokens_a_container_is_seen_at_once(tmp_path):
    path = tmp_path / "digits.aef"
    aeformat.pack(demo_digits(), path, embed_decoder=True, backend="numpy")
    with running(tmp_path / "root") as server:
        upload(server, path.read_bytes())
        url = f"{server.url}view/{hashlib.sha256(path.read_bytes()).hexdigest()}"
        status = drive(
            f"await page.goto(url); {READY} await page.waitForSelector('.cell'); return page.innerText('.status');",
            url=url,
        )

    assert "Valid" in status and "100 images" in status
