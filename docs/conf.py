"""Sphinx configuration: numpydoc, a gallery run from examples/, the pydata theme.

Nothing here reaches for the network, and the build treats warnings as errors.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import latentem

HERE = Path(__file__).parent

project = "latentem"
author = "latentem developers"
copyright = f"latentem developers. Version {latentem.__version__}"  # noqa: A001
version = release = latentem.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "numpydoc",
    "myst_parser",
    "sphinx_gallery.gen_gallery",
]
root_doc = "index"
exclude_patterns = ["_build", "_templates", "gallery/**/*.ipynb", "gallery/**/*.py.md5"]
source_suffix = {".rst": "restructuredtext", ".md": "markdown"}
templates_path = ["_templates"]

# ------------------------------------------------------------------------------------ reference

autosummary_generate = True
autodoc_typehints = "none"  # the docstrings name types with their shapes
numpydoc_show_class_members = False  # the class page shows its methods in full
numpydoc_xref_param_type = False

# ---------------------------------------------------------------------------------------- pages

myst_enable_extensions = ["dollarmath", "colon_fence", "deflist"]
myst_heading_anchors = 3

# -------------------------------------------------------------------------------------- gallery

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    "filename_pattern": r"\.py$",  # every example runs
    "within_subsection_order": "FileNameSortKey",
    "reference_url": {"latentem": None},
    "download_all_examples": False,
    "show_memory": False,
    "show_signature": False,
    "write_computation_times": False,
    "remove_config_comments": True,
}

# ----------------------------------------------------------------------------------------- look

html_theme = "pydata_sphinx_theme"
html_title = f"latentem {release}"
html_static_path: list[str] = []
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "show_prev_next": True,
    "secondary_sidebar_items": ["page-toc"],
    "navbar_align": "left",
    "footer_start": ["copyright"],
    "footer_end": [],
}


def _check_reference(app: Any, env: Any) -> None:
    """Warn of a public name that the reference does not list."""
    from sphinx.util import logging

    listed = re.findall(r"^   ([\w.]+)$", (HERE / "api.rst").read_text(), flags=re.MULTILINE)
    modules = {path.stem for path in (HERE.parent / "latentem").iterdir()}
    for name in sorted(set(latentem.__all__) - {*listed, *modules, "__version__"}):
        logging.getLogger(__name__).warning("docs/api.rst does not list latentem.%s", name)


def setup(app: Any) -> None:
    app.connect("env-updated", _check_reference)
