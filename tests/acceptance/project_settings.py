"""Settings of a project whose commands run in processes of their own: those of the tests, and what the
test that starts the process says in PROJECT_SETTINGS. Spans of time are in seconds there."""

import json
import os
from datetime import timedelta

from post_office.conf import PostOfficeSettings
from tests.settings import *  # noqa: F403  # the way in which a settings module builds on another

globals().update(json.loads(os.environ["PROJECT_SETTINGS"]))
if "MAILERS" in globals():
    del EMAIL_BACKEND  # noqa: F821  # Django refuses both together
if "SQLITE_TIMEOUT" in globals():
    DATABASES["default"]["OPTIONS"]["timeout"] = SQLITE_TIMEOUT  # noqa: F405  # given above
if "ATOMIC_REQUESTS" in globals():
    DATABASES["default"]["ATOMIC_REQUESTS"] = ATOMIC_REQUESTS  # noqa: F405  # given above
if "MAIL_DATABASE" in globals():
    _other = {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}
    DATABASES = {MAIL_DATABASE: DATABASES["default"], "default": _other}  # noqa: F405  # given above
POST_OFFICE = {
    name: timedelta(seconds=value)
    if value is not None and isinstance(getattr(PostOfficeSettings, name), timedelta)
    else value
    for name, value in globals()["POST_OFFICE"].items()
}
