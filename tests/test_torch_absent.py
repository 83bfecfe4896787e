"""Without torch, all else goes on, and the module that needs it says so."""

from __future__ import annotations

import subprocess
import sys


def test_the_extra_is_named():
    program = "import sys; sys.modules['torch'] = None\nimport dacapo_like.torch"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "MissingExtraError: torch cannot be imported" in done.stderr
    assert "pip install 'dacapo_like[torch]'" in done.stderr


def test_nothing_else_imports_it():
    program = (
        "import sys, dacapo_like.careamics, dacapo_like.patches.batches, dacapo_like.patches.sampler\n"
        "print([name for name in ('torch', 'careamics') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
