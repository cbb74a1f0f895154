"""What has happened to mail, as facts in the past tense.

Each but the last is sent with `sender=Email` and `emails`, a list of `Email` instances that already show
the new state, after the row says so. A receiver that raises is logged and stops nothing, except for
`email_queued`, whose receivers run in the caller of `mail.send()`.

- `email_queued`: rows were made by a verb of `mail` or by the email backend, or put into the queue
  again by hand. Not for priority now.
- `email_sent`, `email_failed`, `email_requeued`: an attempt was settled. With `outcomes`, a list
  beside `emails`: `Sent`, `Failed` or `Retry` of `post_office.queue.outcomes`.
- `email_expired`: `expires_at` came before the mail's turn.
- `email_canceled`: the mail was taken out of the queue by hand.
- `event_recorded`: a provider reported something of a mail, and it was stored; once for each report,
  after the commit. With `email`, and `event`, an `ESPEvent` of `post_office.webhooks`.
"""

from django.dispatch import Signal

email_queued = Signal()
email_sent = Signal()
email_failed = Signal()
email_requeued = Signal()
email_expired = Signal()
email_canceled = Signal()
event_recorded = Signal()
