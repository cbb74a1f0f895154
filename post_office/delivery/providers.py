"""Faults that backends for provider APIs raise, told by their shape: none of these packages is imported.

Anymail's exceptions have a status code and a response; botocore's (Amazon SES) a response with an error
code; those of HTTP libraries say in their names how far a request came.
"""

from __future__ import annotations

import email.utils
import re
from datetime import datetime, timedelta, timezone
from typing import Any

from .faults import Fault, Kind, fault_of

# What a class says by its name, anywhere among its bases.
BY_NAME: dict[str, Kind] = {
    # Anymail: each recipient is invalid or was refused by the provider.
    "AnymailRecipientsRefused": Kind.PERMANENT,
    # Anymail: the mail has something that this provider has no words for.
    "AnymailUnsupportedFeature": Kind.PERMANENT,
    "AnymailInvalidAddress": Kind.PERMANENT,
    "AnymailSerializationError": Kind.PERMANENT,
    "AnymailCancelSend": Kind.PERMANENT,
    # A key or a package is missing: so it is for all mail.
    "AnymailConfigurationError": Kind.BACKEND,
    "AnymailImproperlyInstalled": Kind.BACKEND,
    "NoCredentialsError": Kind.BACKEND,
    "PartialCredentialsError": Kind.BACKEND,
    "NoRegionError": Kind.BACKEND,
    # requests, urllib3, httpx, botocore: no connection, so no request either.
    "ConnectTimeout": Kind.BACKEND,
    "ConnectTimeoutError": Kind.BACKEND,
    "NewConnectionError": Kind.BACKEND,
    "EndpointConnectionError": Kind.BACKEND,
    "ProxyError": Kind.BACKEND,
    # The request was made, and no answer came.
    "ReadTimeout": Kind.UNKNOWN,
    "ReadTimeoutError": Kind.UNKNOWN,
}

# Error codes of AWS. All others go by the status of the response.
BY_AWS_CODE: dict[str, Kind] = {
    # Too fast, or more than a day's quota.
    "Throttling": Kind.THROTTLED,
    "ThrottlingException": Kind.THROTTLED,
    "RequestThrottled": Kind.THROTTLED,
    "TooManyRequestsException": Kind.THROTTLED,
    "LimitExceededException": Kind.THROTTLED,
    "LimitExceeded": Kind.THROTTLED,
    "SlowDown": Kind.THROTTLED,
    "MaxSendingRateExceeded": Kind.THROTTLED,
    # The account may not send, or we are not who we say.
    "AccountSendingPausedException": Kind.BACKEND,
    "AccountSuspendedException": Kind.BACKEND,
    "SendingPausedException": Kind.BACKEND,
    "InvalidClientTokenId": Kind.BACKEND,
    "UnrecognizedClientException": Kind.BACKEND,
    "SignatureDoesNotMatch": Kind.BACKEND,
    "ExpiredToken": Kind.BACKEND,
    "ExpiredTokenException": Kind.BACKEND,
    # May be about this mail's sender alone, so it must not stop other mail; and it may be mended.
    "AccessDenied": Kind.TRANSIENT,
    "AccessDeniedException": Kind.TRANSIENT,
}

# Statuses of HTTP; all others of 400 and more are the request's own fault, and permanent.
BY_STATUS: dict[int, Kind] = {
    401: Kind.BACKEND,  # the key is wrong
    402: Kind.BACKEND,  # the account is not paid for
    # Some providers say so of a sender that is not theirs to use. That must not stop other mail; where it
    # is the key that may not send, a person has time to mend it.
    403: Kind.TRANSIENT,
    408: Kind.TRANSIENT,  # the request did not arrive in time
    409: Kind.TRANSIENT,
    425: Kind.TRANSIENT,
    429: Kind.THROTTLED,
    500: Kind.TRANSIENT,
    502: Kind.UNKNOWN,  # a gateway did not understand the answer of the server behind it,
    504: Kind.UNKNOWN,  # or did not get one
}


def of_provider(exception: Exception) -> Fault | None:
    """Return the fault that an exception tells of, None where it is none of a provider's."""
    names = {base.__name__ for base in type(exception).__mro__}
    for name, kind in BY_NAME.items():
        if name in names:
            return fault_of(exception, kind, _status(exception))
    response = getattr(exception, "response", None)
    if isinstance(response, dict) and isinstance(response.get("Error"), dict):
        return _of_aws(exception, response)
    status = _status(exception)
    if status is None or status < 400:
        return None
    return fault_of(exception, _by_status(status), status, after=_retry_after(_headers(response)))


def _of_aws(exception: Exception, response: dict[str, Any]) -> Fault:
    metadata = response.get("ResponseMetadata") or {}
    status = metadata.get("HTTPStatusCode")
    status = status if isinstance(status, int) else None
    kind = BY_AWS_CODE.get(str(response["Error"].get("Code"))) or _by_status(status or 400)
    answer = str(response["Error"].get("Message") or "") or None
    return fault_of(exception, kind, status, answer, after=_retry_after(metadata.get("HTTPHeaders")))


def _by_status(status: int) -> Kind:
    return BY_STATUS.get(status) or (Kind.TRANSIENT if status >= 500 else Kind.PERMANENT)


def _status(exception: Exception) -> int | None:
    for holder in (exception, getattr(exception, "response", None)):
        status = getattr(holder, "status_code", None)
        if isinstance(status, int):
            return status
    return None


def _headers(response: Any) -> Any:
    return getattr(response, "headers", None)


def _retry_after(headers: Any) -> timedelta | None:
    """Read Retry-After: seconds or a date (RFC 9110, section 10.2.3)."""
    if not hasattr(headers, "get"):
        return None
    value = str(headers.get("Retry-After") or headers.get("retry-after") or "")
    if re.fullmatch(r"\d{1,7}", value):
        return timedelta(seconds=int(value))
    try:
        moment = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    return max(moment - datetime.now(timezone.utc), timedelta())
