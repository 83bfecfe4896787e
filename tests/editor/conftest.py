"""Language servers, as editors run them, and where they find the schemas."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(
    0, str(Path(__file__).parent)
)  # pytest's importlib mode leaves `language_server` out

from language_server import LanguageServer

ROOT = Path(__file__).parent.parent.parent
INSTALLED = "node_modules/.installed"


@pytest.fixture(scope="session")
def servers() -> Path:
    """Give the folder that node and the language servers are installed in."""
    named = os.environ.get("DACAPO_LIKE_PEERS_EDITOR")
    folder = Path(named) if named else ROOT / ".venv-editor"
    if not (folder / INSTALLED).exists():
        pytest.skip(
            "NOT TRIED WITH THE LANGUAGE SERVERS OF EDITORS, which are not installed: run `make peers`, "
            "or name a folder that it has made in DACAPO_LIKE_PEERS_EDITOR"
        )
    return folder


@pytest.fixture(scope="session")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder as a user has it: documents, and the schemas beside them."""
    folder = tmp_path_factory.mktemp("workspace")
    (folder / "schemas").symlink_to(ROOT / "schemas")
    return folder


@pytest.fixture(scope="session")
def yaml_server(servers: Path, workspace: Path) -> Iterator[LanguageServer]:
    """Give the server of YAML: the one of VS Code, Neovim and Emacs."""
    program = servers / "node_modules/yaml-language-server/bin/yaml-language-server"
    settings = {"yaml": {"schemaStore": {"enable": False}, "validate": True, "hover": True}}
    yield from serving(
        LanguageServer(
            [servers / "bin/node", program, "--stdio"],
            language="yaml",
            root=workspace,
            directive="# yaml-language-server: $schema=schemas/{}.schema.json",
            settings={"http": {}, "[yaml]": {}, "editor": {}, **settings},
        )
    )


@pytest.fixture(scope="session")
def toml_server(servers: Path, workspace: Path) -> Iterator[LanguageServer]:
    """Give the server of TOML: taplo's, the one of VS Code's Even Better TOML."""
    yield from serving(
        LanguageServer(
            [servers / "bin/node", servers / "taplo.mjs"],
            language="toml",
            root=workspace,
            directive="#:schema schemas/{}.draft-07.schema.json",
            settings={"evenBetterToml": {"schema": {"enabled": True, "catalogs": []}}},
            reports=3,
        )
    )


def serving(server: LanguageServer) -> Iterator[LanguageServer]:
    """Give a server, and end it."""
    try:
        yield server
    finally:
        server.close()
