"""A small shop that sends its mail through post_office. `make demo` runs it, `make web` shows its admin."""
