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


def test_tiles_fill_the_area_for_every_number_of_people(server, chromium):
    browser = chromium()
    browser.open(f"{server.url}/")
    for width, height in ((1252, 640), (1800, 900), (374, 700), (800, 360)):
        shares = browser.evaluate(
            f"""import('/page/stage.js').then(({{ arrange }}) => Array.from({{ length: 16 }}, (_, index) => {{
              const {{ columns, rows, width, height }} = arrange(index + 1, {width}, {height});
              return {{ count: index + 1, columns, rows, width, height, shape: width / height,
                fits: columns * width + (columns - 1) * 10 <= {width} && rows * height + (rows - 1) * 10 <= {height},
                share: (index + 1) * width * height / ({width} * {height}) }};
            }}))"""
        )
        for one in shares:
            assert one["fits"], one
            assert one["columns"] * one["rows"] >= one["count"], one
            assert 0.7 < one["shape"] < 1.8, one
        print(f"{width}x{height}: the least share of the area that tiles fill is {min(one['share'] for one in shares):.2f}")
        assert min(one["share"] for one in shares) > 0.5
