"""Settings of the project in which each system is measured, the same for all of them.

What differs is said by the environment: BENCH_SYSTEM, BENCH_DATABASE, BENCH_NAME (of the database),
BENCH_PORT (of the mail server), BENCH_EXTRA (POST_OFFICE's settings, as JSON).
"""

import json
import os

SYSTEM = os.environ["BENCH_SYSTEM"]
DATABASE, NAME = os.environ["BENCH_DATABASE"], os.environ["BENCH_NAME"]

DATABASES = {
    "default": {
        "sqlite": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": NAME,
            # As Django's documentation advises for a site with several processes.
            "OPTIONS": {
                "timeout": 20,
                "transaction_mode": "IMMEDIATE",
                "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
            },
        },
        "postgres": {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": NAME,
            "HOST": os.environ.get("POSTGRES_HOST", "127.0.0.1"),
            "PORT": os.environ.get("POSTGRES_PORT", "5432"),
            "USER": os.environ.get("POSTGRES_USER", "postgres"),
            "PASSWORD": os.environ.get("POSTGRES_PASSWORD", ""),
        },
        "mariadb": {
            "ENGINE": "django.db.backends.mysql",
            "NAME": NAME,
            "HOST": os.environ.get("MARIADB_HOST", "127.0.0.1"),
            "PORT": os.environ.get("MARIADB_PORT", "3306"),
            "USER": os.environ.get("MARIADB_USER", "root"),
            "PASSWORD": os.environ.get("MARIADB_PASSWORD", ""),
            "OPTIONS": {"charset": "utf8mb4"},
        },
    }[DATABASE]
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

SECRET_KEY = "only for benchmarks"
USE_TZ = True
TIME_ZONE = "UTC"
ROOT_URLCONF = "urls"
STATIC_URL = "static/"

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    {"ours": "post_office", "post_office": "post_office", "mailer": "mailer"}[SYSTEM],
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [
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
    },
]

EMAIL_HOST, EMAIL_PORT = "127.0.0.1", int(os.environ.get("BENCH_PORT", "0"))
SMTP_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
if SYSTEM == "mailer":
    EMAIL_BACKEND, MAILER_EMAIL_BACKEND = "mailer.backend.DbBackend", SMTP_BACKEND
    MAILER_LOCK_PATH = f"/tmp/{os.path.basename(NAME)}.mailer"
    MAILER_EMAIL_MAX_BATCH = None
else:
    EMAIL_BACKEND = "post_office.EmailBackend"
    POST_OFFICE = {"BACKENDS": {"default": SMTP_BACKEND}, **json.loads(os.environ.get("BENCH_EXTRA", "{}"))}
