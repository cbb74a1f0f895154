"""A program that visits the shop: it makes a request for each path given, and prints each status code."""

import sys

import django
from django.conf import settings
from django.test import Client

if hasattr(settings, "CELERY_BROKER_URL"):
    import tests.acceptance.celery_app  # noqa: F401  # a web server's processes know the app, too
django.setup()
visitor = Client(raise_request_exception=False)
for path in sys.argv[1:]:
    print(visitor.get(path).status_code)  # noqa: T201
