"""The panel's models: entries in the admin's index and permissions. They have no tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from django.db import models
from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:  # at run time it takes no parameter
    _Manager: TypeAlias = models.Manager[models.Model]
    _QuerySet: TypeAlias = models.QuerySet[models.Model]
else:
    _Manager = models.Manager


class NoRowsManager(_Manager):
    """Finds no rows without a query: dumpdata, for example, reads all models."""

    def get_queryset(self) -> _QuerySet:
        return super().get_queryset().none()


class AliasModel(models.Model):
    """An alias of CACHES: what the panel's pages are about."""

    alias = models.CharField(max_length=255, primary_key=True)

    objects = NoRowsManager()

    class Meta:
        abstract = True
        managed = False
        base_manager_name = "objects"
        default_permissions = ("view", "change")

    def __str__(self) -> str:
        return self.alias


class CacheHealth(AliasModel):
    """The health of an alias."""

    class Meta(AliasModel.Meta):
        verbose_name = _("cache health")
        verbose_name_plural = _("cache health")


class CacheKey(AliasModel):
    """The keys of an alias, in the key browser. A key itself is no object."""

    class Meta(AliasModel.Meta):
        permissions = (("view_cachevalue", "Can view cache values"),)
        verbose_name = _("cache keys")
        verbose_name_plural = _("cache keys")


class JobQueue(AliasModel):
    """The queues of an alias. A queue itself is no object."""

    class Meta(AliasModel.Meta):
        verbose_name = _("job queues")
        verbose_name_plural = _("job queues")
