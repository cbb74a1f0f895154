"""What must not happen in a browser while it shows the admin; each test fails on it."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from playwright.sync_api import BrowserContext, ConsoleMessage, Request, Response, WebError

# What Django's admin does by itself, and why it is no fault of ours.
OF_DJANGO = {
    r"404 .*/favicon\.ico\)$": "its pages name no icon, so the browser asks for that of the site",
}


class Watch:
    """Takes note of what goes wrong in the pages of a context.

    An error in the console is also how Chromium tells of what a content security policy forbids.

    Attributes:
        faults: What went wrong, in words.
        expected: Patterns of faults that the test is about, and that are none therefore, with the reason.
    """

    def __init__(self, context: BrowserContext, address: str) -> None:
        self.faults: list[str] = []
        self.expected: dict[str, str] = dict(OF_DJANGO)
        self._site = urlsplit(address).netloc
        context.on("weberror", self._on_uncaught)
        context.on("console", self._on_console)
        context.on("request", self._on_request)
        context.on("response", self._on_response)

    def unexpected(self) -> list[str]:
        return [
            fault for fault in self.faults if not any(re.search(pattern, fault) for pattern in self.expected)
        ]

    def _on_uncaught(self, error: WebError) -> None:
        self.faults.append(f"uncaught: {error.error}")

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.faults.append(f"console: {message.text} (at {message.location.get('url', '')})")

    def _on_request(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme not in ("data", "blob", "about") and parts.netloc != self._site:
            self.faults.append(f"foreign request: {request.url}")

    def _on_response(self, response: Response) -> None:
        if response.status >= 500:
            self.faults.append(f"status {response.status}: {response.url}")
