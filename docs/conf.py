from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path
from secrets import token_hex
from typing import Any

import django
from django.conf import settings

from continuum_upstash import __version__

sys.path.insert(0, str(Path(__file__).parent / "_extensions"))

# autodoc imports the package: models, forms and admin classes need a set-up Django.
settings.configure(
    INSTALLED_APPS=[
        "django.contrib.admin",
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.messages",
        "django.contrib.sessions",
        "continuum_upstash",
        "continuum_upstash.panel",
    ],
    SECRET_KEY=token_hex(),
)
django.setup()

project = "continuum-upstash"
author = "The continuum-upstash authors"
copyright = author  # noqa: A001 Sphinx's name
version = release = __version__

extensions = [
    "dark_images",
    "markdown_pages",
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3

default_role = "code"  # single backticks in docstrings
add_module_names = False
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
toc_object_entries_show_parents = "hide"

templates_path = ["_templates"]
html_theme = "furo"
html_title = f"continuum-upstash {release}"
html_static_path = ["_static"]
html_css_files = ["site.css", "tables.css"]
html_js_files = ["site.js"]
html_theme_options = {  # of the links to edit a page and to see its source
    "source_repository": "https://github.com/continuum-upstash/continuum-upstash/",
    "source_branch": "main",
    "source_directory": "docs/",
}


def skip_member(*event: Any) -> bool | None:
    """Leave out `aget` beside `get`, as the pages say, and the fields of named tuples.

    Fields are shown with the class, from its docstring.
    """
    name, value = event[2:4]
    owner: Any = inspect.getmodule(value)
    for part in getattr(value, "__qualname__", "").split(".")[:-1]:
        owner = getattr(owner, part, None)
    is_async_version = name.startswith("a") and hasattr(owner, name[1:])
    return True if is_async_version or type(value).__name__ == "_tuplegetter" else None


def prepare_docstring(*event: Any) -> None:
    """Mark examples and links to pages, and keep Napoleon from reading a colon as a type."""
    what, lines = event[1], event[5]
    if what in {"attribute", "data", "property"} and lines:
        lines[0] = lines[0].replace(": ", " \N{EN DASH} ")
    lines[:] = [re.sub(r"\bdocs/(\S+)\.md", r":doc:`/\1`", line) for line in lines]
    for at in range(len(lines) - 1, 1, -1):
        is_first = lines[at].startswith("    ") and not lines[at - 1] and lines[at - 2][:1].strip()
        if is_first and not lines[at - 2].endswith("::"):
            lines[at:at] = [".. code-block:: python", ""]


def setup(app: Any) -> None:
    app.connect("autodoc-skip-member", skip_member)
    app.connect("autodoc-process-docstring", prepare_docstring, priority=400)  # before Napoleon
