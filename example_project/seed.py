"""Rows for the pages to query: the same ones on every machine."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import product
from random import Random

from django.db import transaction

from example_project.models import Article, Author, DailyReaders, Topic

ARTICLES = 400
DAYS = 30
LAST_DAY = date(2026, 1, 31)

_FIRST_NAMES = ("Ada", "Bruno", "Chidi", "Dara", "Elif", "Farah", "Goran", "Hana")
_LAST_NAMES = ("Okafor", "Lindqvist", "Moreau", "Tanaka")
_OPENINGS = (
    "What we learned from {}",
    "A field guide to {}",
    "The quiet cost of {}",
    "{}, explained with a pencil",
    "Against {}",
    "How {} works when nobody looks",
    "Ten years of {}",
    "{} on a small budget",
)
_SUBJECTS = {
    Topic.DATABASES: ("write-ahead logs", "covering indexes", "lost updates", "key expiry"),
    Topic.NETWORKS: ("slow start", "keep-alive", "anycast", "head-of-line blocking"),
    Topic.INTERFACES: ("empty states", "keyboard focus", "dark mode", "progress bars"),
    Topic.LANGUAGES: ("generators", "structural typing", "borrow checkers", "string formatting"),
    Topic.OPERATIONS: ("blameless reviews", "error budgets", "cold starts", "midnight deploys"),
}


@transaction.atomic
def seed() -> None:
    """Write the rows, unless they are there."""
    if Article.objects.exists():
        return
    random = Random(7)  # noqa: S311 for the same rows everywhere
    names = product(_FIRST_NAMES, _LAST_NAMES)
    authors = Author.objects.bulk_create(Author(name=" ".join(name)) for name in names)
    articles = Article.objects.bulk_create(_article(random, authors) for _ in range(ARTICLES))
    DailyReaders.objects.bulk_create(
        [day for article in articles for day in _days(random, article)], batch_size=300
    )


def _article(random: Random, authors: list[Author]) -> Article:
    topic = random.choice(list(Topic))
    title = random.choice(_OPENINGS).format(random.choice(_SUBJECTS[topic]))
    return Article(
        title=title[0].upper() + title[1:],
        topic=topic,
        author=random.choice(authors),
        published=LAST_DAY - timedelta(days=random.randrange(DAYS, 1000)),
    )


def _days(random: Random, article: Article) -> list[DailyReaders]:
    popularity = random.lognormvariate(4, 1)
    trend = random.uniform(-0.02, 0.04)
    return [
        DailyReaders(
            article=article,
            day=LAST_DAY - timedelta(days=DAYS - 1 - number),
            readers=int(popularity * (1 + trend * number) * random.uniform(0.7, 1.3)),
        )
        for number in range(DAYS)
    ]
