"""Keep aeformat/data/rules.json, what `aeformat validate` prints as expected, in step with the spec's pages.

python tools/rule_texts.py            writes it
python tools/rule_texts.py --check    exits with 1 if it is not what the pages say
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "aeformat" / "data" / "rules.json"
PAGES = ("container.md", "model.md", "sets.md")
_RULE = re.compile(r"^\| \*\*([CM]\d+-\d+)\*\* \| (.+)\|$", re.MULTILINE)
_CELL = re.compile(r"(?<!\\)\|")  # what ends a cell; code and byte stand in those behind


def rule_texts() -> dict[str, str]:
    """Rule id -> its sentence, without markup, in the order of the pages."""
    texts = {}
    for page in PAGES:
        for rule, row in _RULE.findall((ROOT / "spec" / page).read_text(encoding="utf-8")):
            text = _CELL.split(row)[0].strip()
            texts[rule] = text.replace("`", "").replace("\\|", "|").replace("**", "")
    return texts


def main() -> int:
    """Write or check the file."""
    text = json.dumps(rule_texts(), indent=1, ensure_ascii=False) + "\n"
    if sys.argv[1:] == ["--check"]:
        if not OUT.is_file() or OUT.read_text(encoding="utf-8") != text:
            print(f"{OUT.relative_to(ROOT)} is not what the spec says; run python tools/rule_texts.py", file=sys.stderr)
            return 1
        return 0
    OUT.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
