"""The shop's settings for pictures of its admin: a database of their own, and a backend for newsletters."""

import os
from pathlib import Path

from demo.settings import *  # noqa: F403  # the way in which a settings module builds on another

_folder = Path(os.environ["PICTURES_FOLDER"])
DATABASES["default"]["NAME"] = _folder / "lively.sqlite3"  # noqa: F405
MEDIA_ROOT = _folder / "media"
LOGGING["handlers"]["file"]["filename"] = _folder / "lively.log"  # noqa: F405
LOGGING["loggers"]["django.server"] = {"level": "WARNING"}  # noqa: F405
POST_OFFICE["BACKENDS"]["newsletter"] = POST_OFFICE["BACKENDS"]["default"]  # noqa: F405
LANGUAGES = [("en", "English"), ("de", "German"), ("fr", "French"), ("pl", "Polish")]
