"""The health view: whether mail flows, for what watches over HTTP. It tells nothing of what is in mail.

Who may ask: whoever knows HEALTH_TOKEN, and staff who may view emails.
"""

from __future__ import annotations

from django.db import DatabaseError
from django.http import HttpRequest, JsonResponse
from django.utils.crypto import constant_time_compare
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from . import health as mail_health
from .conf import conf


@never_cache
@require_safe
def health(request: HttpRequest) -> JsonResponse:
    """Answer 200 where mail flows, 503 where a limit of HEALTH_LIMITS is passed or the queue cannot be read.

    The body says more, as `mail_status --json` does. Whoever may not ask gets 403.
    """
    try:
        if not (_knows_token(request) or _is_staff(request)):
            return JsonResponse({"detail": "Send the token, or log in."}, status=403)
        found = mail_health.look()
    except DatabaseError as fault:
        said = f"The queue cannot be read: {type(fault).__name__}."  # its words may name the server
        return JsonResponse({"healthy": False, "complaints": [said]}, status=503)
    complaints = mail_health.complaints(found, mail_health.configured_limits())
    return JsonResponse(mail_health.as_json(found, complaints), status=503 if complaints else 200)


def _knows_token(request: HttpRequest) -> bool:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return bool(
        conf.HEALTH_TOKEN
        and scheme.lower() == "bearer"
        and constant_time_compare(token.strip(), conf.HEALTH_TOKEN)
    )


def _is_staff(request: HttpRequest) -> bool:
    # A project need not have Django's users.
    user = getattr(request, "user", None)
    return bool(
        user is not None and user.is_active and user.is_staff and user.has_perm("post_office.view_email")
    )
