"""Creates the rows for the pages, the same on every machine."""

from __future__ import annotations

from calendar import SATURDAY
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
_TITLES = (
    "What we learned from {}",
    "A field guide to {}",
    "The quiet cost of {}",
    "{}, explained with a pencil",
    "Against {}",
    "{} in the dark",
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
_TREND = dict(
    zip(Topic, (0.03, -0.015, 0.0, 0.05, -0.02), strict=True)
)  # growth in readers per day
_WEEKEND = 0.55  # share of the readers on a weekend day


@transaction.atomic
def seed() -> None:
    """Create all rows if there are none."""
    if Article.objects.exists():
        return
    random = Random(7)  # noqa: S311 the same rows on every machine
    names = product(_FIRST_NAMES, _LAST_NAMES)
    authors = Author.objects.bulk_create(Author(name=" ".join(name)) for name in names)
    articles = Article.objects.bulk_create(_make_article(random, authors) for _ in range(ARTICLES))
    DailyReaders.objects.bulk_create(
        [day for article in articles for day in _make_days(random, article)], batch_size=300
    )


def _make_article(random: Random, authors: list[Author]) -> Article:
    topic = random.choice(list(Topic))
    title = random.choice(_TITLES).format(random.choice(_SUBJECTS[topic]))
    return Article(
        title=title[0].upper() + title[1:],
        topic=topic,
        author=random.choice(authors),
        published=LAST_DAY - timedelta(days=random.randrange(DAYS, 1000)),
    )


def _make_days(random: Random, article: Article) -> list[DailyReaders]:
    popularity = random.lognormvariate(4, 1)
    trend = _TREND[Topic(article.topic)] + random.uniform(-0.01, 0.01)
    days = [LAST_DAY - timedelta(days=DAYS - 1 - number) for number in range(DAYS)]
    return [
        DailyReaders(
            article=article,
            day=day,
            readers=int(
                popularity
                * (1 + trend * number)
                * (_WEEKEND if day.weekday() >= SATURDAY else 1)
                * random.uniform(0.6, 1.4)
            ),
        )
        for number, day in enumerate(days)
    ]
