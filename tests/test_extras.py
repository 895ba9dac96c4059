"""Tests that need an extra are skipped where it is missing, and say so; or fail, where everything was promised."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize(("promised", "code", "says"), [("0", 0, "skipped"), ("1", 1, "failed")])
def test_without_the_extra_net_its_tests_say_so(tmp_path, promised, code, says):
    """One line a module, none of them silent."""
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['h11'] = None\n")
    paths = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-n", "0", "-rsf", "tests/net/test_uploads.py", "tests/net/test_tenants.py"],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": paths, "AEFORMAT_REQUIRE_ALL": promised},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stdout
    assert f"2 {says}" in done.stdout
    assert 'not installed: h11; pip install "aeformat[net]"' in done.stdout
