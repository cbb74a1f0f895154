"""Settings of a project that comes from django-post_office: read by the old package and by ours.

What differs from test to test stands in OLD_PROJECT.
"""

import json
import os

SECRET_KEY = "only for tests"
USE_TZ = True
LANGUAGES = [("en", "English"), ("de", "German")]
INSTALLED_APPS = ["post_office"]
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates"}]
STATIC_URL = "static/"

globals().update(json.loads(os.environ["OLD_PROJECT"]))
