"""How fast mail is queued and delivered: ours, other queues and what is possible at all, in turn.

`make bench` measures everything and writes docs/explanation/performance.md; `python -m benchmarks drain`
measures one thing and prints it. This side needs Python's own library alone: whatever is measured runs in a
process and an environment of its own. Other queues are installed from the package index and driven by their
public commands and functions.
"""
