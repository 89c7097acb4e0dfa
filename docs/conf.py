from __future__ import annotations

from continuum_upstash import __version__

project = "continuum-upstash"
author = "The continuum-upstash authors"
copyright = author  # noqa: A001 Sphinx's name
version = release = __version__

extensions = ["myst_parser"]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3

html_theme = "furo"
html_title = f"continuum-upstash {release}"
html_static_path = ["_static"]
html_css_files = ["tables.css"]
