"""Keep ``RESULTS.md``: one section per benchmark, each replaced when its benchmark runs again."""

import re
from collections.abc import Sequence
from pathlib import Path

RESULTS = Path(__file__).with_name("RESULTS.md")
HEAD = "# Results\n\nWritten by the scripts in this folder; each section says what it was measured on.\n"


def write_section(title: str, machine: str, lines: Sequence[str]) -> None:
    """Replace or add the section ``title``, and print it."""
    section = "\n".join([f"## {title}", "", f"Measured {machine}.", "", *lines]) + "\n"
    text = RESULTS.read_text(encoding="utf-8") if RESULTS.exists() else HEAD
    others = [part for part in re.split(r"(?m)^(?=## )", text) if not part.startswith(f"## {title}\n")]
    RESULTS.write_text("\n".join(part.rstrip() + "\n" for part in [*others, section]), encoding="utf-8")
    print(section)
