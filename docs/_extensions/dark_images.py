"""Shows images/NAME-dark.png instead of images/NAME.png in the dark theme, if there is one."""

from __future__ import annotations

from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("doctree-read", add_dark_images, priority=100)  # before Sphinx collects the images
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def add_dark_images(app: Sphinx, page: nodes.document) -> None:
    for image in list(page.findall(nodes.image)):
        address = image["uri"].replace(".png", "-dark.png")
        if address != image["uri"] and Path(page["source"]).parent.joinpath(address).exists():
            dark = image.copy()
            dark["uri"] = address
            image["classes"].append("only-light")  # classes of Furo
            dark["classes"].append("only-dark")
            image.parent.insert(image.parent.index(image) + 1, dark)
