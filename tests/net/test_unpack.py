"""aeformat unpack --registry: the decoder comes from a server that the user names, once."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import numpy as np
import pytest

from aeformat.backends import golden_check
from aeformat.cli.main import main
from aeformat.model import places, store
from aeformat.model.file_io import package_bytes
from net.running import running, upload
from net.test_api import digits


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A file of 5,000 digits and its decoder's package, on a machine on which no model is installed."""
    file = tmp_path / "digits.aef"
    file.write_bytes(digits(5000))
    package = package_bytes(store.find_pair("mnist-exact")[1])
    (tmp_path / "empty").mkdir()
    monkeypatch.setattr(places, "shipped_folder", lambda: tmp_path / "empty")
    return file, package


def test_a_missing_decoder_is_fetched_once_checked_and_cached(place, tmp_path, monkeypatch, capsys):
    """T9-1, T9-4: the second unpack needs no server."""
    file, package = place
    proofs: list[bytes] = []
    check = golden_check.check

    def proving(found):
        proofs.append(found.model_id)
        check(found)

    monkeypatch.setattr(golden_check, "check", proving)
    assert main(["unpack", str(file), "-o", str(tmp_path / "a.npy")]) == 4
    with running(tmp_path / "root") as server:
        ask = ["--registry", server.url]
        assert main(["unpack", str(file), "-o", str(tmp_path / "a.npy"), *ask]) == 4
        assert upload(server, package).status == 201
        assert main(["unpack", str(file), "-o", str(tmp_path / "a.npy"), *ask, "--model-policy", "never"]) == 4
        assert main(["unpack", str(file), "-o", str(tmp_path / "a.npy"), *ask]) == 0
        assert "it pays" in capsys.readouterr().err
        assert (
            f"aeformat_sent_bytes_total {len(package)}" in server.request("GET", "metrics").body.decode().splitlines()
        )
    assert len(proofs) == 1 and len(list(places.cache_folder().glob("*.aef"))) == 1

    assert main(["unpack", str(file), "-o", str(tmp_path / "b.npy"), *ask]) == 0
    assert main(["unpack", str(file), "-o", str(tmp_path / "c.npy")]) == 0
    digests = {hashlib.sha256((tmp_path / f"{name}.npy").read_bytes()).digest() for name in "abc"}
    assert len(digests) == 1 and np.load(tmp_path / "a.npy").shape[0] == 5000


def test_a_file_cannot_name_a_server(place, tmp_path):
    """T5-9: without --registry, unpack does not even import the code that could send a request."""
    code = (
        "import pathlib, sys; from aeformat.cli.main import main; from aeformat.model import places, store;"
        f"places.shipped_folder = lambda: pathlib.Path({str(tmp_path / 'empty')!r});"
        f"code = main(['unpack', {str(place[0])!r}, '-o', {str(tmp_path / 'a.npy')!r}]);"
        "print(code, [name for name in sys.modules if name.split('.')[0] in ('h11', 'starlette') or 'aeformat.net' in name])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.split("\n")[0] == "4 []"
