"""Hostile HTML in the admin: what its documents tell the browser, and what they let it reach."""

import re
from html.parser import HTMLParser
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import RequestFactory

from post_office.admin import preview, sandbox
from post_office.rendering.inline import InlineImage
from post_office.rendering.templates import Rendered

PIXEL = b"GIF89a"
DOCUMENTS = ["the HTML", "a text", "an error"]


def request(query: str = "", host: str = "shop.example") -> Any:
    return RequestFactory().get(f"/{query}", headers={"host": host})


@pytest.fixture(autouse=True)
def _any_host(settings: Any) -> None:
    settings.ALLOWED_HOSTS = ["*"]


def rendered(html: str = "", text: str = "", **more: Any) -> Rendered:
    return Rendered(subject="Hello", message=text, html_message=html, **more)


def policy(response: HttpResponse) -> dict[str, str]:
    directives = response.headers["Content-Security-Policy"].split("; ")
    return {name: value for name, _, value in (directive.partition(" ") for directive in directives)}


def documents() -> dict[str, HttpResponse]:
    return {
        "the HTML": sandbox.document(request(), "<script>alert(1)</script>"),
        "a text": preview.document_of(request(), rendered(text="<script>alert(1)</script>")),
        "an error": preview.does_not_render(preview.Unrenderable(reason="<script>alert(1)</script>")),
    }


@pytest.mark.parametrize("what", DOCUMENTS)
def test_a_document_runs_nothing_and_reaches_nothing(what: str) -> None:
    response = documents()[what]
    assert policy(response) == {
        "sandbox": "",  # no scripts, forms, pop-ups, plugins, refreshing, and no origin
        "default-src": "'none'",
        "img-src": "data:",
        "style-src": "'unsafe-inline'",
        "font-src": "data:",
        "form-action": "'none'",
        "base-uri": "'none'",
        "frame-ancestors": "'self'",
    }
    assert response.headers["X-Frame-Options"] == "SAMEORIGIN"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Referrer-Policy"] == "no-referrer"
    assert response.headers["Content-Type"] == "text/html; charset=utf-8"


@pytest.mark.parametrize("what", DOCUMENTS[1:])
def test_text_is_no_html(what: str) -> None:
    text = documents()[what].content.decode()
    assert "<script" not in text
    assert "&lt;script&gt;" in text


def test_images_beside_the_html_stand_in_the_document() -> None:
    own = InlineImage(cid="ab", content=PIXEL, mimetype="image/gif")
    attached = {"c@d": sandbox.Image(mimetype="image/png", content=b"\x89PNG")}
    html = '<img src="cid:ab"><td background=cid:c%40d><img src="CID:nowhere">'
    response = preview.document_of(request(), rendered(html, images=(own,)), attached)
    assert response.content.decode() == (
        '<img src="data:image/gif;base64,R0lGODlh"><td background=data:image/png;base64,iVBORw==>'
        '<img src="CID:nowhere">'
    )


HTML = """<img src="https://cdn.example/logo.png"><img src=http://Pixel.Example:8080/1.gif>
<td background="//cdn.example/x.png"><style>div { background: url(https://fonts.example/a) }</style>
<img src="https://evil.example'; script-src *; x"><img src="https://bad_host/x"><img src="/relative.png">"""


def test_images_of_other_sites_are_loaded_only_when_asked_for() -> None:
    assert policy(sandbox.document(request("?images=local"), HTML))["img-src"] == "data:"
    allowed = policy(sandbox.document(request("?images=remote"), HTML))
    assert allowed["img-src"].split() == [
        "data:",
        "https://cdn.example",
        "http://pixel.example:8080",
        "cdn.example",
        "https://fonts.example",
        "https://evil.example",
    ]
    assert allowed["font-src"] == allowed["img-src"]
    assert allowed["default-src"] == "'none'"
    assert "script-src" not in allowed


OWN = [
    ("https://shop.example/admin/logout/", "shop.example"),
    ("https://SHOP.example:8443/x", "shop.example:8000"),
    ("//shop.example/x", "shop.example"),
    ("http://127.0.0.1:8000/x", "127.0.0.1:8000"),
]


@pytest.mark.parametrize(("url", "host"), OWN)
def test_of_the_own_site_only_static_files_and_media_are_loaded(url: str, host: str, settings: Any) -> None:
    settings.STATIC_URL, settings.MEDIA_URL = "/static/", "/media/"
    response = sandbox.document(request("?images=remote", host), f'<img src="{url}">')
    assert policy(response)["img-src"] == f"data: http://{host}/static/ http://{host}/media/"


@pytest.mark.parametrize("url", ["/", "https://cdn.example/static/", "", "/static", "//"])
def test_a_setting_does_not_open_the_whole_site(url: str, settings: Any) -> None:
    settings.STATIC_URL = settings.MEDIA_URL = url
    response = sandbox.document(request("?images=remote"), '<img src="https://shop.example/x">')
    assert policy(response)["img-src"] == "data:"


def test_a_mail_that_names_the_own_site_nowhere_reaches_nothing_of_it(settings: Any) -> None:
    settings.STATIC_URL = "/static/"
    assert "shop.example" not in policy(sandbox.document(request("?images=remote"), HTML))["img-src"]


def test_the_header_stays_of_a_size_that_proxies_take() -> None:
    html = " ".join(f"https://site-{number}.example/" for number in range(10_000))
    response = sandbox.document(request("?images=remote"), html)
    assert len(response.headers["Content-Security-Policy"]) < 4096


class Tags(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.found if name == tag]


def test_a_frame_is_sandboxed_and_has_two_widths() -> None:
    tags = Tags(sandbox.frame("/x/preview/", frame_id="it", title='The "HTML"', html="<p>"))
    (iframe,) = tags.all("iframe")
    assert iframe["sandbox"] in ("", None)
    assert (iframe["id"], iframe["name"], iframe["src"]) == ("it", "it", "/x/preview/")
    assert iframe["title"] == 'The "HTML"'
    assert iframe["referrerpolicy"] == "no-referrer"
    widths = tags.all("input")
    assert [(width["type"], width["id"]) for width in widths] == [
        ("radio", "it-desktop"),
        ("radio", "it-phone"),
    ]
    assert {label["for"] for label in tags.all("label")} == {"it-desktop", "it-phone"}
    # They belong to no form around them, and so are never sent.
    ids = {attrs.get("id") for _tag, attrs in tags.found}
    assert all(width["form"] not in ids for width in widths)
    assert [link["href"] for link in tags.all("a")] == ["/x/preview/"]


def test_a_frame_offers_images_of_other_sites_where_there_are_any() -> None:
    html = sandbox.frame("/x/", frame_id="it", title="t", html='<img src="https://cdn.example/logo.png">')
    (load, _own) = Tags(html).all("a")
    assert (load["href"], load["target"]) == ("/x/?images=remote", "it")


def test_a_frame_may_wait_for_what_a_form_puts_into_it() -> None:
    html = sandbox.frame("", frame_id="it", title="t")
    assert not re.search(r"\ssrc=|href=", html)
