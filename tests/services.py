"""The servers that tests talk to: which of them answer, and what to do when one does not.

Where they are is said in tests/settings.py. A test calls `services.require("redis")`: with no such server it
is skipped, and the reason is said. With REQUIRE_SERVICES=1, as in continuous integration, it fails instead.
"""

import os
import shutil
import socket
from collections.abc import Callable
from functools import cache
from urllib.parse import urlsplit

from tests import settings

SECONDS_TO_ANSWER = 3


def required() -> bool:
    """Tell whether a missing server is a failure."""
    return os.environ.get("REQUIRE_SERVICES", "") not in ("", "0")


def require(service: str) -> None:
    """Skip the running test, or fail it where servers are required, unless `service` answers."""
    import pytest  # here, so that the rest works in a program that is no test run

    __tracebackhide__ = True  # report the line of the test
    if reason := why_missing(service):
        (pytest.fail if required() else pytest.skip)(f"{service}: {reason}")


@cache
def why_missing(service: str) -> str:
    """Say why `service` cannot be used; an empty string means that it can."""
    try:
        _PROBES[service]()
    except ImportError as error:
        return f"the package {error.name} is not installed"
    except FileNotFoundError as error:
        return str(error)
    except Exception as error:  # each driver has exceptions of its own, and all of them mean the same here
        return f"no answer at {_address(service)} ({' '.join(str(error).split())})"
    return ""


def _address(service: str) -> str:
    return "{}:{}".format(*_host_and_port(service))


def _host_and_port(service: str) -> tuple[str, int]:
    if service in settings.servers:
        server = settings.servers[service]
        return str(server["HOST"]), int(str(server["PORT"]))
    url, port = {"redis": (settings.REDIS_URL, 6379), "rabbitmq": (settings.AMQP_URL, 5672)}[service]
    parts = urlsplit(url)
    return parts.hostname or "127.0.0.1", parts.port or port


def _sqlite() -> None:
    import sqlite3  # noqa: F401  # a Python can be built without it


def _postgres() -> None:
    import psycopg

    server = settings.servers["postgres"]
    host, port = _host_and_port("postgres")
    psycopg.connect(
        host=host,
        port=port,
        user=server["USER"],
        password=server["PASSWORD"],
        dbname="postgres",
        connect_timeout=SECONDS_TO_ANSWER,
    ).close()


def _mariadb() -> None:
    try:
        import MySQLdb
    except ImportError as error:  # named as on PyPI
        raise ImportError(str(error), name="mysqlclient") from error

    server = settings.servers["mariadb"]
    host, port = _host_and_port("mariadb")
    MySQLdb.connect(
        host=host,
        port=port,
        user=server["USER"],
        password=server["PASSWORD"],
        connect_timeout=SECONDS_TO_ANSWER,
    ).close()


def _redis() -> None:
    # "-NOAUTH …" is the answer of a Redis too: one that wants a password, which the URL may have.
    _expect("redis", b"PING\r\n", (b"+PONG", b"-NOAUTH"))


def _rabbitmq() -> None:
    # AMQP 0-9-1: the client names the protocol, the server opens with a frame of type 1, a method.
    _expect("rabbitmq", b"AMQP\x00\x00\x09\x01", (b"\x01",))


def chromium() -> str:
    """Return the path of the browser, which Debian calls so. Raises FileNotFoundError."""
    for name in (settings.CHROMIUM, "chromium", "chromium-browser", "google-chrome"):
        if name and (path := shutil.which(name)):
            return path
    raise FileNotFoundError("there is no such browser here; CHROMIUM can say where it is")


def _expect(service: str, greeting: bytes, answers: tuple[bytes, ...]) -> None:
    with socket.create_connection(_host_and_port(service), timeout=SECONDS_TO_ANSWER) as connection:
        connection.sendall(greeting)
        if not (answer := connection.recv(16)).startswith(answers):
            raise ConnectionError(f"something else listens there, it says {answer!r}")


_PROBES: dict[str, Callable[[], object]] = {
    "sqlite": _sqlite,
    "postgres": _postgres,
    "mariadb": _mariadb,
    "redis": _redis,
    "rabbitmq": _rabbitmq,
    "chromium": chromium,
}
