"""The Django admin of the queue: emails, templates, attachments and the log.

Staff write templates, see what is waiting and what became of it, and mend it. Nothing here writes
the columns of the queue's protocol; what changes the state of a mail goes through `queue.outcomes`.
"""

from .actions import cancel, requeue
from .attachments import AttachmentAdmin
from .backends import BackendStateAdmin
from .emails import EmailAdmin
from .forms import EmailTemplateAdminForm, EmailTemplateAdminFormSet
from .inlines import AttachmentInline, LogInline
from .logs import LogAdmin, get_message_preview
from .templates import EmailTemplateAdmin, EmailTemplateInline
from .widgets import CommaSeparatedEmailWidget, SubjectField

__all__ = [
    "AttachmentAdmin",
    "AttachmentInline",
    "BackendStateAdmin",
    "CommaSeparatedEmailWidget",
    "EmailAdmin",
    "EmailTemplateAdmin",
    "EmailTemplateAdminForm",
    "EmailTemplateAdminFormSet",
    "EmailTemplateInline",
    "LogAdmin",
    "LogInline",
    "SubjectField",
    "cancel",
    "get_message_preview",
    "requeue",
]
