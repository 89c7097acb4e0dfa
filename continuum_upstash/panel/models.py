"""The panel's model: its entry in the admin's index and its permissions. It has no table."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from django.db import models
from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:  # at run time it takes no parameter
    _Manager: TypeAlias = models.Manager["CacheHealth"]
    _QuerySet: TypeAlias = models.QuerySet["CacheHealth"]
else:
    _Manager = models.Manager


class NoRowsManager(_Manager):
    """Finds no rows without a query: dumpdata, for example, reads all models."""

    def get_queryset(self) -> _QuerySet:
        return super().get_queryset().none()


class CacheHealth(models.Model):
    """An alias of CACHES."""

    alias = models.CharField(max_length=255, primary_key=True)

    objects = NoRowsManager()

    class Meta:
        managed = False
        base_manager_name = "objects"
        default_permissions = ("view", "change")
        verbose_name = _("cache health")
        verbose_name_plural = _("cache health")

    def __str__(self) -> str:
        return self.alias
