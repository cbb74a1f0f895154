"""`{% load post_office %}{% inline_image "logo.png" %}` in the HTML of a mail."""

from typing import Any

from django import template

from ..rendering import inline

register = template.Library()


@register.simple_tag
def inline_image(file: Any) -> str:
    """Show an image from inside the mail. Takes an ImageFile, an absolute path or a static file."""
    return inline.add(file)
