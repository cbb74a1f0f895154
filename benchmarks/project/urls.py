"""The admin, whose pages are measured, too."""

from django.conf import settings
from django.contrib import admin
from django.urls import path

urlpatterns = [path("admin/", admin.site.urls)]
if settings.SYSTEM == "ours":
    from post_office import probe

    urlpatterns.append(path("mail/health/", probe.health, name="post_office_health"))
