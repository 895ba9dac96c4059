"""All that are measured, by the names that the tables have."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Final

from tools.bench.rivals import compressors, ours, plain, stores, tensors
from tools.bench.rivals.rival import Rival

RIVALS: Final[dict[str, Rival]] = {
    **ours.RIVALS,
    **compressors.RIVALS,
    **stores.RIVALS,
    **tensors.RIVALS,
    **plain.RIVALS,
}
OURS: Final = "aef"


def missing(rival: Rival) -> list[str]:
    """The packages of it that are not installed."""
    return [package for package in rival.packages if version_of(package) is None]


def version_of(package: str) -> str | None:
    """None where it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None
