"""Keep aeformat/data/models.json, the names and model ids of the distribution aeformat-models, in step with models/.

python -m tools.model_index            writes it
python -m tools.model_index --check    exits with 1 if it is not what the packages say

Left out are the pairs that the wheel of aeformat has itself (pyproject.toml).
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

from aeformat.model.identity import read_model_id

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "aeformat" / "data" / "models.json"
ROLES = ("encoder", "decoder")
_OWN = re.compile(r'"models/([^"]+)\.encoder\.aef"')


def index() -> dict[str, dict[str, str]]:
    """Name -> role -> model id, in hexadecimal digits."""
    own = set(_OWN.findall((ROOT / "pyproject.toml").read_text(encoding="utf-8")))
    names = sorted(path.name.removesuffix(".encoder.aef") for path in (ROOT / "models").glob("*.encoder.aef"))
    return {
        name: {role: read_model_id(ROOT / "models" / f"{name}.{role}.aef").hex() for role in ROLES}
        for name in names
        if name not in own
    }


def text() -> str:
    """The file, as it must be."""
    return json.dumps(index(), indent=1) + "\n"


def main() -> int:
    """Write or check."""
    if sys.argv[1:] not in ([], ["--check"]):
        print(__doc__, file=sys.stderr)
        return 2
    if not sys.argv[1:]:
        OUT.write_text(text(), encoding="utf-8")
        return 0
    if OUT.is_file() and OUT.read_text(encoding="utf-8") == text():
        return 0
    print(f"{OUT.relative_to(ROOT)} is not what models/ says: run python -m tools.model_index", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
