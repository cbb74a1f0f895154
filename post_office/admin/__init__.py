"""The Django admin of the queue: emails, templates, attachments, the log, and the overview of all.

Staff write templates, see what is waiting and what became of it, and mend it. Nothing here writes
the columns of the queue's protocol; what changes the state of a mail goes through `queue.outcomes`, and
what changes its turn through `queue.plans`.
"""

from .actions import cancel, change_priority, requeue, reschedule, send_copies, send_now
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
    "change_priority",
    "get_message_preview",
    "requeue",
    "reschedule",
    "send_copies",
    "send_now",
]
