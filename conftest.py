"""Modules whose optional package is not here have no examples to run: no gunpowder for zarr 3 runs on Python 3.11."""

from __future__ import annotations

import importlib.util
import sys

collect_ignore = []
if sys.version_info < (3, 12):
    collect_ignore.append("dacapo_like/gunpowder.py")
if importlib.util.find_spec("torch") is None:
    collect_ignore.append("dacapo_like/torch.py")
