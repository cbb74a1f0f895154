"""What the queue has to stand: real processes, a real SMTP server, and all that can go wrong with both.

Each module is a scenario: `run(project, size)` does it, fails where the queue did what it must not, and
returns the figures. `python -m tests.torture` runs them at full size and keeps the figures in the
documentation; tests/acceptance/test_torture.py runs the same at a small size.
"""
