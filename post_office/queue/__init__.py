"""The queue: which mail is whose, and what became of it. Knows no MIME and no SMTP.

States of an email, and the verbs that change them::

    queue ──► queued ──► claim ──► held ──► settle Sent   ──► sent
                ▲                   │  ├──► settle Retry  ──► requeued, due later ──► claim …
                │                   │  ├──► settle Failed ──► failed
                │                   │  └──► release       ──► as before
                │                   └─ the worker dies ─► bury ─► as before, or failed
                ├── past expires_at ──► expire ──► expired
                ├── cancel ──► canceled
                └── requeue ◄── sent, failed, expired, canceled

A claim is two columns of the email, the worker and the moment; it is not a status. It ends with its
worker: each worker has a row, made anew at each start, in which it counts up every few seconds (its
beat). Nothing is renewed per email.

What is guaranteed, and by what:

- No two workers hold one mail: the claim is an UPDATE whose WHERE says "held by nobody".
- No outcome is written by a worker that lost its claim: every settling UPDATE says "held by me".
- A dead worker's mail is free again: at once where its process is known to be gone from this very
  host and boot; else when its beat has not changed while the observer's own monotonic clock ran for
  LEASE_DURATION. No wall clock decides, so clocks may step.
- What a dying worker had handed to a server and not settled is sent again (at least once), or failed
  where the mail says "hold" (at most once). All else is sent once.
- A mail that kills its worker is found: each claim that comes to no outcome is counted, from the last
  but one on the mail is claimed alone, and then it is failed.
- A claim costs the same however many rows were sent or are scheduled: it walks an index of exactly
  the rows it may take, in their order, and stops when it has enough.

`brakes` say whether a backend may be used, `limits` how much may go to it now. Mail that waits for them
is not claimed, or released as it was.

`retry` decides what follows a fault, `claims` takes and gives back, `liveness` keeps the worker rows,
`outcomes` settles (the only writer of `status` and of the log), `cleanup` deletes what is over.
"""
