"""The rows: emails, their log, templates, attachments, and the workers that deliver.

Fields, constraints, indexes and names. A row does nothing by itself; the methods that deliver or
build a message are doors to the rooms that do.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Collection
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.core.exceptions import ValidationError
from django.core.files.storage import Storage, default_storage, storages
from django.core.mail import EmailMessage
from django.db import models
from django.db.models.functions import Coalesce
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from . import addressees
from .conf import conf
from .enums import PRIORITY as PRIORITY
from .enums import PRIORITY_CHOICES, STATUS_CHOICES, RecipientDeliveryStatus
from .enums import STATUS as STATUS
from .fields import (
    AttachmentFileField,
    CommaSeparatedEmailField,
    ContextField,
    PackedField,
    ReadableJSON,
    TagsField,
)
from .given import ADDRESSES, beyond_columns, is_rewritten
from .indexes import LONGEST, RecipientIndex
from .packing import Unreadable
from .querysets import AttachmentQuerySet, EmailQuerySet, EmailTemplateManager
from .validators import validate_email_with_name, validate_sample_context, validate_template_syntax

if TYPE_CHECKING:
    from django.core.mail.backends.base import BaseEmailBackend

    from .rendering.message import BuiltMessage
    from .rendering.templates import Rendered


# The columns of a claim, written by queue/claims, outcomes and liveness only; and what a delivery heard.
QUEUES_OWN: dict[str, Any] = {
    "worker": None,
    "claimed_at": None,
    "claims": 0,
    "answers": None,
    "first_due_at": None,
}


RECIPIENTS = frozenset(("to", "cc", "bcc"))


class Email(models.Model):
    """One mail, from the moment it is queued until it is cleaned up."""

    PRIORITY_CHOICES = PRIORITY_CHOICES
    STATUS_CHOICES = STATUS_CHOICES

    from_email = models.CharField(_("Email From"), max_length=254, validators=[validate_email_with_name])
    to = CommaSeparatedEmailField(_("Email To"))
    cc = CommaSeparatedEmailField(_("Cc"))
    bcc = CommaSeparatedEmailField(_("Bcc"))
    # 998 characters are the limit of a line (RFC 5322, section 2.1.1), less "Subject: ".
    subject = models.CharField(_("Subject"), max_length=989, blank=True)
    message = models.TextField(_("Message"), blank=True)
    html_message = models.TextField(_("HTML Message"), blank=True)
    status = models.PositiveSmallIntegerField(
        _("Status"), choices=STATUS_CHOICES, db_index=True, blank=True, null=True
    )
    recipient_delivery_status = models.PositiveSmallIntegerField(
        _("Recipient delivery status"), choices=RecipientDeliveryStatus.choices, blank=True, null=True
    )
    priority = models.PositiveSmallIntegerField(
        _("Priority"), choices=PRIORITY_CHOICES, blank=True, null=True
    )
    created = models.DateTimeField(auto_now_add=True, db_index=True)
    last_updated = models.DateTimeField(db_index=True, auto_now=True)
    scheduled_time = models.DateTimeField(
        _("Scheduled Time"),
        blank=True,
        null=True,
        db_index=True,
        help_text=_("The scheduled sending time"),
    )
    expires_at = models.DateTimeField(
        _("Expires"), blank=True, null=True, help_text=_("Email won't be sent after this timestamp")
    )
    message_id = models.CharField("Message-ID", null=True, max_length=255, editable=False)
    number_of_retries = models.PositiveIntegerField(null=True, blank=True)
    headers = models.JSONField(_("Headers"), blank=True, null=True)
    template = models.ForeignKey(
        "post_office.EmailTemplate",
        blank=True,
        null=True,
        verbose_name=_("Email template"),
        on_delete=models.SET_NULL,
    )
    # Stays when the template is deleted or renamed.
    template_name = models.CharField(
        _("Template name"), max_length=255, blank=True, default="", db_default="", editable=False
    )
    # Filled for mail that is rendered on delivery, and for no other.
    context = ContextField(verbose_name=_("Context"), blank=True, null=True)
    # What such mail is rendered in, where that was said; the language is also that of other mail.
    language = models.CharField(max_length=35, null=True, editable=False)
    time_zone = models.CharField(max_length=64, null=True, editable=False)
    # When the texts of such mail were made and kept as they were sent. From then on they stand.
    rendered_at = models.DateTimeField(null=True, editable=False)
    backend_alias = models.CharField(_("Backend alias"), blank=True, default="", max_length=64)

    # What the application knows the mail by.
    tags = TagsField(pgettext_lazy("labels of a mail", "Tags"), null=True, blank=True)
    metadata = models.JSONField(_("Metadata"), null=True, blank=True, encoder=ReadableJSON)
    # The object that the mail is about: "app_label.model" and its primary key. No generic foreign key,
    # because not every project has the content types installed.
    related_type = models.CharField(max_length=201, blank=True, default="", db_default="", editable=False)
    related_id = models.CharField(max_length=255, blank=True, default="", db_default="", editable=False)
    # A second mail with the same key is not queued; made by `exact_key`.
    idempotency_key = models.CharField(max_length=255, null=True, unique=True, editable=False)
    # What the provider that took the mail knows it by.
    provider_id = models.CharField(_("Provider's id"), max_length=255, null=True, blank=True, editable=False)

    # What becomes of this mail when its delivery is unknown, one of UNKNOWN_POLICIES; empty means "resend".
    on_unknown = models.CharField(max_length=16, null=True, editable=False)
    # This mail's own MAX_RETRIES; that of its backend, or of the settings, where empty.
    max_retries = models.PositiveSmallIntegerField(null=True, editable=False)
    # What the server said of each recipient, of mail that it did not take for all of them:
    # {address: {"state": one of ANSWER, "code": 550, "answer": "5.1.1 no such user"}}.
    answers = PackedField(null=True, editable=False)

    # What a message of Django's held that the columns above would not give back; see `given`.
    as_given = PackedField(null=True, editable=False)

    # When the mail's turn comes. Computed by the database, so that it follows every writer.
    due_at = models.GeneratedField(
        expression=Coalesce("scheduled_time", "created"),
        output_field=models.DateTimeField(null=True),
        db_persist=True,
    )
    # When it came the first time, of mail whose time was changed by a retry, or that was queued again.
    first_due_at = models.DateTimeField(null=True, editable=False)
    # The claim: who delivers this mail now.
    worker = models.ForeignKey(
        "post_office.Worker",
        null=True,
        editable=False,
        on_delete=models.DO_NOTHING,
        # A claim must outlive its worker's row, whatever deletes that, and be freed by the rules.
        db_constraint=False,
        related_name="emails",
    )
    claimed_at = models.DateTimeField(null=True, editable=False)
    # How often this mail was claimed since it last came to an outcome.
    claims = models.PositiveSmallIntegerField(default=0, db_default=0, editable=False)

    objects = EmailQuerySet.as_manager()

    # Of rows that were claimed.
    has_attachments: bool

    class Meta:
        app_label = "post_office"
        verbose_name = pgettext_lazy("Email address", "Email")
        verbose_name_plural = pgettext_lazy("Email addresses", "Emails")
        # What staff may do beside seeing, changing and deleting. Not translated: they are rows.
        permissions = [
            ("send_email", "Can send emails at once"),
            ("requeue_email", "Can queue emails again"),
            ("copy_email", "Can send copies of emails"),
            ("cancel_email", "Can cancel emails"),
            ("prioritize_email", "Can change the priority of emails"),
            ("reschedule_email", "Can reschedule emails"),
        ]
        indexes = [
            # A claim walks one status, backend and priority in order of time, and stops when it has
            # enough. The alias stands before the priority because the mail of a paused backend
            # would otherwise be skipped row by row.
            models.Index(
                fields=["status", "backend_alias", "priority", "due_at", "id"], name="post_office_email_lane"
            ),
            # The list of mail with one status, the newest first. Only on PostgreSQL, see its migration.
            models.Index(fields=["status", "id"], name="post_office_email_status"),
            RecipientIndex(fields=["to"], name="post_office_email_recipient"),
            models.Index(fields=["message_id"], name="post_office_email_message_id"),
            models.Index(fields=["provider_id"], name="post_office_email_provider_id"),
            models.Index(fields=["related_type", "related_id"], name="post_office_email_related"),
        ]

    _cached_email_message: BuiltMessage | None = None
    # What was rendered for a delivery and is not kept yet.
    _rendered: Rendered | None = None

    def __str__(self) -> str:
        return ", ".join(self.to) if isinstance(self.to, (list, tuple)) else str(self.to)

    def __repr__(self) -> str:
        return f"<{self.__class__.__name__}: {self.to}>"

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self.pk and self._state.db:
            # A copy of a row is another mail.
            self.idempotency_key = None
        self.full_clean()
        kwargs.update(zip(("force_insert", "force_update", "using", "update_fields"), args, strict=False))
        elsewhere = kwargs.get("using") not in (None, self._state.db)
        is_new = self._state.adding or elsewhere
        if not self.pk:
            # A copy of a mail in delivery is nobody's yet, and nobody has it.
            for name, value in QUEUES_OWN.items():
                setattr(self, name, value)
        elif not (
            self._state.adding or elsewhere or kwargs.get("force_insert") or kwargs.get("update_fields")
        ):
            # An instance knows the claim as it was when it was loaded; to write that back would
            # take the mail from the worker that is sending it now.
            kwargs["update_fields"] = self._fields_besides_queues_own()
        super().save(**kwargs)
        if is_new:
            addressees.note([self], str(self._state.db))
        elif RECIPIENTS.intersection(kwargs.get("update_fields") or RECIPIENTS):
            addressees.renew(self)

    def _fields_besides_queues_own(self) -> list[str]:
        left_out = {*QUEUES_OWN, *self.get_deferred_fields()}
        return [
            field.name
            for field in self._meta.concrete_fields
            if not (field.primary_key or field.generated or {field.name, field.attname} & left_out)
        ]

    def clean_fields(self, exclude: Collection[str] | None = None) -> None:
        # Django's messages may hold addresses that `mail.send()` refuses, such as "root"; they were
        # checked as Django checks them.
        known = self.as_given and not isinstance(self.as_given, Unreadable)
        given = beyond_columns(self).keys() & ADDRESSES if known else set()
        super().clean_fields(exclude={*(exclude or ()), *given})

    def clean(self) -> None:
        if is_rewritten(self):
            raise ValidationError(
                _("This email is kept as the bytes that its message made; its texts cannot be changed.")
            )
        if self.scheduled_time and self.expires_at and self.scheduled_time > self.expires_at:
            raise ValidationError(_("The scheduled time may not be later than the expires time."))

    @property
    def related_object(self) -> models.Model | None:
        """The object that this mail is about, or None when there is none or it is gone."""
        if not self.related_type:
            return None
        try:
            model: type[models.Model] = apps.get_model(self.related_type)
        except LookupError:
            return None
        return model._default_manager.filter(pk=self.related_id).first()

    def email_message(self) -> EmailMessage:
        """Return the Django message of this mail; built once per instance."""
        if self._cached_email_message is None:
            from .rendering.message import build_message

            self._cached_email_message = build_message(self)
        return self._cached_email_message

    def prepare_email_message(self) -> EmailMessage:
        """Build the Django message anew."""
        self._cached_email_message = None
        return self.email_message()

    def dispatch(
        self,
        log_level: int | None = None,
        disconnect_after_delivery: bool = True,
        commit: bool = True,
        connection: BaseEmailBackend | None = None,
    ) -> int | None:
        """Deliver this mail now, in the calling thread, and return its status.

        A fault is recorded on the mail and not raised. With `commit=False` nothing is recorded
        and the fault is raised. A mail that another worker is delivering is left to it.

        Args:
            log_level: 0 to 2 as in LOG_LEVEL, which is the default.
            disconnect_after_delivery: Close this thread's connections afterwards.
            connection: An open backend to use instead of the mail's own.
        """
        from .delivery.deliver import dispatch

        return dispatch(
            self,
            log_level=log_level,
            disconnect_after_delivery=disconnect_after_delivery,
            commit=commit,
            connection=connection,
        )


class Addressee(models.Model):
    """An address under which a mail is found that goes not to one bare address; see `addressees`."""

    id = models.BigAutoField(primary_key=True)
    address = models.CharField(max_length=LONGEST)
    # Nothing is looked up when it is written, and old code that still runs may delete mail.
    email = models.ForeignKey(
        Email, editable=False, on_delete=models.CASCADE, db_constraint=False, related_name="addressees"
    )

    class Meta:
        app_label = "post_office"
        constraints = [
            models.UniqueConstraint(fields=["address", "email"], name="post_office_addressee_once")
        ]

    def __str__(self) -> str:
        return self.address


class Tally(models.Model):
    """How much mail was sent and failed in five minutes; see `queue.tallies`."""

    # Five minutes each, counted since 1970.
    slot = models.BigIntegerField()
    # Several rows for each, so that workers do not wait for each other.
    part = models.PositiveSmallIntegerField()
    sent = models.PositiveBigIntegerField(default=0)
    failed = models.PositiveBigIntegerField(default=0)

    class Meta:
        app_label = "post_office"
        constraints = [models.UniqueConstraint(fields=["slot", "part"], name="post_office_tally_once")]

    def __str__(self) -> str:
        return f"{self.slot}.{self.part}"


class Log(models.Model):
    """What became of one attempt, or what a provider reported later."""

    STATUS_CHOICES = [
        (STATUS.sent, _("sent")),
        (STATUS.failed, _("failed")),
        *RecipientDeliveryStatus.choices,
    ]

    email = models.ForeignKey(
        Email,
        editable=False,
        related_name="logs",
        verbose_name=_("Email address"),
        on_delete=models.CASCADE,
    )
    date = models.DateTimeField(auto_now_add=True)
    status = models.PositiveSmallIntegerField(_("Status"), choices=STATUS_CHOICES)
    exception_type = models.CharField(_("Exception type"), max_length=255, blank=True)
    message = models.TextField(_("Message"))
    backend = models.CharField(_("Backend"), max_length=64, null=True, blank=True)
    attempt = models.PositiveIntegerField(_("Attempt"), null=True, blank=True)
    code = models.PositiveSmallIntegerField(_("Server's code"), null=True, blank=True)
    answer = models.TextField(_("Server's answer"), null=True, blank=True)
    actor = models.CharField(_("By"), max_length=255, null=True, blank=True)
    # Of what a provider reported: whom it is about, and what makes it the same report when it comes again.
    recipient = models.CharField(_("Recipient"), max_length=255, null=True, blank=True)
    event_id = models.CharField(max_length=255, null=True, unique=True, editable=False)

    class Meta:
        app_label = "post_office"
        verbose_name = _("Log")
        verbose_name_plural = _("Logs")

    def __str__(self) -> str:
        return str(self.date)


class EmailTemplate(models.Model):
    """Subject, text and HTML with template tags; translations are rows that name their default."""

    name = models.CharField(_("Name"), max_length=255, help_text=_("e.g: 'welcome_email'"))
    description = models.TextField(_("Description"), blank=True, help_text=_("Description of this template."))
    created = models.DateTimeField(auto_now_add=True)
    last_updated = models.DateTimeField(auto_now=True)
    subject = models.CharField(
        _("Subject"), max_length=255, blank=True, validators=[validate_template_syntax]
    )
    content = models.TextField(_("Content"), blank=True, validators=[validate_template_syntax])
    html_content = models.TextField(_("HTML content"), blank=True, validators=[validate_template_syntax])
    language = models.CharField(
        _("Language"),
        max_length=12,
        default="",
        blank=True,
        help_text=_("Render template in alternative language"),
    )
    default_template = models.ForeignKey(
        "self",
        related_name="translated_templates",
        null=True,
        default=None,
        blank=True,
        verbose_name=_("Default template"),
        on_delete=models.CASCADE,
    )
    # JSON as somebody typed it. A translation without one has that of its default.
    sample_context = models.TextField(
        _("Sample context"),
        null=True,
        blank=True,
        validators=[validate_sample_context],
        help_text=_("Variables for the preview, as a JSON object."),
    )

    # Alias in TEMPLATES of the engine that found the files which an unsaved template is made of.
    found_by = ""

    objects = EmailTemplateManager()

    class Meta:
        app_label = "post_office"
        unique_together = ("name", "language", "default_template")
        verbose_name = _("Email Template")
        verbose_name_plural = _("Email Templates")
        ordering = ["name"]

    def __str__(self) -> str:
        return f"{self.name} {self.language}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        if self.default_template and not self.name:
            self.name = self.default_template.name
        super().save(*args, **kwargs)

    def natural_key(self) -> tuple[str, str, EmailTemplate | None]:
        return (self.name, self.language, self.default_template)


class TemplateVersion(models.Model):
    """What a template said from one moment on. Stays when the template goes, and never changes.

    Written by `rendering.versions` alone.
    """

    template = models.ForeignKey(
        EmailTemplate, null=True, editable=False, on_delete=models.SET_NULL, related_name="versions"
    )
    name = models.CharField(_("Name"), max_length=255)
    language = models.CharField(_("Language"), max_length=12, blank=True)
    subject = models.CharField(_("Subject"), max_length=255, blank=True)
    content = models.TextField(_("Content"), blank=True)
    html_content = models.TextField(_("HTML content"), blank=True)
    saved_at = models.DateTimeField(_("Saved"))
    # A name, as users come and go; empty where nobody said it.
    saved_by = models.CharField(_("By"), max_length=255, blank=True)

    class Meta:
        app_label = "post_office"
        verbose_name = _("Version of a template")
        verbose_name_plural = _("Versions of templates")
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.name} {self.language} {self.saved_at}"


def get_upload_path(instance: Attachment, filename: str) -> str:
    """Return where an attachment is stored: by date, under a name that cannot be guessed."""
    if not instance.name:
        instance.name = filename
    today = timezone.now().date()
    # Short, as the column for the path is.
    suffix = re.sub(r"[^\w.]", "_", PurePosixPath(filename).suffix or f".{filename}")[:20]
    return f"post_office_attachments/{today.year}/{today.month}/{today.day}/{uuid.uuid4().hex}{suffix}"


def get_file_storage() -> Storage:
    """Return the storage of attachments, as FILE_STORAGE names it."""
    if conf.FILE_STORAGE:
        return storages[conf.FILE_STORAGE]
    return default_storage


class Attachment(models.Model):
    """A stored file that goes out with one mail or many."""

    file = AttachmentFileField(_("File"), storage=get_file_storage, upload_to=get_upload_path)
    name = models.CharField(_("Name"), max_length=255, help_text=_("The original filename"))
    emails = models.ManyToManyField(Email, related_name="attachments", verbose_name=_("Emails"))
    mimetype = models.CharField(max_length=255, default="", blank=True)
    headers = models.JSONField(_("Headers"), blank=True, null=True)
    # What Django's attachment held that the columns above would not give back.
    as_given = PackedField(null=True, editable=False)
    # SHA-256 of the content, by which the same content is stored once.
    digest = models.CharField(max_length=64, null=True, editable=False)

    objects = AttachmentQuerySet.as_manager()

    class Meta:
        app_label = "post_office"
        indexes = [models.Index(fields=["digest"], name="post_office_attachment_digest")]
        verbose_name = _("Attachment")
        verbose_name_plural = _("Attachments")

    def __str__(self) -> str:
        return self.name


class Dispatcher(models.Model):
    """One running program that delivers. The row is made at its start, beats while it stays, and is kept
    for a while after its end."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    # As it was typed: "run_dispatcher" or "send_queued_mail".
    command = models.CharField(max_length=64)
    host = models.CharField(max_length=255)
    # As for Worker.
    boot = models.CharField(max_length=128, blank=True)
    pid = models.PositiveIntegerField()
    pid_started = models.BigIntegerField(null=True)
    started_at = models.DateTimeField()
    beat = models.PositiveBigIntegerField(default=0)
    beat_at = models.DateTimeField()
    # Empty also when it had no time to say so; see `queue.dispatchers.is_alive`.
    ended_at = models.DateTimeField(null=True)
    sent = models.PositiveBigIntegerField(default=0)
    failed = models.PositiveBigIntegerField(default=0)
    requeued = models.PositiveBigIntegerField(default=0)

    class Meta:
        app_label = "post_office"

    def __str__(self) -> str:
        return f"{self.host}:{self.pid}"


