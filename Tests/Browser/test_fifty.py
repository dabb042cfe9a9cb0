"""A room of fifty: one browser, and forty-nine from the load client who show real pictures."""

import json
import os
import time

from meeting import Person, expect_at_least, expect_at_most, wait_until
from processes import Child
from recording import record
from test_screenshots import DESKTOP, PHONE, shoot

OTHERS = 49


def visible(person):
    return [tile for tile in person.tiles() if tile["isShown"] and not tile["isSelf"]]


def without_picture(person):
    return [(tile["name"], tile["reason"]) for tile in visible(person) if not tile["hasPicture"]]


def video_of(person, names):
    stats = person.stats()
    return {name: stats[name]["video"] for name in names if stats.get(name, {}).get("video")}


def test_a_room_of_fifty(server, room, chromium, tmp_path):
    browser = chromium()
    browser.open(f"{server.url}/")
    files = record(browser, tmp_path, people=7)
    ada = Person(browser, server, room, "Ada").join()
    browser.resize(*DESKTOP)

    recordings = [argument for file in files for argument in ("--recording", str(file))]
    load = Child(
        "enfilade-load",
        [
            os.environ["ENFILADE_LOAD"], "--url", server.url, "--room", room, "--publishers", "0", "--subscribers", "0", "--members", str(OTHERS),
            "--simulcast", "--seconds", "45", "--warm-up", "5", "--probes", "0", "--json", *recordings,
        ],
    )
    started = time.monotonic()
    wait_until(lambda: len(ada.others()) == OTHERS, 60, lambda: f"everybody is there, not {len(ada.others())}")
    print(f"forty-nine came in within {time.monotonic() - started:.1f} s")
    wait_until(lambda: len(visible(ada)) >= 20 and not without_picture(ada), 30, lambda: f"{len(visible(ada))} tiles, no picture of {without_picture(ada)}")

    # There is a place for each tile that is seen, and for a few voices, as many as were there while the room was small; not for everybody.
    receiving = browser.evaluate(
        "window.enfilade.peerConnection.getTransceivers().filter((one) => one.direction === 'recvonly').map((one) => one.receiver.track.kind)"
    )
    print(f"places: {receiving.count('video')} pictures, {receiving.count('audio')} voices, {len(visible(ada))} tiles")
    assert 3 <= receiving.count("audio") <= 9 and len(visible(ada)) <= receiving.count("video") <= 30

    names = [tile["name"] for tile in visible(ada)]
    before, begin = video_of(ada, names), time.monotonic()
    time.sleep(8)
    after, seconds = video_of(ada, names), time.monotonic() - begin
    # Who was shown all the time: speakers come and others go.
    shown = [name for name in names if name in before and name in after and before[name]["mid"] == after[name]["mid"]]
    rates = sorted((after[name]["framesDecoded"] - before[name]["framesDecoded"]) / seconds for name in shown)
    freezes = sum(after[name]["freezeCount"] - before[name]["freezeCount"] for name in shown)
    frozen = sum(after[name]["totalFreezesDuration"] - before[name]["totalFreezesDuration"] for name in shown)
    sizes = {(after[name]["frameWidth"], after[name]["frameHeight"]) for name in shown}
    print(f"{len(shown)} pictures of {sizes}: {freezes} freezes, {rates[0]:.1f} to {rates[-1]:.1f} frames/s of 15")
    assert len(shown) >= 10
    expect_at_least(rates[len(rates) // 2], 14, 5, "frames/s at the median")
    # A machine that does not come to decoding freezes all of them; nothing of ours may.
    expect_at_most(frozen / len(shown) / seconds * 100, 0.5, 10, "percent of the time that a picture was frozen")

    # Who speaks is seen, and marked.
    wait_until(lambda: any(tile["isSpeaking"] for tile in visible(ada)), 20, "somebody who speaks is marked")
    wait_until(lambda: not without_picture(ada), 20, lambda: f"no picture of {without_picture(ada)}")
    shoot(browser, "meeting-of-50")

    # The other pages are the others.
    seen = set(tile["name"] for tile in visible(ada))
    ada.click("page-next")
    begin = time.monotonic()
    wait_until(lambda: not {tile["name"] for tile in visible(ada)} & seen, 10, "another page")
    wait_until(lambda: not without_picture(ada), 20, lambda: f"no picture of {without_picture(ada)}")
    expect_at_most(time.monotonic() - begin, 1.5, 20, "seconds until every picture of another page is there")
    shoot(browser, "meeting-of-50-next-page")
    ada.click("page-previous")
    shoot(browser, "meeting-of-50-phone", PHONE)
    browser.resize(*DESKTOP)

    assert load.process.wait(90) == 0, load.output[-2000:]
    report = json.loads(load.output[load.output.index("{"):])
    print(f"the load: {report['receivedPacketCount']} packets received, {report['lostPacketCount']} lost, {report['keyframeRequestCount']} key frames asked for")
    assert report["memberCount"] == OTHERS and report["receivedPacketCount"] > 100_000
    expect_at_most(report["lostPacketCount"] / report["receivedPacketCount"] * 100, 0, 1, "percent lost")
    wait_until(lambda: not ada.others(), 15, "they have left")
