"""`django-admin` where a package is not installed: `python -m tests.acceptance.without celery check`."""

import sys

from django.core.management import execute_from_command_line

sys.modules[sys.argv[1]] = None  # type: ignore[assignment]  # makes its import fail
execute_from_command_line(sys.argv[1:])
