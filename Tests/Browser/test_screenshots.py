"""Pictures of the page, for somebody to look at."""

import os
import time
from pathlib import Path

from meeting import Person, wait_until
from test_rooms import post

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
    cleo.click("hand")
    wait_until(lambda: (ada.tile_of("Béla Bartók") or {}).get("reason") == "Camera off", 5, "the reason for no picture")
    shoot(browser, "meeting-of-3-camera-off")
    shoot(browser, "meeting-of-3-camera-off-phone-dark", PHONE, dark=True)

    browser.resize(*DESKTOP)
    ada.click("people")
    post(server, f"/rooms/{room}", {"lobby": True}, ada.browser.evaluate("window.enfilade.signaling.token"), method="PATCH")
    assert post(server, f"/rooms/{room}/participants", {"name": "Dora Maar"}).status == 202
    wait_until(lambda: ada.browser.evaluate("document.querySelector('#waiting-list .admit') !== null"), 5, "Ada sees who waits")
    shoot(browser, "people")
    shoot(browser, "people-dark", dark=True)
    shoot(browser, "people-phone", PHONE)
    expect_no_overflow(browser)

    browser.resize(*DESKTOP)
    for person, words in ((cleo, "Can you all see my screen?"), (ada, "Yes, and hear you."), (bela, "Now we can.")):
        assert person.browser.evaluate(f"window.enfilade.signaling.post({words!r}).then(() => true)")
    ada.click("chat")
    shoot(browser, "chat")
    ada.click("panel-close")
    ada.click("statistics")
    cleo.click("share")
    wait_until(lambda: any(tile["isScreen"] and tile["hasPicture"] for tile in ada.tiles()), 20, "Cleo's screen")
    time.sleep(1)
    shoot(browser, "screen-and-statistics")
    ada.click("statistics")
    shoot(browser, "screen-phone", PHONE)
    expect_no_overflow(browser)
    cleo.click("stop-sharing")
    browser.resize(*DESKTOP)
    wait_until(lambda: not any(tile["isScreen"] for tile in ada.tiles()), 10, "the screen goes")
    ada.click("view")
    shoot(browser, "speaker")
    shoot(browser, "speaker-dark", dark=True)
    ada.click("view")

    post(server, f"/rooms/{room}", {"lobby": False}, ada.browser.evaluate("window.enfilade.signaling.token"), method="PATCH")
    names = ["Erik Satie", "Fanny Hensel", "Grete Hermann", "Hedy Lamarr", "Ida Noddack", "Jutta Cords", "Kurt Weill", "Lise Meitner", "Max Born", "Niels Bohr",
             "Olga Taussky", "Paul Klee", "Rosa Parks"]
    for name in names:
        assert post(server, f"/rooms/{room}/participants", {"name": name}).status == 201
    wait_until(lambda: len(ada.tiles()) >= 16, 10, "sixteen people")
    shoot(browser, "meeting-of-16")
    shoot(browser, "meeting-of-16-dark", dark=True)
    shoot(browser, "meeting-of-16-phone", PHONE)
    expect_no_overflow(browser)
    assert not browser.evaluate("document.getElementById('page-next').hidden"), "sixteen people do not fit on a phone at once"
    shown = {tile["id"] for tile in ada.tiles() if tile["isShown"]}
    ada.click("page-next")
    assert not shown & {tile["id"] for tile in ada.tiles() if tile["isShown"] and not tile["isSelf"]}, "another page shows others"
    browser.resize(*DESKTOP)
    browser.evaluate("void document.getElementById('more').click()")
    shoot(browser, "menu")
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
