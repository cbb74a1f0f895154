"""Delivery: from a claimed mail to its outcome.

One attempt is a pipeline: gather (render; may query) → assemble (read the files) → send → classify
→ outcome. A worker process runs it for many mails at once::

    main thread                                    sending threads
    ───────────                                    ───────────────
    claim ─► gather ─► to do ───────────────────►  assemble ─► send ─► classify
    settle ◄─ outcomes ◄────────── done ◄────────  (one open connection per backend)

All SQL is on the main thread, so a delivery in a test sees that test's data and threads hold no
database connections. No transaction of ours is open while a server is talked to. "In flight" is
what a thread took and is not settled yet: outcomes are written when 20 ms have passed or 25 are
waiting, so that is how much a crash can repeat.

`supervisor` runs workers until nothing is due, `standing` keeps them until it is told to stop::

    supervisor ── "look", "stop" ──► worker process
               ◄─ ready, totals ───
    lookout (a thread): beats, hears of mail at its commit

A fault of one mail is that mail's outcome and never stops another. A fault of a backend (it cannot
be reached, or refuses our login) is nobody's attempt: its mail is released, and all workers leave
that backend alone until one of them has found out that it works again.
"""
