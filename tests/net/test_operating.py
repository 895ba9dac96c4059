"""docs/operating.md and the files beside it: what they show is run here, as far as it can be without systemd and an engine."""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import importlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from transport.containers import latents

from aeformat.net.server.tokens import Tokens
from net.running import accepts, free_port, needs, running, until, upload
from net.test_metrics import parse
from net.test_token_file import TENANT, write

ROOT = Path(__file__).resolve().parents[2]
PLACE = ROOT / "docs" / "operating"
PAGE = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")
BLOCKS = dict(re.findall(r"<!-- (?:run|file): ([\w.]+) -->\n```\w+\n(.*?)```", PAGE, re.DOTALL))
FILE = latents(400, dims=32)
NAME = hashlib.sha256(FILE).hexdigest()
_MDWE = 65, 1  # prctl: MemoryDenyWriteExecute= of the unit, on kernels that have it


def unit() -> dict[str, list[str]]:
    """The settings of the unit, each with all its values."""
    found: dict[str, list[str]] = {}
    for line in (PLACE / "aeformat.service").read_text(encoding="utf-8").splitlines():
        if "=" in line and not line.startswith("#"):
            name, _, value = line.partition("=")
            found.setdefault(name, []).append(value)
    return found


def instructions() -> list[tuple[str, str]]:
    """The lines of the Containerfile: instruction and the rest."""
    lines = (PLACE / "Containerfile").read_text(encoding="utf-8").splitlines()
    return [(line.split(" ", 1)[0], line.split(" ", 1)[1]) for line in lines if line and not line.startswith("#")]


def argument(name: str) -> str:
    """The last instruction of that name."""
    return [rest for instruction, rest in instructions() if instruction == name][-1]


def deny_write_execute() -> None:
    """As the unit's MemoryDenyWriteExecute=, where the kernel has it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(*_MDWE, 0, 0, 0)


@contextlib.contextmanager
def started(arguments: list[str], **more: object) -> Iterator[tuple[subprocess.Popen, int]]:
    """Run `aeformat` with these arguments; yields the process and the port that it serves on."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    line = [sys.executable, "-m", "aeformat", *arguments]
    process = subprocess.Popen(line, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more)
    try:
        assert process.stdout is not None
        said = process.stdout.readline()
        match = re.search(r":(\d+)/$", said.strip())
        assert match, said + (process.stderr.read() if process.poll() is not None and process.stderr else "")
        yield process, int(match[1])
    finally:
        process.kill()
        process.communicate()


def get(port: int, path: str) -> int:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=60) as answer:
        return answer.status


@pytest.fixture
def tokens(tmp_path):
    return write(tmp_path / "tokens.json", ann=TENANT)


def test_a_token_is_made_as_the_page_says(tmp_path):
    """The digest that the second line prints is the token's."""
    needs("openssl")
    script = f'set -eu -o pipefail\n{BLOCKS["token"]}\nprintf "%s\\n" "$TOKEN"'
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    digest, token = done.stdout.splitlines()
    assert digest.split()[0] == hashlib.sha256(token.encode()).hexdigest() and len(token) == 64


def test_the_token_file_of_the_page_is_good(tmp_path):
    (tmp_path / "tokens.json").write_text(BLOCKS["tokens.json"])
    assert Tokens(tmp_path / "tokens.json").unreadable is None


