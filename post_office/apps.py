"""The Django app. Connects receivers and registers checks when Django is ready."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class PostOfficeConfig(AppConfig):
    name = "post_office"
    verbose_name = _("Post Office")
    default_auto_field = "django.db.models.AutoField"

    def ready(self) -> None:
        from . import checks, narrator
        from .rendering import templates

        checks.register()
        narrator.connect()
        templates.connect()
