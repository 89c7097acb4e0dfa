"""Parses the pages of the panel."""

from __future__ import annotations

from html.parser import HTMLParser


class Page(HTMLParser):
    """A parsed page.

    Attributes:
        text: all visible text, words separated by one space.
        links: targets of all links and forms.
        inline: tags and attributes that a strict Content-Security-Policy forbids.
    """

    def __init__(self, response):
        super().__init__()
        self.status = response.status_code
        self.html = response.content.decode()
        self._words, self._open_tags = [], []
        self.links, self.inline, self.nonces = [], [], {}
        self.feed(self.html)
        self.text = " ".join(self._words)

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self._open_tags.append(tag)
        if tag == "a" or "action" in values:
            self.links.append(values.get("href") or values.get("action"))
        if tag == "style" or (tag == "script" and "src" not in values):
            self.inline.append(tag)
        if tag in {"script", "link"}:
            self.nonces[values.get("src") or values.get("href")] = values.get("nonce")
        self.inline += [name for name in values if name == "style" or name.startswith("on")]

    def handle_endtag(self, tag):
        while self._open_tags and self._open_tags.pop() != tag:
            pass

    def handle_data(self, data):
        self._words += data.split()

    def list_actions(self):
        """Return the names of the available actions."""
        return {link.split("/do/")[1].strip("/") for link in self.links if link and "/do/" in link}
