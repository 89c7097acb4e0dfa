from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True
    dependencies = []  # noqa: RUF012 Django's form
    operations = [  # noqa: RUF012 Django's form
        migrations.CreateModel(
            name="CacheHealth",
            fields=[
                ("alias", models.CharField(max_length=255, primary_key=True, serialize=False)),
            ],
            options={
                "verbose_name": "cache health",
                "verbose_name_plural": "cache health",
                "default_permissions": ("view", "change"),
                "managed": False,
                "base_manager_name": "objects",
            },
        ),
    ]
