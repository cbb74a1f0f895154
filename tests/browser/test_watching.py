"""That the tests of this folder notice what must not happen."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from tests.browser.watching import Watch

FAULTS = {
    "an uncaught error": ("setTimeout(() => { throw new Error('lost') })", "uncaught: lost"),
    "a rejected promise": ("void Promise.reject(new Error('broken'))", "uncaught: broken"),
    "an error in the console": ("console.error('wrong')", "console: wrong"),
    "an inline style": ("document.body.setAttribute('style', 'color: red')", "Content Security Policy"),
    "an inline script": (
        "document.body.append(Object.assign(document.createElement('script'), {textContent: '1'}))",
        "Content Security Policy",
    ),
    "a request to another host": ("void fetch('http://elsewhere.invalid/')", "Content Security Policy"),
    "an image of another host": (
        "document.body.append(Object.assign(new Image(), {src: 'http://elsewhere.invalid/a.png'}))",
        "http://elsewhere.invalid/a.png",
    ),
    "a link to another host": (
        "location.href = 'http://elsewhere.invalid/'",
        "foreign request: http://elsewhere.invalid/",
    ),
    "a server's error": ("void fetch('/broken/')", "status 500"),
}


@pytest.fixture
def watched(chromium: Browser, site: str, transactional_db: None) -> Iterator[tuple[Page, Watch]]:
    context = chromium.new_context(base_url=site)
    yield context.new_page(), Watch(context, site)
    context.close()


@pytest.mark.parametrize("what", FAULTS)
def test_it_notices(watched: tuple[Page, Watch], what: str) -> None:
    page, watch = watched
    code, fault = FAULTS[what]
    page.route("**/broken/", lambda route: route.fulfill(status=500))
    page.goto("/admin/login/")
    assert watch.unexpected() == []
    page.evaluate(f"() => {{ {code} }}")
    for _wait in range(50):
        if watch.faults:
            break
        page.wait_for_timeout(20)
    assert fault in "\n".join(watch.unexpected())
    watch.expected["."] = "in this test"
    assert watch.unexpected() == []
