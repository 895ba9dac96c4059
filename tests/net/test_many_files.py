"""Many files at once: what was learned from one helps the others, and one that fails does not stop them (T5-18)."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from dataclasses import replace

import pytest
from transport.containers import latents

from aeformat import net
from aeformat.cli.main import main
from aeformat.errors import FormatError, UsageError
from aeformat.net.client import http_client
from aeformat.net.client.aio import async_http_client
from aeformat.net.client.batch import files_in, send_many
from aeformat.net.client.learned import Learned
from aeformat.net.client.options import Options
from aeformat.net.client.rate_limit import LEAST_RATE, RateLimit
from aeformat.transport.http_fields import repr_digest
from net.fake import Fake, Relay, answer
from net.running import running

NEVER = Options(policy="never")
LARGE = latents(12_000, dims=64, chunk_rows=500)


@pytest.fixture
def files(tmp_path):
    """A folder with twelve small files, a large one, a damaged one, and what is no .aef file."""
    folder = tmp_path / "files"
    (folder / "below").mkdir(parents=True)
    for number in range(12):
        (folder / ("below" if number % 2 else ".") / f"{number:02}.aef").write_bytes(latents(20, seed=number))
    (folder / "large.aef").write_bytes(LARGE)
    (folder / "notes.txt").write_text("x")
    return folder


def storing(n_present: int = 0):
    """The answers of a server that has stored the first n_present files that it is asked for, and stores the others."""
    stored = {}

    def found(asked):
        if asked.method == "HEAD" and "models" in asked.target:
            return answer(404)
        if asked.method == "HEAD":
            name = asked.target.rsplit("/", 1)[1]
            stored.setdefault(name, len(stored) < n_present)
            return answer(200, Repr_Digest=repr_digest(bytes.fromhex(name))) if stored[name] else answer(404)
        sha256 = hashlib.sha256(asked.body).digest()
        stored[sha256.hex()] = True
        return answer(201, Upload_Complete="?1", Repr_Digest=repr_digest(sha256))

    return found


def test_files_in_a_folder_are_found_sorted(files):
    """Recursively, by their whole names; what does not end with .aef is left out."""
    found = [str(path.relative_to(files)) for path in files_in(files)]
    assert found == sorted(found) and len(found) == 13 and "below/01.aef" in found and "notes.txt" not in found


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_in_a_folder_is_no_file(tmp_path):
    """Opening one would wait for ever.  A link to nothing is named, and fails."""
    os.mkfifo(tmp_path / "pipe.aef")
    (tmp_path / "gone.aef").symlink_to(tmp_path / "nowhere")
    assert files_in(tmp_path) == [tmp_path / "gone.aef"]


def test_all_arrive_in_order_over_a_few_connections(files, tmp_path):
    """The results come in the order of the files; progress is that of all together; a second run sends nothing."""
    told, paths = [], files_in(files)
    with running(tmp_path / "root") as server, Relay(server.port) as relay:
        found = list(send_many(paths, relay.url, NEVER, jobs=3, progress=lambda *seen: told.append(seen)))
        assert [result.path for result in found] == paths and all(not result.sent.was_there for result in found)
        assert [result.sent.sha256 for result in found] == [
            hashlib.sha256(path.read_bytes()).digest() for path in paths
        ]
        assert told[-1] == (
            "sending",
            sum(path.stat().st_size for path in paths),
            sum(path.stat().st_size for path in paths),
        )
        assert relay.n_connections <= 4
        again = list(send_many(paths, relay.url, NEVER, jobs=3))
        assert all(result.sent.was_there for result in again)


def test_small_files_that_are_most_likely_new_are_not_asked_for(files):
    """T5-11: after eight in a row that the server did not have.  One that it has begins the count anew."""
    paths = [path for path in files_in(files) if path.name != "large.aef"]
    with Fake(storing(n_present=2)) as server:
        found = list(send_many(paths, server.url, NEVER, jobs=1))
        assert [result.sent.was_there for result in found] == [True, True, *[False] * 10]
        assert [asked.method for asked in server.asked] == ["HEAD", "HEAD", *["HEAD", "POST"] * 8, "POST", "POST"]
        assert server.n_connections == 1


def test_one_that_fails_does_not_stop_the_others(files, tmp_path):
    """T5-18: damaged, and gone meanwhile."""
    (files / "03x.aef").write_bytes(b"no container")
    paths = [*files_in(files), files / "gone.aef"]
    with running(tmp_path / "root") as server:
        found = list(send_many(paths, server.url, NEVER))
    failed = {result.path.name: type(result.error) for result in found if result.error is not None}
    assert issubclass(failed.pop("03x.aef"), FormatError) and failed == {"gone.aef": FileNotFoundError}
    assert sum(result.sent is not None for result in found) == 13


@pytest.mark.parametrize("jobs", [1, 4])
def test_what_would_befall_all_ends_the_batch(files, jobs):
    """T5-18: a token that is not valid is not tried with ten thousand files."""
    with Fake(lambda asked: answer(401)) as server:
        found = list(send_many(files_in(files), server.url, NEVER, jobs=jobs))
    assert [result.error is not None for result in found] == [True, *[False] * 12]
    assert len(server.asked) == 1 and all(result.sent is None for result in found)


def test_a_server_that_is_gone_ends_the_batch(files, monkeypatch):
    """T5-18: all tries are made once, not for each file."""
    monkeypatch.setattr("aeformat.transport.retry.FIRST_SECONDS", 0.001)
    with Fake(lambda asked: None) as server:
        found = list(send_many(files_in(files), server.url, NEVER))
    assert "gave up after 8 tries" in str(found[0].error) and sum(result.error is not None for result in found) == 1


def test_leaving_a_batch_stops_it(files, monkeypatch):
    """Also while a transfer waits for its next try: Ctrl-C does not take an hour."""
    begun = send_many(files_in(files), "", NEVER)
    with pytest.raises(UsageError):
        next(begun)
    answers = storing()
    with Fake(lambda asked: answers(asked) if len(server.asked) < 3 else answer(503, Retry_After="3600")) as server:
        results = send_many(files_in(files), server.url, NEVER, jobs=2)
        assert next(results).sent is not None
        results.close()


def test_a_decoder_is_asked_for_once(files):
    """T9-3: of all files together; the sum is shown once."""
    said, paths = [], [path for path in files_in(files) if path.name != "large.aef"]
    with Fake(storing()) as server:
        assert all(result.sent for result in send_many(paths, server.url, jobs=3, notify=said.append))
    assert sum("models" in asked.target for asked in server.asked) == 1
    assert len(said) == 1 and "so does this machine" in said[0]


def test_what_a_proxy_takes_is_remembered():
    """T6-5."""
    learned = Learned(most=500_000)
    assert not learned.expects_new(10)
    learned.n_new = 8
    assert learned.expects_new(1 << 16) and not learned.expects_new((1 << 16) + 1)


def test_the_command_prints_a_line_for_each(files, tmp_path, capsys):
    """stdout: URL and name; stderr: the errors; the exit code is the gravest; with JSON all of it as objects."""
    (files / "03x.aef").write_bytes(b"no container")
    with running(tmp_path / "root") as server:
        words = ["send", str(files), str(files / "large.aef"), server.url, "--model-policy", "never"]
        assert main(words) == 1
        out, err = capsys.readouterr()
        lines = [line.split("  ") for line in out.splitlines()]
        assert len(lines) == 13 and all(url.startswith(f"{server.url}v1/containers/") for url, _ in lines)
        assert [name for _, name in lines] == sorted(name for _, name in lines)
        assert (
            err
            == f"aeformat: {files / '03x.aef'}: not an .aef file (rule C2-1, byte 0); check that this is an .aef file\n"
        )
        (files / "03x.aef").unlink()
        assert main([*words, "--progress", "json"]) == 0
        events = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
        sent = [event for event in events if event["event"] == "sent"]
        assert [event["was_there"] for event in sent] == [True] * 13
        assert {"event", "file", "url", "sha256", "bytes", "was_there"} == set(sent[0])
        assert events[0]["event"] == "progress" and events[0]["size"] == sum(
            path.stat().st_size for path in files_in(files)
        )


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["send", "{empty}", "http://x/"], "there is no .aef file in this folder"),
        (["send", "{empty}", "{empty}", "http://x/", "--decoder", "y"], "--decoder does nothing for many files"),
        (["send", "{file}", "http://x/", "--jobs", "2"], "--jobs does nothing for one file"),
        (["send", "{file}", "http://x/", "-q", "-v"], "--quiet and --verbose exclude each other"),
        (["send", "{file}", "http://x/", "--limit-rate", "100"], "is no rate of at least 4096"),
        (["send", "{file}", "http://x/", "--limit-rate", "2MB"], "is no rate of at least 4096"),
        (["send", "{empty}/none.aef", "{file}", "http://x/"], "no such file"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_a_usage_error(files, tmp_path, capsys, words, why):
    """Exit code 2, and nothing is sent."""
    (tmp_path / "empty").mkdir()
    places = {"empty": tmp_path / "empty", "file": files / "00.aef"}
    try:
        code = main([word.format(**places) for word in words])
    except SystemExit as end:
        code = end.code
    assert code == 2 and why in capsys.readouterr().err


class Clock:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_a_rate_limit_counts_what_all_send_together():
    """A token bucket: what was not used lasts for a tenth of a second."""
    clock = Clock()
    limit = RateLimit(100_000, clock.monotonic)
    assert limit.count(50_000) == 0.5 and limit.count(50_000) == 1.0
    clock.now = 60.0
    assert limit.count(20_000) == pytest.approx(0.1)
    assert limit.slice_bytes == 12_500
    with pytest.raises(ValueError, match="less than 4096"):
        RateLimit(LEAST_RATE - 1)


@pytest.mark.parametrize("name", ["send", "fetch"])
def test_limit_rate_holds_both_ways(tmp_path, monkeypatch, name, capsys):
    """By a clock that only waiting moves: 6 MB at 2 MiB/s take three seconds of it."""
    clock = Clock()
    (tmp_path / "x.aef").write_bytes(LARGE)
    with running(tmp_path / "root") as server:
        words = ["send", str(tmp_path / "x.aef"), server.url]
        if name == "fetch":
            assert main([*words, "-q", "--model-policy", "never"]) == 0
            words = ["fetch", capsys.readouterr().out.strip(), "-o", str(tmp_path / "y.aef")]
        monkeypatch.setattr(http_client, "RateLimit", lambda rate: RateLimit(rate, clock.monotonic))
        monkeypatch.setattr(
            http_client.IncomingResponse,
            "_slow_down",
            lambda self, n: self._limit and clock.sleep(self._limit.count(n)),
        )
        assert main([*words, "-q", "--model-policy", "never", "--limit-rate", "2M"]) == 0
    seconds = len(LARGE) / (2 << 20)
    assert seconds - 0.2 <= clock.now <= seconds + 0.2
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("name", ["asend", "afetch"])
def test_limit_rate_holds_in_asyncio(tmp_path, monkeypatch, name):
    """As above, by the twin."""
    clock, limited = Clock(), replace(NEVER, limit_rate=2 << 20)
    (tmp_path / "x.aef").write_bytes(LARGE)

    async def slow_down(self, n_bytes):
        if self._limit is not None:
            clock.sleep(self._limit.count(n_bytes))

    monkeypatch.setattr(async_http_client, "RateLimit", lambda rate: RateLimit(rate, clock.monotonic))
    monkeypatch.setattr(async_http_client.AsyncIncomingResponse, "_slow_down", slow_down)
    with running(tmp_path / "root") as server:
        sent = asyncio.run(net.asend(tmp_path / "x.aef", server.url, limited if name == "asend" else NEVER))
        assert (clock.now > 0) is (name == "asend")
        if name == "afetch":
            asyncio.run(net.afetch(sent.url, tmp_path / "y.aef", limited))
            assert (tmp_path / "y.aef").read_bytes() == LARGE
    seconds = len(LARGE) / (2 << 20)
    assert seconds - 0.2 <= clock.now <= seconds + 0.2


def test_verbose_shows_requests_and_no_token(tmp_path, monkeypatch, capsys):
    """And --quiet nothing but the result."""
    (tmp_path / "x.aef").write_bytes(latents(20))
    monkeypatch.setenv("AEFORMAT_TOKEN", "s3cret")
    with running(tmp_path / "root") as server:
        for word, has_lines in (("-v", True), ("-q", False)):
            assert main(["send", str(tmp_path / "x.aef"), server.url, word]) == 0
            out, err = capsys.readouterr()
            assert out.startswith(server.url) and "s3cret" not in err
            assert ("> HEAD /v1/containers/" in err and "< 404 after " in err) is has_lines and bool(err) is has_lines
        assert main(["send", str(tmp_path / "x.aef"), server.url, "-v", "--progress", "json"]) == 0
        events = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
        assert {"request", "answer", "sent"} <= {event["event"] for event in events}


def test_waits_are_said_on_the_terminal(tmp_path, monkeypatch, capsys):
    """T8-4: "waiting 30 s: ...", also where stderr is no terminal; as JSON; not with --quiet."""
    (tmp_path / "x.aef").write_bytes(latents(20))
    monkeypatch.setattr("aeformat.net.client.http_client.time.sleep", lambda _: None)
    answers = storing()
    said = {
        "-v": "aeformat: waiting 30 s: sending: the server says 503",
        "--progress=json": '"waiting", "seconds": 30.',
        "-q": "",
    }
    for word, text in said.items():
        with Fake(lambda asked: answer(503, Retry_After="30") if len(server.asked) == 1 else answers(asked)) as server:
            assert main(["send", str(tmp_path / "x.aef"), server.url, word, "--model-policy", "never"]) == 0
        err = capsys.readouterr().err
        assert (text in err) if text else err == ""
