from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("continuum_upstash_panel", "0001_initial")]  # noqa: RUF012 Django's form
    operations = [  # noqa: RUF012 Django's form
        migrations.CreateModel(
            name="CacheKey",
            fields=[
                ("alias", models.CharField(max_length=255, primary_key=True, serialize=False)),
            ],
            options={
                "verbose_name": "cache keys",
                "verbose_name_plural": "cache keys",
                "default_permissions": ("view", "change"),
                "permissions": (("view_cachevalue", "Can view cache values"),),
                "managed": False,
                "base_manager_name": "objects",
            },
        ),
    ]
