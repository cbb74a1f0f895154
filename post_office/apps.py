"""The Django app. Connects receivers and registers checks when Django is ready."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class PostOfficeConfig(AppConfig):
    name = "post_office"
    verbose_name = _("Post Office")
    default_auto_field = "django.db.models.AutoField"

    def ready(self) -> None:
        from . import background, checks, narrator
        from .conf import conf
        from .queue import notifications
        from .rendering import keeping, lookup, versions
        from .signals import email_queued

        checks.register()
        narrator.connect()
        notifications.connect()
        lookup.connect()
        keeping.connect()
        versions.connect()
        background.connect()
        if conf.CELERY_ENABLED:
            from . import tasks  # reads that setting itself

            email_queued.connect(tasks.queued_mail_handler, dispatch_uid="post_office.celery")
