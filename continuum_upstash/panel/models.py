"""The panel's model: its entry in the admin's index and its permissions. It has no table."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class CacheHealth(models.Model):
    """An alias of CACHES."""

    alias = models.CharField(max_length=255, primary_key=True)

    class Meta:
        managed = False
        default_permissions = ("view", "change")
        verbose_name = _("cache health")
        verbose_name_plural = _("cache health")

    def __str__(self) -> str:
        return self.alias
