"""README: limits come before promises, and its claim stands with the control that could undo it."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_limits_stand_before_what_can_be_done_and_numbers_are_those_of_the_results():
    readme, results = ((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "docs/results.md"))
    headings = re.findall(r"^## (.+)$", readme, flags=re.MULTILINE)
    assert headings[0] == "What it cannot do"
    limits = readme[readme.index("## What it cannot do") : readme.index(f"## {headings[1]}")]
    assert "smear real video" in limits and "never run with the real files" in limits

    mild, full = re.search(r"with memory agree (\S+) dB \(mild\) and (\S+) dB", readme).groups()
    rows = dict(re.findall(r"^\| (with memory - [a-z ]+) \| (.+) \|$", results, flags=re.MULTILINE))
    paper, _, wide, _ = rows["with memory - independent"].split(" | ")
    assert paper.startswith(f"+{mild} ") and wide.startswith(f"+{full} ")
    assert len(rows["with memory - unseen history"].split(" | ")) == 4
