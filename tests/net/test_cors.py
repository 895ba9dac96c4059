"""CORS by an option: T2-17.  (In a browser: test_browser.py.)"""

from __future__ import annotations

import pytest

from aeformat.errors import UsageError
from aeformat.net.server.cors import checked_origins
from aeformat.net.server.run import Settings, serve
from aeformat.transport import draft
from net.running import running
from net.test_token_file import write

APP = "https://app.example"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with running(tmp_path_factory.mktemp("cors") / "root", cors_origins=(APP, "http://localhost:3000")) as server:
        yield server


def preflight(server, origin: str, method: str = "PATCH", path: str = "v1/uploads"):
    named = {
        "Origin": origin,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": "upload-offset",
    }
    return server.request("OPTIONS", path, named)


def names(found, field: str) -> set[str]:
    return {name.strip().lower() for name in found.get(field).split(",")}


@pytest.mark.parametrize("origin", [APP, "http://localhost:3000"])
@pytest.mark.parametrize(
    "path", ["v1/uploads", f"v1/uploads/{'0' * 32}", f"v1/containers/{'0' * 64}", "v1/models:missing"]
)
def test_a_preflight_of_a_named_origin(server, origin, path):
    """204, with all that an upload and a download send."""
    found = preflight(server, origin, path=path)
    assert (found.status, found.get("Access-Control-Allow-Origin")) == (204, origin)
    assert {"get", "head", "post", "patch", "delete"} <= names(found, "Access-Control-Allow-Methods")
    wanted = {"authorization", "content-type", "range", "if-range", "x-request-id", "repr-digest", "content-digest"}
    wanted |= {name.lower() for name in (draft.OFFSET, draft.COMPLETE, draft.LENGTH, draft.INTEROP)}
    assert wanted <= names(found, "Access-Control-Allow-Headers")
    assert found.get("Access-Control-Allow-Credentials") is None and found.get("Vary") == "Origin"


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "https://app.example.evil.example", "http://app.example", "null", ""]
)
def test_other_origins_get_nothing(server, origin):
    """Neither with a preflight nor with a request; caches are told that it depends on the origin."""
    assert preflight(server, origin).get("Access-Control-Allow-Origin") is None
    found = server.request("GET", "v1/", {"Origin": origin})
    assert (found.status, found.get("Access-Control-Allow-Origin")) == (200, None)
    assert "Origin" in found.get("Vary")


@pytest.mark.parametrize(
    ("path", "status"), [("v1/", 200), (f"v1/containers/{'0' * 64}", 404), ("v1/models:missing", 405)]
)
def test_answers_and_refusals_can_be_read(server, path, status):
    found = server.request("GET", path, {"Origin": APP})
    assert (found.status, found.get("Access-Control-Allow-Origin")) == (status, APP)
    wanted = {"location", "content-location", "etag", "repr-digest", "content-range", "retry-after", "x-request-id"}
    wanted |= {name.lower() for name in (draft.OFFSET, draft.COMPLETE, draft.LIMIT, draft.LENGTH)}
    assert wanted <= names(found, "Access-Control-Expose-Headers")


def test_without_the_option_nothing_is_said(tmp_path):
    with running(tmp_path / "root") as server:
        assert preflight(server, APP).get("Access-Control-Allow-Origin") is None
        found = server.request("GET", "v1/", {"Origin": APP})
        assert found.get("Access-Control-Allow-Origin") is None and "Origin" not in (found.get("Vary") or "")


def test_every_origin_needs_tokens(tmp_path):
    """Without them any page could read and delete."""
    with pytest.raises(UsageError, match="every page of the web"):
        serve(Settings(tmp_path / "root", port=0, cors_origins=("*",)))
    tokens = write(tmp_path / "tokens", ann=["containers:read"])
    with running(tmp_path / "root", tokens=tokens, cors_origins=("*",)) as server:
        assert preflight(server, "https://any.example").get("Access-Control-Allow-Origin") == "*"
        found = server.request("GET", "v1/models/" + "0" * 64, {"Origin": "https://any.example"})
        assert (found.status, found.get("Access-Control-Allow-Origin"), found.get("Vary")) == (401, "*", None)


@pytest.mark.parametrize(
    "origin", ["app.example", "https://app.example/", "https://a.example,https://b.example", "", "null"]
)
def test_what_is_no_origin_is_refused_at_the_start(origin):
    with pytest.raises(UsageError, match="not an origin"):
        checked_origins((origin,), has_tokens=True)


def test_origins_are_taken_as_browsers_write_them():
    given = ("HTTPS://App.example:443", "http://a.example:80", "http://a.example:8080")
    assert checked_origins(given, has_tokens=False) == (APP, "http://a.example", "http://a.example:8080")
