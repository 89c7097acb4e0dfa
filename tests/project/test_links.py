"""Hints lead to pages and headings that exist; nothing refers to files that a wheel lacks."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest

from continuum_upstash.checks.catalogue import CATALOGUE, check_message
from continuum_upstash.documentation import SITE, link_to
from tests.project.sections import list_sections

ROOT = Path(__file__).parents[2]
FILES = [
    path
    for path in sorted((ROOT / "continuum_upstash").rglob("*.py"))
    if path.name != "documentation.py"
]
TREES = {path: ast.parse(path.read_text()) for path in FILES}


def is_documented(url: str) -> bool:
    page, _, section = url.removeprefix(SITE).partition("#")
    path = ROOT / "docs" / f"{page.removesuffix('.html')}.md"
    return path.exists() and (not section or section in list_sections(path))


def list_links() -> list[str]:
    """Every address that the package's code makes from constants."""
    return [
        link_to(*(argument.value for argument in node.args if isinstance(argument, ast.Constant)))
        for tree in TREES.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "link_to"
        if isinstance(node.args[0], ast.Constant)
    ]


@pytest.mark.parametrize("url", sorted(set(list_links())))
def test_a_link_leads_to_a_page_and_a_heading(url):
    assert is_documented(url)


@pytest.mark.parametrize("check_id", CATALOGUE)
def test_the_hint_of_a_check_leads_to_its_section(check_id):
    url = re.search(r"See (\S+)$", check_message(check_id, "text").hint)[1]
    assert is_documented(url)
    assert url.endswith(f"#{check_id.lower()}")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_message_refers_to_a_file_of_the_repository(path):
    tree = TREES[path]
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
        if node.body and isinstance(node.body[0], ast.Expr)
    }
    messages = [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        if id(node) not in docstrings
    ]
    assert not [text for text in messages if re.search(r"(?<![\w/])docs/|README|\.md\b", text)]


def test_the_project_urls_contain_the_site():
    urls = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"]
    assert urls["Documentation"] == SITE
    assert urls["Changelog"] == link_to("changelog")
