"""Settings of the test project. It queues by EMAIL_BACKEND, the way that works on every supported Django.

Chosen by the environment: DATABASE (sqlite, postgres or mariadb) and DATABASE_NAME; where the servers are:
POSTGRES_HOST, _PORT, _USER and _PASSWORD, MARIADB_HOST, _PORT, _USER and _PASSWORD, REDIS_URL, AMQP_URL; and
CHROMIUM, the path of a browser that is not in PATH.
"""

import os
import secrets
import tempfile
from pathlib import Path

TESTS = Path(__file__).resolve().parent

# One folder per run for files that nobody keeps; conftest.py makes it. Its name is handed on in the
# environment, so that the processes which a test starts have the same one. Each process of pytest-xdist has
# one inside that of the run.
TEST_FOLDER = Path(
    os.environ.setdefault("TEST_FOLDER", f"{tempfile.gettempdir()}/post_office-tests-{secrets.token_hex(4)}")
)
if (_xdist := os.environ.get("PYTEST_XDIST_WORKER", TEST_FOLDER.name)) != TEST_FOLDER.name:
    TEST_FOLDER /= _xdist
    os.environ["TEST_FOLDER"] = str(TEST_FOLDER)

_name = os.environ.get("DATABASE_NAME", "")
servers = {
    "sqlite": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": _name or ":memory:",
        # Seconds to wait for another writer, as Django's documentation advises. No transaction_mode:
        # a project that sets none is the usual one.
        "OPTIONS": {"timeout": 20},
        # A file, since a database in memory cannot be seen from another process.
        "TEST": {"NAME": TEST_FOLDER / "test.sqlite3"},
    },
    "postgres": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": _name or "post_office",
        "HOST": os.environ.get("POSTGRES_HOST", "127.0.0.1"),
        "PORT": os.environ.get("POSTGRES_PORT", "5432"),
        "USER": os.environ.get("POSTGRES_USER", "postgres"),
        "PASSWORD": os.environ.get("POSTGRES_PASSWORD", ""),
    },
    "mariadb": {
        "ENGINE": "django.db.backends.mysql",
        "NAME": _name or "post_office",
        "HOST": os.environ.get("MARIADB_HOST", "127.0.0.1"),
        "PORT": os.environ.get("MARIADB_PORT", "3306"),
        "USER": os.environ.get("MARIADB_USER", "root"),
        "PASSWORD": os.environ.get("MARIADB_PASSWORD", ""),
        "OPTIONS": {"charset": "utf8mb4"},
        "TEST": {"CHARSET": "utf8mb4"},  # whatever the server's default is, mail has emoji
    },
}
DATABASES = {"default": servers[os.environ.get("DATABASE", "sqlite")]}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

REDIS_URL = os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0")
CHROMIUM = os.environ.get("CHROMIUM", "")
AMQP_URL = os.environ.get("AMQP_URL", "amqp://guest:guest@127.0.0.1:5672//")

SECRET_KEY = "only for tests"
ALLOWED_HOSTS = ["testserver", "127.0.0.1", "localhost"]
ROOT_URLCONF = "tests.urls"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # quick, and weak

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "post_office",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]

_context_processors = [
    "django.template.context_processors.request",
    "django.contrib.auth.context_processors.auth",
    "django.contrib.messages.context_processors.messages",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [TESTS / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {"context_processors": _context_processors},
    },
    {
        "BACKEND": "post_office.template.backends.post_office.PostOfficeTemplates",
        "NAME": "post_office",
        "DIRS": [TESTS / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {"context_processors": _context_processors},
    },
]

USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("de", "German"), ("id", "Indonesian")]

STATIC_URL = "static/"
STATICFILES_DIRS = [TESTS / "static"] if (TESTS / "static").is_dir() else []
MEDIA_URL = "media/"
MEDIA_ROOT = TEST_FOLDER / "media"

# Deprecated by Django 6.1 in favour of MAILERS, and what every project before it has. A settings module with
# MAILERS may import everything from here but this name: Django refuses both together.
EMAIL_BACKEND = "post_office.EmailBackend"
POST_OFFICE = {
    "BACKENDS": {"default": "django.core.mail.backends.locmem.EmailBackend"},
}
