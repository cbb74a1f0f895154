"""Every setting: its key in the dict POST_OFFICE, its default, and what it does.

Read at each access and never at import, so that a changed setting is a changed behaviour and
tests need no reloading. The reference page docs/reference/settings.md is made from this file.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.conf import settings as django_settings


class PostOfficeSettings:
    # Where mail goes: alias to backend. A backend is a dotted path, a short name of one of Django's
    # ("smtp", "console", "locmem", "filebased", "dummy", each also with ".EmailBackend"), or
    # {"BACKEND": path, "OPTIONS": {...}} with keyword arguments for the backend, and perhaps with
    # "FALLBACK": the alias that sends its mail as long as it is out of order; "RATE": what may go to it,
    # such as "14/s" or ["14/s", "50000/day", "100 recipients/min"]; "DOMAIN_RATE": the same by the
    # recipients' domain, {"gmail.com": "20/s", "*": "50/s"}; "UNKNOWN", "MAX_RETRIES" and "MAX_AGE": as
    # the settings of these names, for its mail; "MAX_CONNECTIONS" of one process, "MAX_MESSAGES" over one
    # connection, "MAX_CONNECTION_AGE" and "IDLE_TIMEOUT" (a timedelta, the latter 60 seconds by default)
    # after which it is closed. Empty: one alias, "default", which is Django's EMAIL_BACKEND, or its SMTP
    # backend where EMAIL_BACKEND is post_office itself. With Django's MAILERS (6.1), its aliases are known
    # too.
    BACKENDS: Mapping[str, Any] = {}
    # What BACKENDS says beside BACKEND and OPTIONS, for aliases of MAILERS, whose entries may not have more:
    # {alias: {"FALLBACK": ..., "UNKNOWN": ..., "MAX_RETRIES": ...}}.
    POLICIES: Mapping[str, Mapping[str, Any]] = {}
    # The one backend, from before there was BACKENDS. Used where BACKENDS is empty; a check asks to
    # write {"BACKENDS": {"default": ...}} instead.
    EMAIL_BACKEND: str | None = None
    # The alias for mail that names none. Unset: "default".
    DEFAULT_MAILER: str | None = None
    # At most so many mails are held by one worker process at a time, and delivered by one call
    # of mail.send_queued() or by one task.
    BATCH_SIZE: int = 100
    # Seconds that a server may take for one answer, where the SMTP backend has no timeout of its own.
    BATCH_DELIVERY_TIMEOUT: int = 180
    # Sending threads in each worker process; each has one connection to each backend it serves.
    THREADS_PER_PROCESS: int = 5
    # For mail queued without a priority: "low", "medium", "high" or "now".
    DEFAULT_PRIORITY: str = "medium"
    # Which attempts get a row in the log: 0 none, 1 those that failed, 2 all.
    LOG_LEVEL: int = 2
    # Order of delivery, as for QuerySet.order_by(). The default means: by priority, then by the
    # time at which mail became due, then by id. Its cost does not grow with the table; that of
    # another order does.
    SENDING_ORDER: list[str] = ["-priority"]
    # Alias in TEMPLATES of the engine that renders templates on delivery. Name a PostOfficeTemplates
    # engine here to use {% inline_image %}.
    TEMPLATE_ENGINE: str = "django"
    # Which text serves mail in a language that its template has not. False: none, and an error is raised,
    # EmailTemplate.DoesNotExist. True: that of a more general language ("pt" for "pt-br"), else the default
    # text. The mail is rendered in the language that was asked for either way.
    LANGUAGE_FALLBACK: bool = False
    # Subject, text and HTML of mail that is rendered on delivery are kept on the mail once it is sent, so
    # that no later change of a template changes what it said. False: template and context only, which takes
    # less space; what such mail said is then what the template of today makes of it.
    KEEP_RENDERED: bool = True
    # The style sheets in the HTML of mail are written into style attributes, as many mail programs ignore the
    # former. Needs css-inline: pip install 'django-post_office[css]'.
    INLINE_CSS: bool = False
    # Mail that is rendered and has HTML only gets a text made of it. True: by html2text, from pip install
    # 'django-post_office[text]'. A dotted path: by that function, which takes the HTML and returns the text.
    TEXT_FROM_HTML: bool | str = False
    # A list of addresses that get all mail instead of its recipients (to, cc and bcc), for staging.
    # The original recipients are kept in the headers X-Original-To, X-Original-Cc and X-Original-Bcc.
    OVERRIDE_RECIPIENTS: list[str] | None = None
    # Domains, such as "example.com", to which mail may go; for staging. Other recipients are replaced by
    # OVERRIDE_RECIPIENTS where that is set, else left out; mail that is left with none fails. Unset: all.
    ALLOWED_DOMAINS: list[str] | None = None
    # The name of this environment, such as "production". The queue remembers in which one it was used
    # first, and a dispatcher of another refuses to send: so a copy of the database sends nothing.
    # Unset: no such check.
    ENVIRONMENT: str | None = None
    # How often mail is tried again after a fault that may pass. Unset: for about four days with
    # growing intervals (25 retries). 0: never. What the server refuses for good is never retried.
    MAX_RETRIES: int | None = None
    # What becomes of mail that may have been sent: a server had all of it and gave no answer, or the worker
    # that had it died. "resend" sends it again, so that it arrives at least once; "hold" fails it and says so
    # in its log, so that it arrives at most once. Read when mail is queued.
    UNKNOWN: str = "resend"
    # A mail whose worker died each of so many times is failed: it may be what kills them. From the last but
    # one time on, a worker that has it has no other.
    MAX_CLAIMS: int = 3
    # Dotted path of a function that may say otherwise what a fault means. It is called on a sending thread
    # with the exception, the `post_office.delivery.faults.Fault` and the email, and returns a Fault, a Kind,
    # or None to leave it as it is.
    CLASSIFY: str | None = None
    # Mail that has been due for longer than this is not sent any more: it expires, and a fault that may pass
    # is not retried beyond it. So a queue that is found again after a year sends nothing old. None: no limit.
    # A backend may say its own "MAX_AGE" in BACKENDS or POLICIES.
    MAX_AGE: timedelta | None = timedelta(days=7)
    # The time until the first retry.
    RETRY_INTERVAL: timedelta = timedelta(minutes=15)
    # By how much each further interval is longer than the last; 1 keeps them constant.
    RETRY_BACKOFF: float = 2
    # No interval grows beyond this.
    RETRY_MAX_INTERVAL: timedelta = timedelta(hours=4)
    # A backend that is out of order (no connection, no login) gets no mail for this long, and then one, to
    # see whether it works again. Each time that it does not, the next pause is twice as long.
    BACKEND_PAUSE: timedelta = timedelta(seconds=10)
    # No pause of a backend that is out of order grows beyond this.
    BACKEND_MAX_PAUSE: timedelta = timedelta(minutes=10)
    # The part of each rate limit (RATE and DOMAIN_RATE in BACKENDS) that is kept free for mail with priority
    # "high" or "now".
    RATE_RESERVE: float = 0.1
    # Send the stored Message-ID through backends other than Django's own, too. Some providers
    # refuse mail that brings one.
    MESSAGE_ID_ENABLED: bool = False
    # The domain of Message-IDs. Unset: this host's name.
    MESSAGE_ID_FQDN: str | None = None
    # How long a worker may show no sign of life before its mail is given to others.
    LEASE_DURATION: timedelta = timedelta(seconds=60)
    # Seconds after which `run_dispatcher` looks for mail again, when it has found none.
    POLL_INTERVAL: float = 1
    # On PostgreSQL, mail that is queued notifies `run_dispatcher` at the commit. False: it is found by
    # looking only, and queueing takes one statement less.
    NOTIFY: bool = True
    # Mail with priority "now" that is sent inside a transaction waits for its commit.
    NOW_ON_COMMIT: bool = False
    # Queued mail wakes a Celery worker, which delivers it by the task post_office.tasks.send_queued_mail.
    CELERY_ENABLED: bool = False
    # Queued mail wakes a worker of Django's Tasks framework: {"BACKEND": alias in Django's TASKS,
    # "QUEUE": one of its queues}, each "default" where it is left out. Unset: no task is enqueued.
    TASKS: Mapping[str, str] | None = None
    # Beginning of the default lock file's name.
    LOCK_FILE_NAME: str = "post_office"
    # Alias in STORAGES where attachments are kept. Unset: the default storage.
    FILE_STORAGE: str | None = None
    # Who may report what became of mail, by provider. "SES": {"TOPIC_ARNS": [...]}, the topics of Amazon
    # SNS that are yours; empty: any that SNS signs for. "SPARKPOST": {"USERNAME": ..., "PASSWORD": ...},
    # those of the webhook. Each also has "VERIFY_SIGNATURE"; False believes everybody.
    WEBHOOKS: Mapping[str, Mapping[str, Any]] = {}
    # Limits past which `mail_status --check` and the health view complain: "MAX_AGE" (a timedelta: of the
    # mail that is due for longest), "MAX_DUE", "MAX_FAILED" (in the last hour), "MAX_ORPHANED" (mail that
    # nobody will ever claim), "MAX_SILENCE" (a timedelta: since a dispatcher was seen), "REQUIRE_DISPATCHER"
    # (True: one is alive).
    HEALTH_LIMITS: Mapping[str, Any] = {"MAX_AGE": timedelta(hours=1)}
    # Whoever sends "Authorization: Bearer " and this may read the health view. Unset: only staff with the
    # permission to view emails.
    HEALTH_TOKEN: str | None = None
    # Dotted path of the model field class that stores contexts. Read when models are loaded.
    # Unset: a JSON field which takes dates, decimals and UUIDs too.
    CONTEXT_FIELD_CLASS: str = "post_office.fields.ContextJSONField"

    def __getattribute__(self, name: str) -> Any:
        # Asked several times for each mail, so that a miss costs more than a hit.
        try:
            default = _DEFAULTS[name]
        except KeyError:
            return super().__getattribute__(name)
        return getattr(django_settings, "POST_OFFICE", _NOTHING_SAID).get(name, default)


_DEFAULTS: Mapping[str, Any] = {
    name: default for name, default in vars(PostOfficeSettings).items() if name.isupper()
}
_NOTHING_SAID: Mapping[str, Any] = {}

conf = PostOfficeSettings()
