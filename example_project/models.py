from __future__ import annotations

from django.db import models


class Topic(models.TextChoices):
    DATABASES = "databases", "Databases"
    NETWORKS = "networks", "Networks"
    INTERFACES = "interfaces", "Interfaces"
    LANGUAGES = "languages", "Languages"
    OPERATIONS = "operations", "Operations"


class Author(models.Model):
    name = models.CharField(max_length=80)

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name


class Article(models.Model):
    title = models.CharField(max_length=120)
    topic = models.CharField(max_length=20, choices=Topic.choices)
    author = models.ForeignKey(Author, on_delete=models.CASCADE, related_name="articles")
    published = models.DateField()

    class Meta:
        ordering = ("-published",)

    def __str__(self) -> str:
        return self.title


class DailyReaders(models.Model):
    """How many people read an article on a day."""

    article = models.ForeignKey(Article, on_delete=models.CASCADE, related_name="days")
    day = models.DateField()
    readers = models.PositiveIntegerField()

    class Meta:
        ordering = ("day",)
        verbose_name_plural = "daily readers"

    def __str__(self) -> str:
        return f"{self.day}: {self.readers}"
