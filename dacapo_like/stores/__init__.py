"""Arrays by name, kept where several people and programs find them: a folder of YAML files, or a database."""

from __future__ import annotations

from dacapo_like.stores.store import ConfigStore

__all__ = ["ConfigStore"]
