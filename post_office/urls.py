"""Addresses for machines: `path("mail/", include("post_office.urls"))` gives mail/health/."""

from django.urls import path

from . import probe

app_name = "post_office"

urlpatterns = [path("health/", probe.health, name="health")]
