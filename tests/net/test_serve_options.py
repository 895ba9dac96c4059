"""The options of `aeformat serve`, from the command line to their effect."""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from aeformat.cli.serve import add_arguments
from net.test_operating import ROOT, started
from net.test_token_file import TENANT, write


def ask(port: int, more: str = "Host: localhost\r\n") -> str:
    """The head of the answer to GET /v1/, in small letters."""
    with socket.create_connection(("127.0.0.1", port), 30) as sock:
        sock.settimeout(30)
        sock.sendall(f"GET /v1/ HTTP/1.1\r\n{more}Connection: close\r\n\r\n".encode())
        found = b""
        while piece := sock.recv(65536):
            found += piece
    return found.decode().partition("\r\n\r\n")[0].lower()


def test_what_may_be_given_twice(tmp_path):
    """Names, origins, proxies."""
    options = ["--host-name", "a.example", "--host-name", "b.example", "--cors-origin", "https://a.example"]
    options += ["--cors-origin", "https://b.example", "--trusted-proxy", "10.0.0.0/8", "--trusted-proxy", "127.0.0.1"]
    with started(["serve", str(tmp_path / "root"), "--port", "0", *options]) as (process, port):
        for name in ("a.example", "b.example"):
            found = ask(port, f"Host: {name}\r\nOrigin: https://{name}\r\nX-Forwarded-For: 192.0.2.7, 10.1.1.1\r\n")
            assert found.startswith("http/1.1 200 ") and f"allow-origin: https://{name}\r\n" in found
        assert ask(port, "Host: c.example\r\n").startswith("http/1.1 421 ")
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate(timeout=60)
    requests = [line for line in map(json.loads, log.splitlines()) if "client" in line]
    assert [line["client"] for line in requests] == ["192.0.2.7", "192.0.2.7", "127.0.0.1"]


def test_drain_and_level(tmp_path):
    """With a delay the server is still there after SIGTERM; at level error it says nothing of requests."""
    options = ["--drain-delay", "600", "--drain-seconds", "1", "--log-level", "error"]
    with started(["serve", str(tmp_path / "root"), "--port", "0", *options]) as (process, port):
        process.send_signal(signal.SIGTERM)
        assert ask(port).startswith("http/1.1 200 ")
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate(timeout=60)
    assert (process.returncode, log) == (-signal.SIGTERM, "")


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="this system has no Unix sockets")
def test_unix_socket(tmp_path):
    """What it prints is where it listens; SIGINT ends it with 0."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "s"
        line = [sys.executable, "-m", "aeformat", "serve", str(tmp_path / "root"), "--unix-socket", str(path)]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        with subprocess.Popen(
            line, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == f"serving {tmp_path / 'root'} at unix:{path}\n"
            with socket.socket(socket.AF_UNIX) as sock:
                sock.connect(str(path))
                sock.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
                assert sock.recv(65536).startswith(b"HTTP/1.1 200 ")
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--host-name", "https://a.example"], "not a host name"),
        (["--cors-origin", "*"], "every page of the web"),
        (["--cors-origin", "a.example"], "not an origin"),
        (["--trusted-proxy", "proxy.example"], "trusted proxy"),
        (["--unix-socket", "/nowhere/s"], "cannot listen"),
        (["--drain-seconds", "-1"], "not an integer"),
        (["--log-level", "loud"], "invalid choice"),
        (["--host", "0.0.0.0"], "give --tokens"),
        (["--tokens", "/nowhere/tokens"], "cannot use the token file"),
        (["--certfile", "/nowhere/c", "--keyfile", "/nowhere/k"], "cannot use the certificate"),
    ],
)
def test_a_wrong_option_is_one_line_and_exit_code_2(tmp_path, options, said):
    """Before anything is served; argparse's own errors have the usage before the line."""
    line = [sys.executable, "-m", "aeformat", "serve", str(tmp_path / "root"), "--port", "0", *options]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(line, env=environment, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr.splitlines()[-1] and "Traceback" not in done.stderr


def test_every_origin_is_allowed_with_tokens(tmp_path):
    tokens = write(tmp_path / "tokens", ann=TENANT)
    options = ["--tokens", str(tokens), "--cors-origin", "*"]
    with started(["serve", str(tmp_path / "root"), "--port", "0", *options]) as (_, port):
        assert "allow-origin: *" in ask(port, "Host: localhost\r\nOrigin: https://any.example\r\n")


def test_every_option_is_on_the_page():
    """docs/operating.md names what `serve` takes, and nothing else."""
    parser = argparse.ArgumentParser(add_help=False)
    add_arguments(parser)
    options = {name for action in parser._actions for name in action.option_strings}
    page = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")
    assert set(re.findall(r"(?<![\w-])--[a-z][\w-]+", page)) == options
