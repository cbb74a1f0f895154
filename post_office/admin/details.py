"""What the page of a mail shows beside its form: the texts as rendered, and every column as stored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.admin.sites import AdminSite
from django.db.models import Model
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html, format_html_join
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext_lazy

from ..addresses import join_mailboxes
from ..models import Email, Worker
from ..rendering import attachments as files
from . import preview, timeline
from .display import badge, header_table, source, stored, structure, when
from .preview import Unrenderable
from .sandbox import frame
from .source import headers, use_of


class EmailDetails:
    """Read-only fields of one mail. Where it does not render, the place of the preview says why."""

    if TYPE_CHECKING:
        admin_site: AdminSite

    @admin.display(description=gettext_lazy("Subject"))
    def render_subject(self, email: Email) -> str:
        shown = preview.look(email)
        return does_not_render() if isinstance(shown, Unrenderable) else shown.subject or "-"

    @admin.display(description=gettext_lazy("Preview"))
    def render_html_body(self, email: Email) -> str:
        shown = preview.look(email)
        if isinstance(shown, Unrenderable):
            return format_html("{} {}", does_not_render(), source(shown.reason))
        if not shown.html_message:
            return _("This email has no HTML.")
        url = self._address("preview", email.pk)
        return frame(url, frame_id="email-html", title=_("HTML of this email"), html=shown.html_message)

    @admin.display(description=gettext_lazy("Text"))
    def render_plaintext_body(self, email: Email) -> str:
        shown = preview.look(email)
        if isinstance(shown, Unrenderable):
            return does_not_render()
        return source(shown.message) if shown.message else _("This email has no plain text.")

    @admin.display(description=gettext_lazy("Headers"))
    def header_fields(self, email: Email) -> str:
        found = headers(email)
        if isinstance(found, Unrenderable):
            return format_html("{} {}", does_not_render(), source(found.reason))
        hidden = [("Bcc", _("%(recipients)s (not in the mail)") % {"recipients": join_mailboxes(email.bcc)})]
        return header_table([*((each.name, each.value) for each in found), *(hidden if email.bcc else ())])

    @admin.display(description=gettext_lazy("Source"))
    def source_frame(self, email: Email) -> str:
        url = self._address("source", email.pk)
        return format_html(
            '{}<p class="post-office-note"><a id="email-download" class="button" href="{}">{}</a> {}</p>',
            frame(url, frame_id="email-source", title=_("Source of this email")),
            self._address("eml", email.pk),
            _("Download .eml"),
            _("As it would go out now, with the date of this moment."),
        )

    @admin.display(description=gettext_lazy("Attachments"))
    def attached_files(self, email: Email) -> str:
        rows = [
            (self._address("attachment", email.pk, each.pk), each.name or "-", each.mimetype, use_of(each))
            for each in files.of(email)
        ]
        if not rows:
            return _("This email has no attachments.")
        return format_html(
            '<table id="email-attachments"><thead><tr><th scope="col">{}</th><th scope="col">{}</th>'
            '<th scope="col">{}</th></tr></thead><tbody>{}</tbody></table>',
            _("Name"),
            _("Media type"),
            _("Use"),
            format_html_join(
                "", '<tr><th scope="row"><a href="{}">{}</a></th><td>{}</td><td>{}</td></tr>', rows
            ),
        )

    @admin.display(description=gettext_lazy("Timeline"))
    def timeline(self, email: Email) -> str:
        told = (timeline.of_queue(email), timeline.of_log(email), timeline.of_staff(email))
        return timeline.show(email, *told)

    @admin.display(description=gettext_lazy("Timeline"))
    def timeline_without_log(self, email: Email) -> str:
        """For those who may not see the log."""
        told = (timeline.of_queue(email), timeline.of_end(email), timeline.of_staff(email))
        return timeline.show(email, *told)

    def _address(self, name: str, *args: Any) -> str:
        return reverse(f"admin:post_office_email_{name}", args=args, current_app=self.admin_site.name)

    @admin.display(description=gettext_lazy("Retries"))
    def retries(self, email: Email) -> int:
        return email.number_of_retries or 0

    # --- what the application knows it by -----------------------------------------------------

    @admin.display(description=pgettext_lazy("labels of a mail", "Tags"))
    def tag_list(self, email: Email) -> str:
        return format_html_join(" ", "{}", ([badge(tag, "open")] for tag in email.tags or ())) or "-"

    @admin.display(description=gettext_lazy("Metadata"))
    def stored_metadata(self, email: Email) -> str:
        return structure(email.metadata)

    @admin.display(description=gettext_lazy("Related object"))
    def related_link(self, email: Email) -> str:
        if not email.related_type:
            return "-"
        about = email.related_object
        name = f"{email.related_type} {email.related_id}" if about is None else str(about)
        others = reverse("admin:post_office_email_changelist", current_app=self.admin_site.name)
        query = urlencode({"related_type": email.related_type, "related_id": email.related_id})
        return format_html(
            '{} (<a href="{}?{}">{}</a>)', self._linked(about, name), others, query, _("all emails about it")
        )

    def _linked(self, about: Model | None, name: str) -> str:
        """Return the name of an object, as a link where it has a page in this admin."""
        if about is None:
            return name
        view = f"admin:{about._meta.app_label}_{about._meta.model_name}_change"
        try:
            url = reverse(view, args=[about.pk], current_app=self.admin_site.name)
        except NoReverseMatch:
            return name
        return format_html('<a href="{}">{}</a>', url, name)

    # --- the claim ----------------------------------------------------------------------------

    @admin.display(description=gettext_lazy("Delivered by"))
    def holder(self, email: Email) -> str:
        if email.worker_id is None:
            return "-"
        worker = Worker.objects.filter(pk=email.worker_id).first()
        if worker is None:
            return _("a worker that is gone (%(id)s)") % {"id": email.worker_id}
        return _("%(worker)s, last seen %(time)s") % {
            "worker": worker,
            "time": when(worker.beat_at),
        }

    @admin.display(description=gettext_lazy("Since"))
    def held_since(self, email: Email) -> str:
        return when(email.claimed_at) if email.claimed_at else "-"

    @admin.display(description=gettext_lazy("Unfinished deliveries"))
    def claims_so_far(self, email: Email) -> int:
        return email.claims

    # --- as stored ----------------------------------------------------------------------------

    @admin.display(description=gettext_lazy("Template"))
    def template_link(self, email: Email) -> str:
        template = email.template
        if template is None:
            return email.template_name or "-"
        # A translation stands on the page of its default.
        key = template.default_template_id or template.pk
        try:
            url = reverse(
                "admin:post_office_emailtemplate_change", args=[key], current_app=self.admin_site.name
            )
        except NoReverseMatch:  # a site of the project's own may leave templates out
            return str(template)
        return format_html('<a href="{}">{}</a>', url, template)

    @admin.display(description=gettext_lazy("As stored"))
    def stored_row(self, email: Email) -> str:
        rows = [(field.name, stored(field.value_from_object(email))) for field in email._meta.concrete_fields]
        return header_table(rows)


def does_not_render() -> str:
    """Return what stands where a text of the mail would; why is said in the place of the preview."""
    return badge(_("does not render"), "bad")
