"""A page of the panel, taken apart."""

from __future__ import annotations

from html.parser import HTMLParser


class Page(HTMLParser):
    """What a test wants to know of a page.

    Attributes:
        text: all that is to be read, words apart by one space.
        links: targets of all links.
        inline: whatever a strict policy for contents forbids.
    """

    def __init__(self, response):
        super().__init__()
        self.status = response.status_code
        self.html = response.content.decode()
        self._words, self._within = [], []
        self.links, self.inline, self.nonces = [], [], {}
        self.feed(self.html)
        self.text = " ".join(self._words)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self._within.append(tag)
        if tag == "a":
            self.links.append(given.get("href"))
        if tag == "style" or (tag == "script" and "src" not in given):
            self.inline.append(tag)
        if tag in {"script", "link"}:
            self.nonces[given.get("src") or given.get("href")] = given.get("nonce")
        self.inline += [name for name in given if name == "style" or name.startswith("on")]

    def handle_endtag(self, tag):
        while self._within and self._within.pop() != tag:
            pass

    def handle_data(self, data):
        self._words += data.split()

    def actions(self):
        """Return the names of the actions that are offered."""
        return {link.split("/do/")[1].strip("/") for link in self.links if "/do/" in link}
