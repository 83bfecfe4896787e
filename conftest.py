"""No gunpowder for zarr 3 runs on Python 3.11: there, the module that needs it has no examples to run."""

from __future__ import annotations

import sys

collect_ignore = ["dacapo_like/gunpowder.py"] if sys.version_info < (3, 12) else []
