"""Amazon SES, whose reports come through Amazon SNS, in an envelope that SNS signs."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from django.http import HttpRequest, HttpResponse, JsonResponse

from ..events import ESPEvent
from . import ses_messages, sns
from .base import BaseWebhookHandler, configuration
from .payload import Fields, InvalidJSON, Malformed, read_json

logger = logging.getLogger("post_office")


class SESWebhookHandler(BaseWebhookHandler):
    """Receive what SNS sends for SES: notifications, and requests to confirm a subscription."""

    # How a certificate is had. Override it, with a static method, where SNS is reached in another way.
    fetch_certificate = staticmethod(sns.fetch_certificate)

    def post(self, request: HttpRequest) -> HttpResponse:
        try:
            payload = Fields(read_json(request.body))
            kind = payload.text("Type") or _kind_of_raw(payload)
            for name in ("TopicArn", "SubscribeURL"):  # which are logged, and repeated in the answer
                payload.text(name)
        except InvalidJSON as fault:
            return self._refused("Invalid JSON", 400, fault)
        except Malformed as fault:
            return self._refused("Failed to parse events", 400, fault)
        try:
            if not self.verify_signature(request):
                return self._unverified()
        except sns.CertificateUnavailable as fault:
            return self._refused("Certificate unavailable", 503, fault)
        return self._answer(kind, dict(payload.value))

    def verify_signature(self, request: HttpRequest) -> bool:
        """Return whether SNS signed this, for a topic of ours where TOPIC_ARNS says which these are."""
        config = configuration("SES")
        if not config.get("VERIFY_SIGNATURE", True):
            return True
        payload = read_json(request.body)
        topics = _topics(config)
        if topics and payload.get("TopicArn") not in topics:
            logger.warning("SNS message of a topic that is not in TOPIC_ARNS: %r", payload.get("TopicArn"))
            return False
        if "Signature" not in payload:
            logger.warning(
                "SNS message without a signature. Is raw message delivery switched on? It sends none."
            )
            return False
        return verify_ses_signature(payload, type(self).fetch_certificate)

    def parse_events(self, request: HttpRequest | Mapping[str, Any]) -> list[ESPEvent]:
        """Return the events of a request, or of what SNS sent in it."""
        payload = Fields(read_json(request.body) if isinstance(request, HttpRequest) else request)
        message = _message(payload)
        return list(ses_messages.events(message)) if message else []

    def handle_subscription(self, payload: dict[str, Any]) -> None:
        """Take note that SNS asks whether a subscription is wanted. Does not confirm it.

        Override it to confirm by other means, such as with boto3 and the payload's Token.
        """
        url = str(payload.get("SubscribeURL", ""))
        logger.warning(
            "SNS asks to confirm the subscription to topic %r, by opening an address at %s, which is "
            "logged at level DEBUG.",
            payload.get("TopicArn"),
            _host(url),
        )
        logger.debug("The address that confirms the subscription: %r", url)

    def _answer(self, kind: str, payload: dict[str, Any]) -> HttpResponse:
        if kind == "Notification":
            return self._take(payload, payload)
        if kind == "SubscriptionConfirmation":
            self.handle_subscription(payload)
            return JsonResponse(
                {
                    "status": "subscription_confirmation_received",
                    "topic_arn": payload.get("TopicArn"),
                    "subscribe_url": payload.get("SubscribeURL"),
                }
            )
        if kind == "UnsubscribeConfirmation":
            logger.warning("SNS says that the subscription to topic %r has ended.", payload.get("TopicArn"))
            return JsonResponse({"status": "ok"})
        return self._refused("Unknown message type", 400)


def verify_ses_signature(payload: Mapping[str, Any], fetch: sns.Fetch = sns.fetch_certificate) -> bool:
    """Return whether SNS signed this message; see `sns.is_signed`."""
    return sns.is_signed(payload, fetch)


def _topics(config: Mapping[str, Any]) -> list[str]:
    topics = config.get("TOPIC_ARNS") or []
    return [topics] if isinstance(topics, str) else list(topics)


def _kind_of_raw(payload: Fields) -> str:
    """Return "Notification" for what comes without the envelope, by raw message delivery.

    It is not signed, so it is believed by those only who verify nothing.
    """
    return "Notification" if ses_messages.kind_of(payload) else ""


def _message(payload: Fields) -> Fields | None:
    """Return the message of SES in what SNS sent, or None where there is only a note for people."""
    if "Message" not in payload:
        return payload
    text = payload.text("Message")
    # SES says in plain words that it can reach the topic.
    if not text.lstrip().startswith(("{", "[")):
        logger.info("SNS sent a note: %.200r", text)
        return None
    return Fields(read_json(text.encode("utf-8", "surrogatepass")), "Message")


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or "nowhere"
    except ValueError:
        return "nowhere"
