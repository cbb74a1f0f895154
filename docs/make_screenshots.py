"""Make the pictures in docs/images: the demo's shop, at work, as the admin shows it in headless Chromium.

They differ from run to run, as times do. What is in them is the demo's scenario and a week that is made up.
"""

from __future__ import annotations

import io
import math
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the folder of the packages demo and tests

import django
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from demo import scenario
from demo.server import MailServer
from tests.browser.chromium import launch

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT / "docs" / "images"
DESK, PHONE = (1280, 800), (390, 844)
COLOURS = 128
MOST_BYTES = 150_000
SECONDS_TO_START = 60
ADMIN = "/admin/post_office"
FULL = "452 4.2.2 The mailbox is full"


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A page, and how it is looked at.

    Attributes:
        height: How much of the page is in the picture at most, in pixels.
        part: What the picture begins with, if not with the head of the page.
    """

    name: str
    address: str
    size: tuple[int, int] = DESK
    dark: bool = False
    height: int = 1250
    part: str = ""


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.environ["PICTURES_FOLDER"] = folder
        os.environ["DJANGO_SETTINGS_MODULE"] = "demo.lively_settings"
        refused = {scenario.UNKNOWN: scenario.NO_SUCH_USER, "full@example.com": FULL}
        once = {scenario.GREYLISTED: scenario.TRY_LATER}
        with MailServer(Path(folder) / "outbox", refuse=refused, refuse_once=once) as server:
            os.environ["DEMO_SMTP_PORT"] = str(server.port)
            django.setup()
            fill()
            # Before the browser: Playwright has an event loop, inside which Django asks no database.
            wanted = list(pictures())
            with command("run_dispatcher"), serving() as site, sync_playwright() as playwright:
                take(launch(playwright), site, wanted)


# --- what is to be seen -----------------------------------------------------------------------


def fill() -> None:
    """Let the shop have a week of mail behind it, and some before it."""
    # Not at the top: these import models, for which Django must be set up.
    from django.contrib.auth.models import User
    from django.utils import timezone

    from demo import stage
    from post_office import mail
    from post_office.models import EmailTemplate
    from post_office.queue import brakes

    stage.set_up()
    brakes.pause("newsletter", by="demo", now=timezone.now())
    User.objects.filter(username="demo").update(first_name="Dora")
    EmailTemplate.objects.filter(name="welcome").update(
        sample_context='{"name": "Ann Miller", "since": "14 March 2026"}'
    )
    mail.send_many(
        {
            "recipients": f"reader{number}@example.com",
            "sender": "news@example.com",
            "template": "newsletter",
            "context": {"name": f"Reader {number}", "news": scenario.NEWS},
            "backend": "newsletter",
            "priority": "low",
        }
        for number in range(140)
    )
    # Not each machine has letters for each name.
    plan = [planned for planned in scenario.plan() if all(letter < "\u0250" for letter in planned.name)]
    random.Random(7).shuffle(plan)
    for planned in plan:
        stage.queue([planned])  # one by one, so that the list of mails is as mixed as the plan
    stage.send_queued_mail("--processes=2")
    stage.wait_for_retries()
    stage.send_queued_mail()
    mail.send("full@example.com", "shop@example.com", subject="Your cart is waiting", message="Come back!")
    for template in EmailTemplate.objects.filter(name="welcome"):
        # A date cannot stand in a sample context, which is JSON.
        for field in ("content", "html_content"):
            text = getattr(template, field).replace('since|date:"j F Y"', "since")
            setattr(template, field, text.replace('since|date:"j. F Y"', "since"))
        template.save()
    make_up_a_week()


def make_up_a_week() -> None:
    """Count mail that never was, more by day than by night."""
    from django.utils import timezone

    from post_office.models import Tally
    from post_office.slots import LENGTH, slot_of

    now, chance = timezone.now(), random.Random(7)
    tallies = []
    for number in range(int(timedelta(days=8) / LENGTH)):
        moment = now - number * LENGTH
        hour = moment.hour + moment.minute / 60
        usual = 14 * max(0.08, math.sin(math.pi * (hour - 5) / 17))
        sent = max(0, round(chance.gauss(usual, 3)))
        failed = chance.choice([0, 0, 0, 0, 1]) + (chance.randrange(9) if 250 < number < 256 else 0)
        tallies.append(Tally(slot=slot_of(moment), part=0, sent=sent, failed=failed))
    Tally.objects.all().delete()  # five hundred mails at once would dwarf the rest
    Tally.objects.bulk_create(tallies)


def pictures() -> Iterator[Picture]:
    from post_office.models import STATUS, Email, EmailTemplate

    emails = Email.objects.order_by("pk")
    retried = emails.filter(status=STATUS.sent, number_of_retries__gt=0).get()
    template = EmailTemplate.objects.get(name="welcome", language="")
    overview, page = f"{ADMIN}/email/overview/", f"{ADMIN}/email/{retried.pk}/change/"
    yield Picture(name="overview", address=overview, height=1150)
    yield Picture(name="overview-dark", address=overview, dark=True, height=1150)
    yield Picture(name="overview-phone", address=overview, size=PHONE, height=1500)
    yield Picture(name="emails", address=f"{ADMIN}/email/", height=900)
    yield Picture(name="email", address=page)
    yield Picture(name="email-dark", address=page, dark=True)
    yield Picture(name="email-phone", address=f"{page}#tab-html", size=PHONE, part=".post-office-tabs")
    yield Picture(name="timeline", address=f"{page}#tab-timeline", part=".post-office-tabs", height=500)
    yield Picture(name="confirm", address=f"{ADMIN}/email/{retried.pk}/requeue/", height=500)
    context = quote('{"name": "Ann Miller", "since": "14. März 2026"}')
    given = f"template=welcome&language=de&to=ann@example.com&context={context}"
    yield Picture(name="compose", address=f"{ADMIN}/email/add/?{given}", height=2400)
    yield Picture(name="backends", address=f"{ADMIN}/backendstate/", height=450)
    yield Picture(name="templates", address=f"{ADMIN}/emailtemplate/", height=450)
    yield Picture(name="template", address=f"{ADMIN}/emailtemplate/{template.pk}/change/", height=1400)


# --- how it is taken --------------------------------------------------------------------------


def take(browser: Browser, site: str, wanted: Sequence[Picture]) -> None:
    """Write each picture into docs/images."""
    IMAGES.mkdir(exist_ok=True)
    state = logged_in(browser, site)
    for picture in wanted:
        width, height = picture.size
        context = browser.new_context(
            base_url=site,
            viewport={"width": width, "height": height},
            color_scheme="dark" if picture.dark else "light",
            storage_state=state,
        )
        page = context.new_page()
        page.goto(picture.address, wait_until="networkidle")
        prepare(page)
        target = IMAGES / f"{picture.name}.png"
        target.write_bytes(small(shot(page, picture)))
        print(f"{target.relative_to(ROOT)}  {target.stat().st_size // 1000} kB")
        context.close()


def logged_in(browser: Browser, site: str) -> object:
    context = browser.new_context(base_url=site)
    page = context.new_page()
    page.goto("/admin/")
    page.locator("#id_username").fill("demo")
    page.locator("#id_password").fill("demo")
    page.locator("[type=submit]").click()
    page.wait_for_url("**/admin/")
    state = context.storage_state()
    context.close()
    return state


def prepare(page: Page) -> None:
    """Close the list of all models, which is the same on each page, and fill the frames."""
    if page.locator("#main.shifted #toggle-nav-sidebar").is_visible():
        page.locator("#toggle-nav-sidebar").click()
    if page.locator("#preview-html").count():
        page.locator("#preview-html").click()
    page.wait_for_timeout(1_000)


def shot(page: Page, picture: Picture) -> bytes:
    width, _height = picture.size
    top = 0.0
    if picture.part:
        box = page.locator(picture.part).bounding_box()
        top = page.evaluate("scrollY") + (box["y"] if box else 0) - 12
    whole = page.evaluate("document.documentElement.scrollHeight")
    clip = {"x": 0, "y": top, "width": width, "height": min(whole - top, picture.height)}
    return page.screenshot(full_page=True, clip=clip, animations="disabled")


def small(png: bytes) -> bytes:
    """Return the picture with as many colours as are left in a file that is small enough."""
    image, colours = Image.open(io.BytesIO(png)).convert("RGB"), COLOURS
    while True:
        target = io.BytesIO()
        image.quantize(colours, dither=Image.Dither.NONE).save(target, "PNG", optimize=True)
        if target.tell() <= MOST_BYTES or colours <= 16:
            return target.getvalue()
        colours //= 2


# --- the processes ----------------------------------------------------------------------------


@contextmanager
def command(*arguments: str) -> Iterator[None]:
    """Run a management command of the shop as long as the block lasts."""
    process = subprocess.Popen([sys.executable, str(ROOT / "demo" / "manage.py"), *arguments])
    try:
        yield
    finally:
        process.terminate()
        process.wait()


@contextmanager
def serving() -> Iterator[str]:
    """Serve the shop. Yields where it is."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    site = f"http://127.0.0.1:{port}"
    with command("runserver", "--noreload", "--verbosity=0", f"127.0.0.1:{port}"):
        deadline = time.monotonic() + SECONDS_TO_START
        while True:
            try:
                urllib.request.urlopen(f"{site}/admin/login/").close()
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
            else:
                break
        yield site


if __name__ == "__main__":
    main()
