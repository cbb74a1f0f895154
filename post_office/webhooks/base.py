"""What every provider's view has in common: who may speak, what is said, and how it is answered."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.decorators import method_decorator
from django.views.decorators.csrf import csrf_exempt
from django.views.generic import View

from .. import events as storage
from ..conf import conf
from ..enums import RecipientDeliveryStatus
from ..events import STATUS_PRIORITY, ESPEvent
from .payload import InvalidJSON

logger = logging.getLogger("post_office")

# What reading strange data comes to. Anything else is a fault of ours or of the database: the
# provider gets a 500 for it, and sends the report again.
UNREADABLE = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)


@method_decorator(csrf_exempt, name="dispatch")
class BaseWebhookHandler(View):
    """Receive reports of one provider. A subclass says how to check and to read them."""

    http_method_names = ["post"]

    def verify_signature(self, request: HttpRequest) -> bool:
        """Return whether the request comes from the provider."""
        raise NotImplementedError(f"{type(self).__name__} must have verify_signature(request).")

    def parse_events(self, request: HttpRequest) -> list[ESPEvent]:
        """Return what the request reports. Raises one of UNREADABLE where it cannot be read."""
        raise NotImplementedError(f"{type(self).__name__} must have parse_events(request).")

    def handle_events(self, events: list[ESPEvent], payload: dict[str, Any] | None) -> None:
        """Store the events. Override it to do more, and call `super()` to go on storing.

        What it raises becomes a 500, after which the provider sends the same again; what was stored
        is not stored twice.

        Args:
            payload: What SNS sent, for SES; None for others.
        """
        storage.record(events)

    def post(self, request: HttpRequest) -> HttpResponse:
        if not self.verify_signature(request):
            return self._unverified()
        return self._take(request, None)

    def _take(self, source: Any, payload: dict[str, Any] | None) -> HttpResponse:
        """Read the events from what `parse_events` reads, handle them, and say how many there were."""
        try:
            events = self.parse_events(source)
        except (InvalidJSON, json.JSONDecodeError) as fault:
            return self._refused("Invalid JSON", 400, fault)
        except UNREADABLE as fault:
            return self._refused("Failed to parse events", 400, fault)
        self.handle_events(events, payload)
        return JsonResponse({"status": "ok", "processed": len(events)})

    def _unverified(self) -> HttpResponse:
        return self._refused("Invalid signature", 401)

    def _refused(self, error: str, status: int, reason: Exception | None = None) -> HttpResponse:
        because = f": {reason!r}" if reason else ""
        logger.warning("%s refused a request: %s%s", type(self).__name__, error, because)
        return JsonResponse({"error": error}, status=status)


def configuration(provider: str) -> Mapping[str, Any]:
    """Return what WEBHOOKS says of a provider; empty where it says nothing."""
    config: Mapping[str, Any] = conf.WEBHOOKS.get(provider, {})
    return config


__all__ = ["STATUS_PRIORITY", "BaseWebhookHandler", "ESPEvent", "RecipientDeliveryStatus", "configuration"]
