"""The shop's settings. What concerns mail stands first; the rest is what any Django project has."""

import os
from datetime import timedelta
from pathlib import Path

import django

DEMO = Path(__file__).resolve().parent

# --- mail -------------------------------------------------------------------------------------

# send_mail() puts mail into the queue. From Django 6.1 on, MAILERS says what EMAIL_BACKEND said.
if django.VERSION >= (6, 1):
    MAILERS = {"default": {"BACKEND": "post_office.EmailBackend"}}
else:
    EMAIL_BACKEND = "post_office.EmailBackend"

POST_OFFICE = {
    # And through this it goes out, when its turn comes.
    "BACKENDS": {
        "default": {
            "BACKEND": "smtp",
            "OPTIONS": {"host": "127.0.0.1", "port": int(os.environ.get("DEMO_SMTP_PORT", "1025"))},
        },
    },
    "TEMPLATE_ENGINE": "post_office",
    # A server that says "later" means minutes, but nobody waits that long for a demo.
    "RETRY_INTERVAL": timedelta(seconds=5),
    "MESSAGE_ID_FQDN": "shop.example.com",
}
DEFAULT_FROM_EMAIL = "The Shop <shop@example.com>"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
    # For mail that is rendered on delivery: this engine knows {% inline_image %}.
    {
        "BACKEND": "post_office.template.backends.post_office.PostOfficeTemplates",
        "NAME": "post_office",
        "APP_DIRS": True,
    },
]

# What was refused, requeued or expired is told in a file: the terminal is for the demo's own words.
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "{asctime} {levelname} {message}", "style": "{"}},
    "handlers": {
        "file": {
            "class": "logging.FileHandler",
            "filename": DEMO / "demo.log",
            "delay": True,
            "encoding": "utf-8",
            "formatter": "plain",
        },
    },
    "loggers": {"post_office": {"handlers": ["file"], "level": "INFO"}},
}

# --- the rest ---------------------------------------------------------------------------------

DEBUG = True
SECRET_KEY = "known to everybody, and good for this demo only"
ROOT_URLCONF = "demo.urls"

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
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": DEMO / "demo.sqlite3",
        "OPTIONS": {"timeout": 20},  # seconds to wait for another process that writes
    },
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("de", "German"), ("fr", "French")]
TIME_ZONE = "UTC"
USE_TZ = True

STATIC_URL = "static/"
STATICFILES_DIRS = [DEMO / "static"]
MEDIA_URL = "media/"
MEDIA_ROOT = DEMO / "media"
