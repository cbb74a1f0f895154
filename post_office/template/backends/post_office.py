"""A Django template engine whose renders bring their inline images along."""

from __future__ import annotations

import threading
from typing import Any

from django.core.mail import EmailMessage, EmailMultiAlternatives
from django.http import HttpRequest
from django.template.backends.django import DjangoTemplates
from django.template.backends.django import Template as DjangoTemplate
from django.utils.safestring import SafeString

from ...rendering.inline import InlineImage, collecting


class RenderedHTML(SafeString):
    """HTML that knows the images it shows."""

    images: tuple[InlineImage, ...] = ()


class Template(DjangoTemplate):
    def __init__(self, template: Any, backend: PostOfficeTemplates) -> None:
        super().__init__(template, backend)
        self._last = threading.local()

    def render(self, context: dict[str, Any] | None = None, request: HttpRequest | None = None) -> Any:
        with collecting() as images:
            html = RenderedHTML(super().render(context, request))
        html.images = tuple(images.values())
        self._last.html = html
        return html

    def attach_related(self, email_message: EmailMessage) -> None:
        """Attach the images that the HTML of this message shows.

        They are found by the HTML itself: what this template rendered for another message, in
        another thread or before, does not get in.
        """
        if not isinstance(email_message, EmailMultiAlternatives):
            raise AssertionError("email_message: must be an EmailMultiAlternatives")
        bodies = [email_message.body, *(content for content, _mimetype in email_message.alternatives)]
        rendered = [body for body in bodies if isinstance(body, RenderedHTML)]
        last = getattr(self._last, "html", None)
        if not rendered and last is not None:
            rendered = [last]
        images = {image.cid: image for html in rendered for image in html.images}
        for cid, image in images.items():
            if any(f"cid:{cid}" in str(body) for body in bodies):
                email_message.attachments.append(image.as_part())


class PostOfficeTemplates(DjangoTemplates):
    """Django's engine, for templates with `{% inline_image %}`.

    Options are those of `django.template.backends.django.DjangoTemplates`.
    """

    def from_string(self, template_code: str) -> Template:
        return Template(self.engine.from_string(template_code), self)

    def get_template(self, template_name: str) -> Template:
        return Template(super().get_template(template_name).template, self)
