"""The Celery app of the shop, as Celery's documentation tells Django projects to write it."""

from celery import Celery

app = Celery("shop")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
