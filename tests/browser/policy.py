"""The strict content security policy under which the tests serve the admin: everything from its own site.

Django's own middleware sends it from Django 6.0 on; before, this small one does the same.
"""

from collections.abc import Callable
from typing import Any

from django import VERSION
from django.http import HttpRequest, HttpResponse

POLICY = "default-src 'self'"

if VERSION >= (6, 0):
    MIDDLEWARE = "django.middleware.csp.ContentSecurityPolicyMiddleware"
    SETTINGS: dict[str, Any] = {"SECURE_CSP": {"default-src": ["'self'"]}}
else:
    MIDDLEWARE, SETTINGS = "tests.browser.policy.send_policy", {}


def send_policy(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Return a middleware that gives the policy to each response which has none of its own."""

    def respond(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        response.headers.setdefault("Content-Security-Policy", POLICY)
        return response

    return respond
