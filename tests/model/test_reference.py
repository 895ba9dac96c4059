"""The reference makes every golden set, so it must agree with a plain reading of the spec and with all packages there are."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest

from aeformat.model import store
from aeformat.model.golden import check_golden
from aeformat.model.package import ModelPackage
from aeformat.model.reference import all_values, evaluate, golden_output
from model.branches import random_branches
from model.networks import random_exact, random_float
from model.plain import evaluate as by_loops

SHIPPED = [half for name in store.shipped_names() for half in store.find_pair(name)]


@pytest.mark.parametrize("package", SHIPPED, ids=lambda package: f"{package.name}-{package.role}")
def test_the_golden_sets_of_shipped_packages_come_out(package: ModelPackage) -> None:
    """Exact ones bit for bit, float32 ones within section 5."""
    check_golden(package, SimpleNamespace(run=partial(golden_output, package)))


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("profile", ["exact", "float32"])
def test_it_computes_what_the_spec_says(profile: str, seed: int) -> None:
    """All kinds of layers, with branches and without, as loops over single numbers compute them."""
    straight = random_exact(seed) if profile == "exact" else random_float(seed)
    for package in (straight, random_branches(seed, profile)):
        rows = package.golden_input[:2]
        found = all_values(package.plan, rows)[-1]
        assert found == pytest.approx(by_loops(package, rows).astype(np.float64), rel=1e-12, abs=1e-12)


def test_what_is_made_has_the_type_of_the_last_layer() -> None:
    """A part of a network is computed like a whole one."""
    package = random_exact(1)
    lookups = [k for k, step in enumerate(package.plan, 1) if step.kind == "lookup"]
    part = package.plan[: lookups[0]]
    made = evaluate(part, package.golden_input)
    assert made.dtype == package.plan[lookups[0] - 1].arrays["table"].dtype
    assert made.shape == (len(package.golden_input), *part[-1].made.shape)
