"""Publishes the Markdown of each page beside its HTML, and llms.txt, a list of all of them."""

from __future__ import annotations

import re
from pathlib import Path
from shutil import copyfile
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("html-page-context", add_link)
    app.connect("build-finished", write_pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def add_link(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Add the address of the Markdown to the head of a page."""
    if doctree is not None:
        address = f"{page.rpartition('/')[2]}.md"
        link = f'<link rel="alternate" type="text/markdown" href="{address}">'
        context["metatags"] = context.get("metatags", "") + link


def write_pages(app: Sphinx, exception: Exception | None) -> None:
    if exception is None and app.builder.format == "html":
        for page in app.env.found_docs:
            copyfile(app.env.doc2path(page), app.outdir / f"{page}.md")
        Path(app.outdir, "llms.txt").write_text(format_list(app.env), encoding="utf-8")


def format_list(env: BuildEnvironment) -> str:
    """Return the pages by section, in the order of the navigation; see https://llmstxt.org."""
    root = env.get_doctree(env.config.root_doc)
    described = _read_descriptions(Path(env.doc2path(env.config.root_doc)).read_text("utf-8"))
    lines = [f"# {env.config.project}", "", f"> {_read_summary(root)}"]
    for tree in root.findall(addnodes.toctree):
        lines += ["", f"## {tree.get('caption') or 'Start'}", ""]
        for _, page in tree["entries"]:
            text = described.get(page) or _read_summary(env.get_doctree(page))
            lines.append(f"- [{env.titles[page].astext()}]({page}.md): {text}")
    return "\n".join(lines) + "\n"


def _read_descriptions(landing_page: str) -> dict[str, str]:
    """Return what the landing page says of each page that it lists."""
    items = re.findall(r"^- \[[^]]+\]\((\S+)\.md\): (.+(?:\n  .+)*)", landing_page, re.MULTILINE)
    return {page: " ".join(text.split()).replace("`", "") for page, text in items}


def _read_summary(page: nodes.document) -> str:
    """Return the first paragraph of a page."""
    return next(page.findall(nodes.paragraph)).astext().replace("\n", " ")
