"""Sites with the admin and the panel only, under a strict Content-Security-Policy.

    python -m tests.browser.panel_site FOLDER

For each line of its standard input, a JSON object of environment variables that configure the
cache, it forks a process with a site, and prints its URL and the number of the process. Their
databases, files in FOLDER, have the users `viewer`, `operator` and `editor`, whose passwords equal
their names.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from pathlib import Path

import django
from django.conf import settings
from django.core.management import call_command
from django.http import HttpResponse
from django.urls import path

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


def add_policy(get_response):
    def middleware(request):
        response = get_response(request)
        response["Content-Security-Policy"] = POLICY
        return response

    return middleware


def favicon(_request):
    return HttpResponse(status=204)


def configure(folder):
    settings.configure(
        ALLOWED_HOSTS=["127.0.0.1"],
        CACHES={
            "default": {
                "BACKEND": "continuum_upstash.backend.CacheBackend",
                "KEY_PREFIX": "shop",
                "OPTIONS": {"TTL_BY_PREFIX": {"query:": 300}},
            },
        },
        CONTINUUM_RATELIMIT={"POLICIES": {"login": {"rate": "5/m"}}},
        CONTINUUM_STATS={"INTERVAL": 0.2},
        DATABASES={
            "default": {
                "ENGINE": "django.db.backends.sqlite3",
                "NAME": folder / "db.sqlite3",
                "OPTIONS": {"transaction_mode": "IMMEDIATE", "timeout": 20},
            }
        },
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        INSTALLED_APPS=[
            "continuum_upstash",
            "continuum_upstash.panel",
            "django.contrib.admin",
            "django.contrib.auth",
            "django.contrib.contenttypes",
            "django.contrib.sessions",
            "django.contrib.messages",
            "django.contrib.staticfiles",
        ],
        LOGGING={
            "version": 1,
            "handlers": {"console": {"class": "logging.StreamHandler"}},
            "loggers": {"django.request": {"handlers": ["console"]}},
        },
        PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],  # fast
        MIDDLEWARE=[
            f"{__name__}.add_policy",
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.middleware.locale.LocaleMiddleware",
            "django.middleware.common.CommonMiddleware",
            "django.middleware.csrf.CsrfViewMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
            "django.contrib.messages.middleware.MessageMiddleware",
        ],
        ROOT_URLCONF=__name__,
        SECRET_KEY="only-for-tests",
        STATIC_URL="static/",
        TEMPLATES=[
            {
                "BACKEND": "django.template.backends.django.DjangoTemplates",
                "APP_DIRS": True,
                "OPTIONS": {
                    "context_processors": [
                        "django.template.context_processors.request",
                        "django.contrib.auth.context_processors.auth",
                        "django.contrib.messages.context_processors.messages",
                    ]
                },
            }
        ],
        USE_THOUSAND_SEPARATOR=True,
        USE_TZ=True,
    )
    django.setup()


def populate():
    from django.contrib.auth.models import Permission, User  # noqa: PLC0415 needs django.setup()
    from django.db import connections  # noqa: PLC0415 as above

    call_command("migrate", verbosity=0)
    for name, codenames in {
        "viewer": ["view_cachehealth"],
        "operator": ["view_cachehealth", "change_cachehealth"],
        "editor": ["view_cachekey", "view_cachevalue", "change_cachekey"],
    }.items():
        user = User.objects.create_user(name, password=name, is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    connections.close_all()


def fork_sites():
    from django.db import connection  # noqa: PLC0415 as above

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # ended sites leave no zombies
    populated = Path(connection.settings_dict["NAME"])
    for number, line in enumerate(sys.stdin):
        if not os.fork():
            os.environ.update(json.loads(line))
            own = populated.with_name(f"db{number}.sqlite3")
            connection.settings_dict["NAME"] = shutil.copy(populated, own)
            serve()


def serve():
    from django.contrib.staticfiles.handlers import StaticFilesHandler  # noqa: PLC0415 as above
    from django.core.servers.basehttp import (  # noqa: PLC0415 as above
        ThreadedWSGIServer,
        WSGIRequestHandler,
    )
    from django.core.wsgi import get_wsgi_application  # noqa: PLC0415 as above

    server = ThreadedWSGIServer(("127.0.0.1", 0), WSGIRequestHandler)
    server.daemon_threads = True
    server.set_app(StaticFilesHandler(get_wsgi_application()))
    sys.stdout.write(f"http://127.0.0.1:{server.server_port}/ {os.getpid()}\n")
    sys.stdout.flush()
    server.serve_forever()


def __getattr__(name):
    if name == "urlpatterns":  # needs django.setup()
        from django.contrib import admin  # noqa: PLC0415

        return [path("admin/", admin.site.urls), path("favicon.ico", favicon)]
    raise AttributeError(name)


if __name__ == "__main__":
    os.environ.pop("DJANGO_SETTINGS_MODULE", None)
    from tests.browser import panel_site  # the module that ROOT_URLCONF and MIDDLEWARE name

    panel_site.configure(Path(sys.argv[1]))
    panel_site.populate()
    panel_site.fork_sites()
