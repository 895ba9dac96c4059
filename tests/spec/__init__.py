"""The specification: its vectors, its formal languages, its pages and the tools that hold them together."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2]))  # tools/ is not installed
