from __future__ import annotations

from django.contrib import admin

from example_project.models import Article, Author


@admin.register(Article)
class ArticleAdmin(admin.ModelAdmin):
    list_display = ("title", "topic", "author", "published")
    list_filter = ("topic",)
    list_select_related = ("author",)
    search_fields = ("title", "author__name")


@admin.register(Author)
class AuthorAdmin(admin.ModelAdmin):
    search_fields = ("name",)
