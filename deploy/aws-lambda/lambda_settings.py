"""The site's settings, with the secrets of AWS Secrets Manager."""

import os

from aws_secrets import Secret, SecretValue
from mysite.settings import *  # noqa: F403
from mysite.settings import CACHES, SESSIONS_HAVE_A_DATABASE

secret = Secret(os.environ["SECRET_ARN"])
SECRET_KEY = secret.get("DJANGO_SECRET_KEY")

TOKEN = SecretValue(secret, "UPSTASH_REDIS_REST_TOKEN")
for _cache in CACHES.values():
    _cache["OPTIONS"] |= {"REST_URL": os.environ["UPSTASH_REDIS_REST_URL"], "TOKEN": TOKEN}
if SESSIONS_HAVE_A_DATABASE:
    CACHES["sessions"]["OPTIONS"] |= {
        "REST_URL": os.environ["SESSIONS_UPSTASH_REDIS_REST_URL"],
        "TOKEN": SecretValue(secret, "SESSIONS_UPSTASH_REDIS_REST_TOKEN"),
    }
