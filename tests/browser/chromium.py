"""How the browser is started: the system's own, headless, and with nothing of its own that goes out."""

from playwright.sync_api import Browser, Playwright

from tests import services

# No name is looked up but that of this host.
ARGUMENTS = [
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
]


def launch(playwright: Playwright) -> Browser:
    """Start it. Raises FileNotFoundError where there is none."""
    return playwright.chromium.launch(
        executable_path=services.chromium(), args=ARGUMENTS, chromium_sandbox=False
    )