def test_the_unit_is_verified(tmp_path):
    """By systemd-analyze, with a program at ExecStart's path; and it finds little that is still exposed."""
    program = needs("systemd-analyze")
    text = (PLACE / "aeformat.service").read_text(encoding="utf-8")
    assert "/opt/aeformat/bin/aeformat" in text
    stand_in = tmp_path / "aeformat"
    stand_in.write_text("#!/bin/sh\n")
    stand_in.chmod(0o755)
    path = tmp_path / "aeformat.service"
    path.write_text(text.replace("/opt/aeformat/bin/aeformat", str(stand_in)))
    done = subprocess.run([program, "verify", path], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and "aeformat.service" not in done.stderr, done.stderr
    done = subprocess.run(
        [program, "security", "--offline=true", "--no-pager", "--threshold=20", path],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


def test_what_the_unit_starts_serves_reloads_and_stops(tmp_path, tokens):
    """ExecStart with other paths, in memory that is never both writable and executable; ExecReload; SIGTERM: exit code 0."""
    (command,) = unit()["ExecStart"]
    command = command.replace("/var/lib/aeformat", str(tmp_path / "root"))
    command = command.replace("/etc/aeformat/tokens.json", str(tokens)).replace("--port 8023", "--port 0")
    arguments = shlex.split(command)
    assert arguments[:2] == ["/opt/aeformat/bin/aeformat", "serve"] and unit()["MemoryDenyWriteExecute"] == ["yes"]
    with started(arguments[1:], preexec_fn=deny_write_execute) as (process, port):
        assert get(port, "healthz") == get(port, "readyz") == 200
        assert unit()["ExecReload"] == ["/bin/kill -HUP $MAINPID"]
        write(tokens, bob=TENANT)
        process.send_signal(signal.SIGHUP)
        assert process.stderr is not None
        assert any("the token file was read again" in line for line in iter(process.stderr.readline, ""))
        assert get(port, "readyz") == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(120) == 0


def test_the_time_to_stop_is_longer_than_the_drain():
    (command,) = unit()["ExecStart"]
    arguments = shlex.split(command)
    assert int(unit()["TimeoutStopSec"][0]) > int(arguments[arguments.index("--drain-seconds") + 1])


def test_the_image_has_what_the_wheel_needs(tmp_path, hatchling):
    """A wheel is built from the files that COPY names, and from no others; the line that installs it finds it."""
    from hatchling.builders.wheel import WheelBuilder

    first_stage = instructions()[: [name for name, _ in instructions()].index("FROM", 1)]
    for _, rest in (found for found in first_stage if found[0] == "COPY"):
        *sources, target = rest.split()
        for source in sources:
            place = tmp_path / target / (source if target == "./" else "")
            copy = shutil.copytree if (ROOT / source).is_dir() else shutil.copy
            copy(ROOT / source, place)
    (tmp_path / "wheels").mkdir()
    (wheel,) = WheelBuilder(str(tmp_path)).build(directory=str(tmp_path / "wheels"), versions=["standard"])
    (install,) = [rest for name, rest in instructions() if name == "RUN" and "pip install" in rest]
    shown = install.replace("pip install --no-cache-dir", "echo").replace("/wheels/", f"{tmp_path}/wheels/")
    done = subprocess.run(["bash", "-c", shown], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == f"{wheel}[net]"


def test_what_the_image_starts_serves_and_is_healthy(tmp_path, tokens):
    """ENTRYPOINT with CMD, and HEALTHCHECK, with other paths and another port; then STOPSIGNAL."""
    start = [*json.loads(argument("ENTRYPOINT")), *json.loads(argument("CMD"))]
    places = {"/var/lib/aeformat": str(tmp_path / "root"), "/etc/aeformat/tokens.json": str(tokens), "8023": "0"}
    start = [places.get(word, word) for word in start]
    assert start[0] == "aeformat" and argument("VOLUME") == "/var/lib/aeformat" and argument("EXPOSE") == "8023"
    check = json.loads(argument("HEALTHCHECK").removeprefix("CMD "))
    assert check[0] == "python" and ":8023/" in check[-1]
    with started(start[1:]) as (process, port):
        line = [sys.executable, *check[1:-1], check[-1].replace(":8023/", f":{port}/")]
        assert subprocess.run(line, timeout=60).returncode == 0
        process.send_signal(getattr(signal, argument("STOPSIGNAL")))
        assert process.wait(120) == 0
        assert subprocess.run(line, timeout=60, stderr=subprocess.DEVNULL).returncode != 0


def test_the_backup_of_a_running_server_is_whole(tmp_path):
    """The line as it stands, beside the server; then a server on the copy."""
    with running(tmp_path / "store") as server:
        assert upload(server, FILE).status == 201
        done = subprocess.run(
            ["bash", "-euc", BLOCKS["backup"]], cwd=tmp_path, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        assert server.request("DELETE", f"v1/containers/{NAME}").status == 204
    with running(tmp_path / "backup") as restored:
        raw = f"GET /v1/containers/{NAME} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        assert restored.raw(raw.encode()).endswith(b"\r\n\r\n" + FILE)
        program, *arguments = shlex.split(BLOCKS["check"])
        assert program == "aeformat"
        arguments = ["backup" if word == "store" and number else word for number, word in enumerate(arguments)]
        line = [sys.executable, "-m", "aeformat", *arguments]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        done = subprocess.run(line, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr


def test_each_metric_of_the_alerts_is_there(tmp_path):
    """And each on the page; the file is good YAML."""
    needed = os.environ.get("AEFORMAT_REQUIRE_ALL") == "1"
    yaml = importlib.import_module("yaml") if needed else pytest.importorskip("yaml")
    text = (PLACE / "alerts.yaml").read_text(encoding="utf-8")
    (group,) = yaml.safe_load(text)["groups"]
    with running(tmp_path / "root") as server:
        server.request("GET", "v1/")
        there = set(parse(server.request("GET", "metrics").body.decode()))
    named = {name for rule in group["rules"] for name in re.findall(r"aeformat_\w+", rule["expr"])}
    named |= set(re.findall(r"`(aeformat_\w+)`", PAGE))
    assert named and named <= there


def test_each_member_of_a_line_of_the_log_is_on_the_page(tmp_path):
    with running(tmp_path / "root", log=tmp_path / "log") as server:
        server.request("GET", "v1/")
        until(lambda: (tmp_path / "log").read_text().endswith("\n"))
    line = json.loads((tmp_path / "log").read_text().splitlines()[0])
    (sentence,) = re.findall(r"A request is a line with (.*?); status 0", PAGE, re.DOTALL)
    assert {"level", *re.findall(r"`(\w+)`", sentence)} == set(line)


def test_nginx_says_who_asked(tmp_path):
    """The client's address and the request's id reach the log; what the client makes up does not."""
    nginx, port = needs("nginx"), free_port()
    text = (ROOT / "spec" / "transport" / "nginx.conf").read_text(encoding="utf-8")
    folder, log = tmp_path / "nginx", tmp_path / "log"
    (folder / "tmp").mkdir(parents=True)
    with running(tmp_path / "root", trusted_proxies=("127.0.0.1",), log=log, host_names=("files.example",)) as server:
        text = text.replace("127.0.0.1:8443", f"127.0.0.1:{port}").replace("127.0.0.1:8023", f"127.0.0.1:{server.port}")
        (folder / "nginx.conf").write_text(("user root;\n" if os.geteuid() == 0 else "") + text)
        process = subprocess.Popen([nginx, "-p", folder, "-c", folder / "nginx.conf"], stderr=subprocess.PIPE)
        try:
            made_up = {"X-Forwarded-For": "198.51.100.1", "Forwarded": "for=198.51.100.1", "Host": "files.example"}
            request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/", headers=made_up)
            until(lambda: process.poll() is not None or accepts(port))
            assert process.poll() is None, process.stderr.read()
            with urllib.request.urlopen(request, timeout=60) as answer:
                shown = answer.headers["X-Request-ID"]
            until(lambda: '"GET"' in log.read_text())  # the line comes after the answer
        finally:
            process.terminate()
            process.wait(30)
    (line,) = [json.loads(line) for line in log.read_text().splitlines() if '"GET"' in line]
    assert line["client"] == "127.0.0.1" and line["request_id"] == shown and re.fullmatch("[0-9a-f]{32}", shown)
