"""Signatures of Amazon SNS: a message is signed with a key whose certificate lies at an address of SNS.

The address stands in the message itself. So it is believed only when it is one of SNS, over https,
and nothing is followed from there. A good signature says that SNS sent the message, not for whom:
anybody can make a topic and let SNS sign for it. Which topics are ours is `TOPIC_ARNS` of the settings.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError
from urllib.request import HTTPRedirectHandler, build_opener

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

Fetch = Callable[[str], bytes]

# Whole, from the first character to the last: no other port, user, query or path.
CERTIFICATE_URL = re.compile(
    r"https://sns\.(?:[a-z]{2}(?:-gov)?-[a-z]+-[0-9]+\.amazonaws\.com|cn-[a-z]+-[0-9]+\.amazonaws\.com\.cn)"
    r"/SimpleNotificationService-[0-9A-Za-z]+\.pem"
)
CONFIRMATION = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
# What is signed, in this order.
SIGNED = {
    "Notification": ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    "SubscriptionConfirmation": CONFIRMATION,
    "UnsubscribeConfirmation": CONFIRMATION,
}
TIMEOUT = 5  # seconds for the certificate
LONGEST = 64 * 1024  # bytes of a certificate


class CertificateUnavailable(Exception):
    """The certificate cannot be had now; the message is to be sent again."""


def is_signed(payload: Mapping[str, Any], fetch: Fetch) -> bool:
    """Return whether SNS signed this message.

    Args:
        fetch: Returns the certificate at an address, in PEM. Asked once for each address, unless it fails.

    Raises:
        CertificateUnavailable: `fetch` failed, and may do better later.
        RuntimeError: The package cryptography is not installed.
    """
    try:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    except ImportError as fault:
        raise RuntimeError(
            "Signatures of Amazon SNS cannot be checked without the package cryptography. "
            "Install django-post_office[ses]."
        ) from fault

    algorithms = {"1": hashes.SHA1, "2": hashes.SHA256}
    version, url = payload.get("SignatureVersion"), payload.get("SigningCertURL")
    text, signature = _signed_text(payload), _signature(payload)
    if text is None or signature is None or not isinstance(version, str) or version not in algorithms:
        return False
    if not isinstance(url, str) or not CERTIFICATE_URL.fullmatch(url):
        return False
    key = _key_at(url, fetch)
    if key is None:
        return False
    try:
        key.verify(signature, text, PKCS1v15(), algorithms[version]())
    except InvalidSignature:
        return False
    return True


def fetch_certificate(url: str) -> bytes:
    """Return what is at an address that was checked. Follows no redirect."""
    with build_opener(_Stay).open(url, timeout=TIMEOUT) as answer:
        content: bytes = answer.read(LONGEST + 1)
    if len(content) > LONGEST:
        raise ValueError(f"A certificate of more than {LONGEST} bytes is none.")
    return content


class _Stay(HTTPRedirectHandler):
    def redirect_request(self, *args: Any) -> None:
        return None


def _signed_text(payload: Mapping[str, Any]) -> bytes | None:
    """Return the bytes that are signed, or None where there is nothing that could be."""
    kind = payload.get("Type")
    names = SIGNED.get(kind) if isinstance(kind, str) else None
    if names is None:
        return None
    # The subject of a notification is left out where there is none; of the others, none may miss.
    values = [
        (name, payload.get(name)) for name in names if name != "Subject" or payload.get(name) is not None
    ]
    if not all(isinstance(value, str) for _, value in values):
        return None
    return "".join(f"{name}\n{value}\n" for name, value in values).encode("utf-8", "surrogatepass")


def _signature(payload: Mapping[str, Any]) -> bytes | None:
    encoded = payload.get("Signature")
    try:
        return base64.b64decode(encoded, validate=True) if isinstance(encoded, str) else None
    except (binascii.Error, ValueError):
        return None


def _key_at(url: str, fetch: Fetch) -> RSAPublicKey | None:
    """Return the key of the certificate at this address, or None where there is no such thing."""
    try:
        return _public_key(fetch, url)
    except HTTPError as fault:
        if 400 <= fault.code < 500:
            return None
        raise CertificateUnavailable(f"{url}: {fault}") from fault
    except OSError as fault:
        raise CertificateUnavailable(f"{url}: {fault}") from fault
    except ValueError:
        return None


@lru_cache(maxsize=128)
def _public_key(fetch: Fetch, url: str) -> RSAPublicKey:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

    key = x509.load_pem_x509_certificate(fetch(url)).public_key()
    if not isinstance(key, RSAPublicKey):
        raise ValueError(f"The key at {url} is no RSA key.")
    return key
