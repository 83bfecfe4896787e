"""Sphinx configuration."""

import sys
from importlib.metadata import version as installed_version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "dacapo_like"
author = "The dacapo_like developers"
copyright = f"2026, {author}"
version = release = installed_version(project)

extensions = [
    "array_type",
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
]
exclude_patterns = ["_build"]

html_theme = "furo"
html_title = f"dacapo_like {release}"

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

default_role = "py:obj"  # names in single backticks in docstrings are links
autodoc_mock_imports = ["gunpowder", "torch"]  # neither is wherever the docs are made
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # docstrings say types as people write them
napoleon_google_docstring = False
napoleon_use_ivar = True
