"""The client behind an nginx that is as its packagers left it: 1 MB for a request, and requests held back."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess

import pytest
from transport.containers import latents

from aeformat import net
from aeformat.cli.main import main
from aeformat.net.client.events import Answered, Asked
from aeformat.net.client.options import Options
from aeformat.transport.problems import TransferFailed, TransferUnfinished
from net.running import accepts, free_port, needs, running, until
from tools.loopback.front import nginx_in_front

CONF = """
daemon off; pid nginx.pid; error_log stderr error; worker_processes 1; {user}
events {{ worker_connections 64; }}
http {{ access_log access.log; client_body_temp_path tmp; proxy_temp_path tmp; fastcgi_temp_path tmp; uwsgi_temp_path tmp;
scgi_temp_path tmp; {more}
upstream aeformat {{ server 127.0.0.1:{server}; keepalive 4; }}
server {{ listen 127.0.0.1:{port}; location {place} {{
proxy_pass http://aeformat/; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $http_host; }} }} }}
"""


@contextlib.contextmanager
def nginx(folder, server, *, place="/", more=""):
    """The URL of an nginx in front of a server."""
    program, port = needs("nginx"), free_port()
    (folder / "tmp").mkdir(parents=True)
    user = "user root;" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(CONF.format(user=user, more=more, server=server.port, port=port, place=place))
    process = subprocess.Popen([program, "-p", folder, "-c", folder / "nginx.conf"], stderr=subprocess.PIPE)
    try:
        until(lambda: accepts(port) or process.poll() is not None)
        assert process.poll() is None, process.stderr.read()
        yield f"http://127.0.0.1:{port}{place}"
    finally:
        process.terminate()
        process.wait(10)


def test_requests_become_smaller_and_stay_so(tmp_path):
    """T6-5: 5.2 MB in chunks of 262 kB.  Each PATCH is one that this proxy has not refused the size of before."""
    data = latents(10_000, dims=64, chunk_rows=512)
    (tmp_path / "x.aef").write_bytes(data)
    answered = []
    options = Options(policy="never", tell=lambda event: isinstance(event, Answered) and answered.append(event.status))
    with running(tmp_path / "root") as server, nginx(tmp_path / "nginx", server) as url:
        sent = net.send(tmp_path / "x.aef", url, options)
        assert net.fetch(sent.url, tmp_path / "back.aef", options).path.read_bytes() == data
    patches = re.findall(r'"PATCH [^"]*" (\d+)', (tmp_path / "nginx" / "access.log").read_text())
    n_refused = patches.count("413")
    assert 1 <= n_refused <= 4 and patches[:n_refused] == ["413"] * n_refused
    assert set(patches[n_refused:]) == {"204", "201"} and answered.count(413) == n_refused


def test_a_proxy_that_takes_less_than_a_chunk_is_named(tmp_path):
    """T6-5: one clear error, not eight tries."""
    (tmp_path / "x.aef").write_bytes(latents(10_000, dims=64, chunk_rows=4096))
    with (
        running(tmp_path / "root") as server,
        nginx(tmp_path / "nginx", server) as url,
        pytest.raises(TransferFailed, match="a proxy in front of the server refuses a request of 2,09") as caught,
    ):
        net.send(tmp_path / "x.aef", url, Options(policy="never"))
    assert not isinstance(caught.value, TransferUnfinished) and "client_max_body_size" in str(caught.value)


def test_all_that_our_client_does_works_under_a_path(tmp_path, capsys):
    """T4-29, T5-12: `location /ae/` of the documented nginx.conf.  Send, break, resume, list, fetch, remove."""
    data = latents(12_000, dims=64, chunk_rows=500)
    (tmp_path / "x.aef").write_bytes(data)
    needs("nginx")
    asked = []
    options = Options(policy="never", tell=lambda event: isinstance(event, Asked) and asked.append(event))
    with running(tmp_path / "root") as server, nginx_in_front(tmp_path / "nginx", server.port, "/ae/") as url:
        with pytest.raises(KeyboardInterrupt):
            net.send(tmp_path / "x.aef", url, options, progress=stop_half_way(server))
        assert main(["ls", url, "--uploads", "--json"]) == 0
        (begun,) = map(json.loads, capsys.readouterr().out.splitlines())
        assert begun["length"] == len(data)

        asked.clear()
        sent = net.send(tmp_path / "x.aef", url, options)
        assert sent.url == f"{url}v1/containers/{sent.sha256.hex()}"
        assert asked[0] == Asked("HEAD", f"/ae/v1/uploads/{begun['id']}", 0) and "POST" not in {e.method for e in asked}
        assert 0 < sum(event.body_bytes for event in asked) < len(data)  # the rest only

        assert main(["ls", url]) == 0 and capsys.readouterr().out.startswith(sent.sha256.hex())
        assert main(["fetch", sent.url, "-o", str(tmp_path / "back.aef"), "-q", "--model-policy", "never"]) == 0
        assert (tmp_path / "back.aef").read_bytes() == data
        assert main(["rm", sent.url]) == 0 and main(["rm", sent.url]) == 1
        capsys.readouterr()
        assert main(["ls", url]) == 0 and capsys.readouterr().out == ""


def stop_half_way(server):
    """A callback of progress that leaves the transfer, as Ctrl-C does, once the server has verified a part of it."""

    def update(_what, n_done, size):
        if n_done > size // 2:
            until(lambda: any(one["offset"] for one in json.loads(server.request("GET", "v1/uploads").body)["uploads"]))
            raise KeyboardInterrupt

    return update
