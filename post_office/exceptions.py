"""Every error of our own: one base, plus the builtin that a caller would catch.

The class builds the sentence from what went wrong, so that no caller has to word it.
Addresses and fields are refused with Django's `ValidationError`, as forms and callers expect.
"""

from collections.abc import Iterable

from django.core.exceptions import ImproperlyConfigured
from django.template import TemplateSyntaxError


class PostOfficeError(Exception):
    """Base of the errors that this package raises of its own."""


class InvalidArgument(PostOfficeError, ValueError):
    """An argument of `mail.send()` and its sisters that cannot be what it is."""


class UnknownBackend(PostOfficeError, ValueError, KeyError):
    """A backend alias that is not configured; a ValueError when queueing, a KeyError on look-up."""

    def __init__(self, alias: str) -> None:
        super().__init__(f"{alias} is not a valid backend alias")
        self.alias = alias

    # KeyError would print the repr of the sentence.
    __str__ = Exception.__str__


class SelfReferringBackend(PostOfficeError, ImproperlyConfigured, ValueError):
    """A delivery backend that would put the mail into the queue again, for ever."""

    def __init__(self, alias: str) -> None:
        super().__init__(
            f"Backend {alias!r} queues mail in post_office itself. "
            "Name one that delivers in POST_OFFICE['BACKENDS'] or POST_OFFICE['DEFAULT_MAILER']."
        )


class InvalidRate(PostOfficeError, ImproperlyConfigured, ValueError):
    """A rate limit that cannot be read."""

    def __init__(self, given: object, wanted: str = "") -> None:
        super().__init__(f"{given!r} is no rate. Write {wanted or self.WANTED}.")

    WANTED = (
        "so many messages or recipients in a second, minute, hour or day, such as '14/s', '50000/day' "
        "or '100 recipients/min'; several in a list"
    )


class InvalidHeader(PostOfficeError, ValueError):
    """A header that would end before its value does (RFC 5322, section 2.2)."""

    def __init__(self, argument: str, value: object) -> None:
        super().__init__(
            f"{argument}: {value!r} may not contain a newline or another character that ends it."
        )


class InvalidTemplate(PostOfficeError, TemplateSyntaxError):
    """Text with template tags that do not compile."""

    def __init__(self, argument: str, source: str, fault: Exception) -> None:
        shown = source if len(source) <= 80 else f"{source[:77]}..."
        # Django 6 puts the name of the template before its message; here it stands there already.
        said = getattr(fault, "raw_error_message", fault)
        super().__init__(f"{argument}: {shown!r} is not a valid template: {said}")


class EndlessTemplate(PostOfficeError, RecursionError):
    """A template that extends or includes itself, perhaps by way of others."""

    def __init__(self, argument: str, names: Iterable[str]) -> None:
        way = ", ".join(repr(name) for name in dict.fromkeys(names))
        super().__init__(f"{argument}: a template extends or includes itself without end, among {way}.")


class TemplateGone(PostOfficeError, LookupError):
    """A mail that was to be rendered on delivery, whose template has been deleted meanwhile."""

    def __init__(self, name: str) -> None:
        super().__init__(f"The template {name!r} was deleted before this mail could be rendered.")


class WrongEnvironment(PostOfficeError, RuntimeError):
    """The queue belongs to another environment: this database is a copy of that one's."""

    def __init__(self, owner: str, here: str) -> None:
        super().__init__(
            f"The mail in this database belongs to the environment {owner!r}, and POST_OFFICE['ENVIRONMENT'] "
            f"is {here!r}: nothing is sent. Run 'manage.py mail_adopt' to send it from here all the same."
        )


class NoAllowedRecipient(PostOfficeError, ValueError):
    """All recipients of a mail are outside the domains that this environment may send to."""

    def __init__(self, recipients: list[str]) -> None:
        super().__init__(
            f"None of the recipients is in POST_OFFICE['ALLOWED_DOMAINS']: {', '.join(recipients)}."
        )


class UnreadableColumn(PostOfficeError, ValueError):
    """What a mail needs in order to be sent is broken in the database."""

    def __init__(self, column: str, fault: Exception) -> None:
        super().__init__(
            f"The {column} of this mail cannot be read back from the database: "
            f"{type(fault).__name__}: {fault}"
        )


class AttachmentGone(PostOfficeError, FileNotFoundError):
    """An attachment whose stored file is no longer there."""

    def __init__(self, name: str, path: str) -> None:
        super().__init__(f"The file {path!r} of the attachment {name!r} is gone.")


class AttachmentNotKept(PostOfficeError, OSError):
    """An attachment that the storage did not take, or could not say whether it has it."""

    def __init__(self, name: str | None, fault: Exception) -> None:
        super().__init__(f"attachments: {name!r} cannot be stored: {type(fault).__name__}: {fault}")


class AttachmentNotRead(PostOfficeError, OSError):
    """An attachment whose file the storage could not read this time."""

    def __init__(self, name: str, path: str, fault: Exception) -> None:
        super().__init__(
            f"The file {path!r} of the attachment {name!r} cannot be read: {type(fault).__name__}: {fault}"
        )


class CannotStore(PostOfficeError, ValueError):
    """A message with a part that the queue has no place for; it is refused rather than altered."""

    def __init__(self, what: str) -> None:
        super().__init__(f"This message cannot be queued without loss: {what}.")


class CannotStartProcesses(PostOfficeError, ValueError):
    """More than one worker process was asked for where no other process can be started."""

    def __init__(self, processes: int, reason: str) -> None:
        super().__init__(f"processes: {processes} is not possible here, {reason}. Use processes=1.")


class CannotLock(PostOfficeError, OSError):
    """The lock file can be neither made nor read."""

    def __init__(self, path: object, fault: Exception) -> None:
        super().__init__(
            f"lockfile: {path} cannot be used, {fault}. Name another one, or none, with --lockfile."
        )


class FileLocked(PostOfficeError):
    """Another run on this host holds the lock file."""

    def __init__(self, path: object = "") -> None:
        super().__init__(f"Another run holds {path}" if path else "")


class InvalidLimit(PostOfficeError, ValueError):
    """A limit for the figures of the queue that there is not, or that cannot be this."""

    def __init__(self, name: str, value: object, reason: str) -> None:
        super().__init__(f"{name}: {value!r} {reason}.")
