"""There are no views but those of the admin; this module keeps an old import path."""
