"""Everything that a database holds of the old models' fields, as text that can be compared.

Runs on either side: beside the old package, and beside ours.
"""

from typing import Any

from post_office.models import Attachment, Email, EmailTemplate, Log

FIELDS = {
    Email: (
        "id from_email to cc bcc subject message html_message status recipient_delivery_status priority "
        "created last_updated scheduled_time expires_at message_id number_of_retries headers template_id "
        "context backend_alias"
    ),
    Log: "id email_id date status exception_type message",
    EmailTemplate: (
        "id name description created last_updated subject content html_content language default_template_id"
    ),
    Attachment: "id name mimetype headers",
}


def rows() -> dict[str, list[dict[str, str]]]:
    """Return {model: [{field: value}]}."""
    found = {
        model.__name__: [
            {name: repr(getattr(row, name)) for name in names.split()} for row in model.objects.order_by("id")
        ]
        for model, names in FIELDS.items()
    }
    for row, attachment in zip(found["Attachment"], Attachment.objects.order_by("id"), strict=True):
        row["file"] = attachment.file.name
        row["emails"] = repr(sorted(attachment.emails.values_list("id", flat=True)))
    return found


def subjects(emails: Any) -> list[str]:
    """Return the subjects as stored; they are names in these tests."""
    return sorted(emails.values_list("subject", flat=True))