class Worker(models.Model):
    """One process that claims mail. The row is made anew at each start and beats while it lives."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    host = models.CharField(_("Host"), max_length=255)
    # Boot and process namespace in which the pid means something; empty where that is unknown.
    boot = models.CharField(max_length=128, blank=True)
    pid = models.PositiveIntegerField(_("Process"))
    # Tells the process from a later one with the same pid.
    pid_started = models.BigIntegerField(null=True)
    started_at = models.DateTimeField(_("Started"))
    # Counts up. Others watch it change by their own clock; beat_at is for people.
    beat = models.PositiveBigIntegerField(default=0)
    beat_at = models.DateTimeField(_("Last seen"))
    # The program that it is a part of; a worker inside a web server or a task is of none.
    dispatcher = models.ForeignKey(
        Dispatcher,
        null=True,
        editable=False,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        related_name="workers",
    )

    class Meta:
        app_label = "post_office"
        verbose_name = _("Worker")
        verbose_name_plural = _("Workers")

    def __str__(self) -> str:
        return f"{self.host}:{self.pid}"


class Environment(models.Model):
    """The environment that the queue belongs to: one row, or none where that is not kept."""

    name = models.CharField(max_length=255)

    class Meta:
        app_label = "post_office"

    def __str__(self) -> str:
        return self.name


class BackendState(models.Model):
    """What all dispatchers know of one backend: whether it may be used. Written by `queue.brakes` alone.

    The row "*" is about all of them together.
    """

    alias = models.CharField(_("Backend alias"), max_length=64, primary_key=True)
    # A brake pulled by hand holds until it is let go.
    paused_at = models.DateTimeField(null=True)
    paused_by = models.CharField(max_length=255, default="")
    # A circuit breaker: no mail until then, and after that the probe of one worker, who may take until
    # `probing_until`.
    out_of_order_until = models.DateTimeField(null=True)
    probing_until = models.DateTimeField(null=True)
    faults = models.PositiveIntegerField(default=0)
    reason = models.TextField(default="")
    # A server that wants less at a time gets this part of the rate, until then.
    slowed_to = models.FloatField(default=1, db_default=1)
    slowed_at = models.DateTimeField(null=True)
    slowed_until = models.DateTimeField(null=True)

    class Meta:
        app_label = "post_office"
        verbose_name = _("Backend")
        verbose_name_plural = _("Backends")

    def __str__(self) -> str:
        return self.alias


class Allowance(models.Model):
    """What was used of the rate limits of a backend, or of a domain by a backend. See `queue.limits`."""

    key = models.CharField(max_length=255, primary_key=True)
    # By rate, as JSON.
    used = models.TextField(default="{}")
    version = models.PositiveBigIntegerField(default=0)
    # By the database's clock, in seconds since 1970: the moment from which on the row says nothing.
    idle_at = models.FloatField(default=0)

    class Meta:
        app_label = "post_office"

    def __str__(self) -> str:
        return self.key


# Kept for code that imports it from here.
__all__ = [
    "PRIORITY",
    "STATUS",
    "Addressee",
    "Allowance",
    "Attachment",
    "BackendState",
    "Dispatcher",
    "Email",
    "EmailTemplate",
    "Log",
    "RecipientDeliveryStatus",
    "Tally",
    "TemplateVersion",
    "Worker",
    "get_file_storage",
    "get_upload_path",
]
