"""GET /metrics: the text format of Prometheus, and who may see what (T10-7)."""

from __future__ import annotations

import re

import pytest
from transport.containers import latents

from aeformat.net.server.metrics import Metrics
from net.running import running, upload
from net.test_token_file import write

_LINE = re.compile(r'(\w+)(?:\{((?:\w+="[^"\\\n]*",?)+)\})? (-?(?:\d+(?:\.\d+)?(?:e[+-]?\d+)?|\+?Inf))')
FILE = latents(400, dims=32)


def parse(text: str) -> dict[str, dict[str, float]]:
    """Metric names with their samples by labels; fails for what is not the text format."""
    found: dict[str, dict[str, float]] = {}
    types: dict[str, str] = {}
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name not in types and kind in ("counter", "gauge", "histogram")
            types[name] = kind
        elif not line.startswith("# HELP "):
            match = _LINE.fullmatch(line)
            assert match, line
            assert match[1] in types or match[1].rsplit("_", 1)[0] in types
            samples = found.setdefault(match[1], {})
            assert match[2] not in samples
            samples[match[2] or ""] = float(match[3])
    assert text.endswith("\n")
    return found


def test_a_tenant_sees_its_own_and_the_operator_all(tmp_path):
    """Bytes, requests and problems of the other tenant are not in it; nor are the gauges."""
    scopes = ["uploads:write", "containers:read", "metrics:read"]
    tokens = write(tmp_path / "tokens", ann=scopes, op=["metrics:server"])
    text = tokens.read_text().replace('"tenants": {', '"tenants": {"ops": {}, ')
    at = text.rindex('"tenant": "acme"')
    tokens.write_text(text[:at] + '"tenant": "ops"' + text[at + 16 :])
    with running(tmp_path / "root", tokens=tokens) as server:
        before = parse(server.request("GET", "metrics", token="ann").body.decode())
        assert before.get("aeformat_received_bytes_total") is None
        assert upload(server, FILE, "ann").status == 201
        server.request("GET", "v1/", token="nobody")
        server.request("GET", "v1/models/" + "0" * 64, token="nobody")
        own = parse(server.request("GET", "metrics", token="ann").body.decode())
        whole = parse(server.request("GET", "metrics", token="op").body.decode())
        assert server.request("POST", "v1/uploads", {"Upload-Complete": "?0"}, b"", "op").status == 403
    assert own["aeformat_received_bytes_total"][""] == len(FILE)
    assert "aeformat_uploads_open" not in own and "aeformat_problems_total" not in own
    assert whole["aeformat_uploads_open"][""] == whole["aeformat_draining"][""] == 0
    assert whole["aeformat_problems_total"]['type="unauthorized"'] == 1
    assert sum(whole["aeformat_requests_total"].values()) > sum(own["aeformat_requests_total"].values())
    route = 'method="POST",route="/v1/uploads"'
    assert own["aeformat_request_body_bytes_sum"][route] == len(FILE)
    assert own["aeformat_request_duration_seconds_count"][route] == 1


def test_the_other_tenants_token_shows_nothing_of_the_first(tmp_path):
    metrics = Metrics({})
    metrics.count("aeformat_stored_total", 7)
    assert parse(metrics.text())["aeformat_stored_total"][""] == 7
    assert parse(metrics.text("acme")) == {}


def test_buckets_are_cumulative():
    """Each bound counts what is at most as large; +Inf counts all."""
    metrics = Metrics({"gauge": lambda: 0.5})
    for value in (0, 100, 101, 10**11):
        metrics.observe("aeformat_response_body_bytes", value, method="GET")
    found = parse(metrics.text())
    buckets = found["aeformat_response_body_bytes_bucket"]
    assert buckets['method="GET",le="100"'] == 2
    assert buckets['method="GET",le="1000"'] == buckets['method="GET",le="10000000000"'] == 3
    assert buckets['method="GET",le="+Inf"'] == found["aeformat_response_body_bytes_count"]['method="GET"'] == 4
    assert found["aeformat_response_body_bytes_sum"]['method="GET"'] == 201 + 10**11
    assert found["gauge"][""] == 0.5
    assert list(buckets.values()) == sorted(buckets.values())


@pytest.mark.parametrize("value", [1e-7, 0.25, 3.0, 1e18, 2.5e20])
def test_numbers_are_of_the_format(value):
    metrics = Metrics({})
    metrics.observe("aeformat_request_duration_seconds", value)
    assert parse(metrics.text())["aeformat_request_duration_seconds_sum"][""] == value
