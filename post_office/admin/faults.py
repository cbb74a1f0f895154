"""Says in a sentence what is wrong with a template, and where."""

from __future__ import annotations

from django.utils.translation import gettext as _

from ..rendering.drafts import Problem


def sentence(problem: Problem) -> str:
    """Return what to tell whoever writes the template."""
    if problem.line is None or problem.column is None:
        return problem.message
    place = {"line": problem.line, "column": problem.column, "message": problem.message}
    if problem.template:
        place["template"] = problem.template
        return _("In %(template)s, line %(line)d, column %(column)d: %(message)s") % place
    return _("Line %(line)d, column %(column)d: %(message)s") % place
