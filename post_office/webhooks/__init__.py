"""Views for what providers report over HTTP. Give them URLs of your own; see docs/how-to.md.

A view checks who is speaking, reads the provider's language into `ESPEvent`s, and hands them to
`events`, which stores them. It answers 200 to all that it has understood, 400 and 401 to what will
not become better by being sent again, and 5xx where the provider should try again.
"""

from .base import BaseWebhookHandler, ESPEvent
from .ses import SESWebhookHandler
from .sparkpost import SparkPostWebhookHandler

__all__ = ["BaseWebhookHandler", "ESPEvent", "SESWebhookHandler", "SparkPostWebhookHandler"]
