"""Pages that are tables, of which every row has a check: tests of such pages share this."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent.parent / "docs"


def rows_of(page: Path) -> Iterator[tuple[str, str]]:
    """Give the section and the first cell of every row of the tables of a page."""
    for section in re.split(r"^## ", page.read_text(), flags=re.MULTILINE)[1:]:
        title, _, table = section.partition("\n")
        for line in table.strip().splitlines()[2:]:
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            assert len(cells) == 4, f"{title}: {line}"
            assert all(cells[:3]), f"{title}: {line}"
            yield title, cells[0].strip("`")


class Rows:
    """The rows of a page, and the checks of a test module."""

    def __init__(self, *page: str) -> None:
        self.names = [name for _, name in rows_of(DOCS.joinpath(*page))]
        self.checks: dict[str, Callable[[Path], Any]] = {}

    def row(self, name: str) -> Callable[[Callable[[Path], Any]], Callable[[Path], Any]]:
        """Make a function the check of a row."""

        def add(check: Callable[[Path], Any]) -> Callable[[Path], Any]:
            assert name not in self.checks
            self.checks[name] = check
            return check

        return add

    def compare(self) -> None:
        """Find a row without a check, a check without a row, and a row that is there twice."""
        assert len(self.names) == len(set(self.names))
        assert set(self.names) == set(self.checks)
