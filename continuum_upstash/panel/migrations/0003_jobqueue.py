from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("continuum_upstash_panel", "0002_cachekey")]  # noqa: RUF012 Django's form
    operations = [  # noqa: RUF012 Django's form
        migrations.CreateModel(
            name="JobQueue",
            fields=[
                ("alias", models.CharField(max_length=255, primary_key=True, serialize=False)),
            ],
            options={
                "verbose_name": "job queues",
                "verbose_name_plural": "job queues",
                "default_permissions": ("view", "change"),
                "managed": False,
                "base_manager_name": "objects",
            },
        ),
    ]
