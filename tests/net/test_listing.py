"""GET v1/containers: what a tenant has stored, a page at a time (T2-11 of spec/transport.md)."""

from __future__ import annotations

import hashlib
import json
import time
from datetime import datetime

import pytest
from transport.containers import latents

from aeformat.model import store
from aeformat.model.file_io import package_bytes
from net.running import running, upload
from net.test_tenants import SCOPES, write_tokens

FILES = {hashlib.sha256(data).hexdigest(): data for data in (latents(20, seed=seed) for seed in range(5))}
SHAS = sorted(FILES)
TOKENS = {
    "a": ("acme", list(SCOPES), None),
    "b": ("beta", list(SCOPES), None),
    "writer": ("acme", ["uploads:write"], None),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    place = tmp_path_factory.mktemp("listing")
    with running(place / "root", tokens=write_tokens(place / "tokens", TOKENS)) as server:
        for data in FILES.values():
            assert upload(server, data, "a").status == 201
        assert upload(server, latents(20, seed=9), "b").status == 201
        model = package_bytes(store.find_pair("mnist-exact")[1], level=1)
        assert upload(server, model, "a").status == 201
        yield server


def listed(server, query="", token="a"):
    found = server.request("GET", f"v1/containers{query}", token=token)
    assert found.status == 200, found.body
    assert found.get("Cache-Control") == "no-store"
    return json.loads(found.body)


def test_the_list_has_the_tenants_own_containers_in_order(server):
    """Neither models nor what others have stored; sizes and times are those of the blobs."""
    document = listed(server)
    assert [entry["sha256"] for entry in document["containers"]] == SHAS
    assert [entry["bytes"] for entry in document["containers"]] == [len(FILES[sha]) for sha in SHAS]
    assert "next" not in document
    for entry in document["containers"]:
        when = datetime.fromisoformat(entry["stored"].replace("Z", "+00:00"))
        assert entry["stored"].endswith("Z") and abs(when.timestamp() - time.time()) < 3600


@pytest.mark.parametrize("limit", [1, 2, 4, 5])
def test_pages_follow_each_other(server, limit):
    """`next` is the `after` of the next page; the last page has none."""
    found, query, n_pages = [], f"?limit={limit}", 0
    while query:
        document = listed(server, query)
        assert len(document["containers"]) <= limit
        found += [entry["sha256"] for entry in document["containers"]]
        query = f"?limit={limit}&after={document['next']}" if "next" in document else ""
        n_pages += 1
    assert found == SHAS
    assert n_pages == -(-len(SHAS) // limit)


def test_after_need_not_be_stored(server):
    """A client may begin anywhere."""
    assert [entry["sha256"] for entry in listed(server, f"?after={'0' * 64}")["containers"]] == SHAS
    assert listed(server, f"?after={'f' * 64}")["containers"] == []


def test_a_tenant_without_containers_has_an_empty_list(tmp_path):
    """On a new server."""
    with running(tmp_path / "root") as server:
        assert listed(server, token=None) == {"containers": []}


@pytest.mark.parametrize(
    "query",
    ["?limit=0", "?limit=1001", "?limit=-1", "?limit=x", "?limit=", "?after=", "?after=abc", f"?after={'A' * 64}"],
)
def test_a_bad_query_is_refused(server, query):
    """400, as for any field without the form that the page gives it."""
    assert server.request("GET", f"v1/containers{query}", token="a").status == 400


def test_the_list_needs_the_scope(server):
    """As reading does."""
    assert server.request("GET", "v1/containers", token="writer").status == 403
    assert server.request("GET", "v1/containers").status == 401
    assert server.request("POST", "v1/containers", token="a").status == 405
