"""Files that claim everything are refused within a memory cap (spec/container.md, section 13; spec/model.md, section 7)."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from hostile.claims import CLAIMS, MIB, latents, model, rows

HERE = Path(__file__).resolve().parent
OTHER_KIND = "of the other kind"

pytestmark = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="counts address space as Linux does")


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """What every way to read makes of every claim, each under its cap."""
    folder = tmp_path_factory.mktemp("claims")
    cases = []
    for number, (name, claim) in enumerate(CLAIMS.items()):
        file = f"{number:02d}.aef"
        (folder / file).write_bytes(claim.build())
        cases.append({"name": name, "file": file, "cap": claim.cap, "chunk_bytes": claim.chunk_bytes})
    (folder / "cases.json").write_text(json.dumps(cases))
    (folder / "good-latents.aef").write_bytes(latents(rows(b"\0")))
    (folder / "good-model.aef").write_bytes(model(b"\x80"))
    command = [sys.executable, str(HERE / "capped.py"), str(folder)]
    ran = subprocess.run(command, check=False, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    found: dict[str, dict[str, str]] = json.loads(ran.stdout)
    return found


@pytest.mark.parametrize("name", CLAIMS)
def test_a_file_that_claims_everything_is_refused_within_its_cap(name, outcomes):
    """Reader (both ways), validator and package reader name the rule, and take no memory that the file has not paid for."""
    allowed = {*CLAIMS[name].rules.split(), OTHER_KIND}
    found = dict(outcomes[name])
    if found["heading"] == "good":  # it looks at no tensor
        del found["heading"]

    assert {way: rule for way, rule in found.items() if rule not in allowed} == {}
    assert OTHER_KIND not in found["validator"]
    assert list(found.values()).count(OTHER_KIND) <= 2


def test_the_claims_are_small():
    """What is refused above fits in 1 MiB, a few hundred bytes for most."""
    sizes = sorted(len(claim.build()) for claim in CLAIMS.values())

    assert sizes[-1] <= 2 * MIB
    assert sizes[len(sizes) // 2] < 1_000


def test_the_cap_is_felt(tmp_path):
    """What does need its memory fails under the cap: the test above can fail."""
    (tmp_path / "a.aef").write_bytes(CLAIMS["256 MiB of zeros in 25 kB"].build())
    cases = [{"name": "a", "file": "a.aef", "cap": 16 * MIB, "chunk_bytes": 256 * MIB}]
    (tmp_path / "cases.json").write_text(json.dumps(cases))
    ran = subprocess.run(
        [sys.executable, str(HERE / "capped.py"), str(tmp_path)], check=True, capture_output=True, text=True
    )

    assert json.loads(ran.stdout)["a"]["forward"] == "too much memory"
