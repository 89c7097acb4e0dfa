"""Finds the messages of the package, and writes its catalogues.

    python -m tests.project.catalogues

adds new messages to continuum_upstash/locale/*/LC_MESSAGES/django.po, removes those that are no
longer used, and compiles the .mo files, which are committed: an installation needs no gettext.
"""

from __future__ import annotations

import io
from pathlib import Path

from babel.messages import Catalog
from babel.messages.extract import extract
from babel.messages.mofile import read_mo, write_mo
from babel.messages.pofile import read_po, write_po
from django.utils.translation.template import templatize

PACKAGE = Path(__file__).parents[2] / "continuum_upstash"
LOCALE = PACKAGE / "locale"
LANGUAGES = ("de", "es", "fr")
KEYWORDS = {
    "_": None,
    "gettext": None,
    "gettext_lazy": None,
    "ngettext": (1, 2),
    "ngettext_lazy": (1, 2),
    "npgettext": ((1, "c"), 2, 3),
    "pgettext": ((1, "c"), 2),
    "pgettext_lazy": ((1, "c"), 2),
}


def find_messages() -> Catalog:
    """Return all messages of the package's code and templates."""
    found = Catalog(project="continuum-upstash", fuzzy=False)
    for path in sorted((*PACKAGE.rglob("*.py"), *PACKAGE.rglob("*.html"))):
        source, method = path.read_text(encoding="utf-8"), "python"
        if path.suffix == ".html":
            source, method = templatize(source), "javascript"  # calls, but no valid Python
        data = io.BytesIO(source.encode())
        for _, message, _, context in extract(method, data, keywords=KEYWORDS):
            if message:
                found.add(message, context=context)
    return found


def get_path(language: str, suffix: str) -> Path:
    return LOCALE / language / "LC_MESSAGES" / f"django.{suffix}"


def read_catalogue(language: str) -> Catalog:
    with get_path(language, "po").open("rb") as file:
        return read_po(file, language)


def read_compiled(language: str) -> Catalog:
    with get_path(language, "mo").open("rb") as file:
        return read_mo(file)


def compile_catalogue(catalogue: Catalog) -> bytes:
    data = io.BytesIO()
    write_mo(data, catalogue)
    return data.getvalue()


def update(language: str) -> None:
    catalogue = read_catalogue(language)
    catalogue.update(find_messages(), no_fuzzy_matching=True, update_creation_date=False)
    catalogue.obsolete.clear()
    with get_path(language, "po").open("wb") as file:
        write_po(file, catalogue, width=100, no_location=True, ignore_obsolete=True)
    get_path(language, "mo").write_bytes(compile_catalogue(catalogue))


if __name__ == "__main__":
    for each in LANGUAGES:
        update(each)
