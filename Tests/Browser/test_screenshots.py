"""Pictures of the page, for somebody to look at."""

import os
import time
from pathlib import Path

from meeting import Person, wait_until

FOLDER = Path(os.environ["ENFILADE_SCREENSHOTS"])
DESKTOP = (1280, 800)
PHONE = (390, 844)


def shoot(browser, name, size=DESKTOP, dark=False):
    browser.resize(*size)
    browser.set_dark(dark)
    time.sleep(0.6)
    browser.screenshot(FOLDER / f"{name}.png")
    assert (FOLDER / f"{name}.png").stat().st_size > 4000


def expect_no_overflow(browser):
    """Nothing sticks out of the window."""
    assert browser.evaluate("document.documentElement.scrollWidth <= innerWidth"), "the page is wider than the window"


def test_the_page_is_seen(server, room, chromium):
    browser = chromium()
    browser.open(f"{server.url}/")
    wait_until(lambda: browser.evaluate("document.body.dataset.view") == "landing", 10, "the landing page")
    shoot(browser, "landing")
    shoot(browser, "landing-dark", dark=True)
    shoot(browser, "landing-phone", PHONE)
    expect_no_overflow(browser)

    ada = Person(browser, server, room, "Ada Lovelace")
    ada.open()
    browser.resize(*DESKTOP)
    time.sleep(1)
    browser.evaluate("void (document.getElementById('join-name').value = 'Ada Lovelace')")
    shoot(browser, "lobby")
    shoot(browser, "lobby-phone-dark", PHONE, dark=True)
    expect_no_overflow(browser)

    browser.resize(*DESKTOP)
    ada.join()
    time.sleep(1)
    shoot(browser, "meeting-of-1")
    shoot(browser, "meeting-of-1-phone", PHONE)

    bela = Person(chromium(), server, room, "Béla Bartók").join()
    ada.wait_for_pictures(["Béla Bartók"])
    shoot(browser, "meeting-of-2")
    cleo = Person(chromium(), server, room, "Cleo").join()
    ada.wait_for_pictures(["Béla Bartók", "Cleo"])
    shoot(browser, "meeting-of-3")
    shoot(browser, "meeting-of-3-dark", dark=True)
    shoot(browser, "meeting-of-3-phone", PHONE)
    expect_no_overflow(browser)

    bela.click("camera")
    cleo.click("microphone")
    wait_until(lambda: (ada.tile_of("Béla Bartók") or {}).get("reason") == "Camera off", 5, "the reason for no picture")
    shoot(browser, "meeting-of-3-camera-off")
    shoot(browser, "meeting-of-3-camera-off-phone-dark", PHONE, dark=True)
    ada.leave()
    shoot(browser, "left")
