"""One browser in one meeting: what a person does there, what is on the screen, and what comes in."""

import json
import math
import os
import time


def wait_until(predicate, seconds, what, interval=0.1):
    """The predicate's first true result. Fails with what was last seen."""
    deadline = time.monotonic() + seconds
    seen = None
    while True:
        seen = predicate()
        if seen:
            return seen
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what() if callable(what) else what}")
        time.sleep(interval)


def is_machine_busy():
    """Whether so much else runs here that times mean little."""
    return os.getloadavg()[0] > 3 * (os.cpu_count() or 1)


def expect_at_least(value, wanted, least, what):
    """Holds a measurement against what it should be; on a busy machine a third of that is enough."""
    print(f"{what}: {value:.1f} (wanted: at least {wanted})")
    bound = least if is_machine_busy() else wanted
    assert value >= bound, f"{what}: {value:.1f}, at least {bound} was expected"


def expect_at_most(value, wanted, most, what):
    print(f"{what}: {value:.1f} (wanted: at most {wanted})")
    assert value <= most, f"{what}: {value:.1f}, at most {most} was expected"


class Person:
    """Somebody in a meeting."""

    def __init__(self, browser, server, room, name, capture="640x360@30", fragment="", url=None):
        self.browser = browser
        self.name = name
        self._url = f"{url or server.url}/r/{room}?capture={capture}{fragment}"

    # What a person does

    def open(self):
        # Where only the fragment differs, a browser would not load the page again.
        self.browser.open("about:blank")
        self.browser.open(self._url)
        wait_until(lambda: self.browser.evaluate("document.body.dataset.view") == "lobby", 20, f"{self.name} sees the lobby")
        return self

    def join(self, seconds=30, has_camera=True):
        self.open()
        self.browser.evaluate(f"void (document.getElementById('join-name').value = {json.dumps(self.name)})")
        if not has_camera:
            wait_until(lambda: not self.browser.evaluate("window.enfilade.isOpening"), 20, f"{self.name}'s devices are asked for")
            self.click("lobby-camera")
            self.click("join")
            wait_until(lambda: self.browser.evaluate("window.enfilade.state") == "live", seconds, self._describe_failure("is in the meeting"))
            return self
        wait_until(
            lambda: self.browser.evaluate("document.getElementById('preview-tile').dataset.picture") == "yes",
            20, f"{self.name} sees the preview of the own camera",
        )
        self.click("join")
        wait_until(lambda: self.browser.evaluate("window.enfilade.state") == "live", seconds, self._describe_failure("is in the meeting"))
        return self

    def _describe_failure(self, wanted):
        def describe():
            state = self.browser.evaluate(
                "({ state: window.enfilade?.state, problem: document.getElementById('join-problem').textContent,"
                " connection: window.enfilade?.peerConnection?.connectionState, ice: window.enfilade?.peerConnection?.iceConnectionState,"
                " tiles: window.enfilade?.tiles() })"
            )
            return f"{self.name} {wanted}; the page says {json.dumps(state)}"

        return describe

    def click(self, identifier):
        self.browser.evaluate(f"void document.getElementById({json.dumps(identifier)}).click()")

    def leave(self):
        self.click("leave")

    # What is on the screen

    def tiles(self):
        return self.browser.evaluate("window.enfilade.tiles()")

    def tile_of(self, name):
        return next((tile for tile in self.tiles() if not tile["isSelf"] and tile["name"] == name), None)

    def others(self):
        return sorted(tile["name"] for tile in self.tiles() if not tile["isSelf"])

    def wait_for_pictures(self, names, seconds=30):
        """Until there is a moving picture of each of them."""
        for name in names:
            wait_until(
                lambda: (self.tile_of(name) or {}).get("hasPicture"), seconds, self._describe_failure(f"sees a picture of {name}")
            )

    def wait_for_others(self, names, seconds=10):
        wait_until(lambda: self.others() == sorted(names), seconds, self._describe_failure(f"sees the tiles of exactly {sorted(names)}"))

    def timeline(self):
        return self.browser.evaluate("window.enfilade.timeline")

    def picture_difference(self, name, apart_ms=400):
        """How much the picture of somebody changes in a moment, and how bright it is: two means over all pixels, 0 to 255."""
        identifier = self.tile_of(name)["id"]
        return self.browser.evaluate(
            """
            (async () => {
              const video = document.querySelector(`.tile[data-id="ID"] video`);
              const canvas = new OffscreenCanvas(64, 36);
              const context = canvas.getContext('2d', { willReadFrequently: true });
              const look = () => { context.drawImage(video, 0, 0, 64, 36); return context.getImageData(0, 0, 64, 36).data; };
              const before = look();
              await new Promise((resolve) => setTimeout(resolve, APART));
              const after = look();
              let difference = 0, brightness = 0;
              for (let index = 0; index < after.length; index += 4)
                for (let channel = 0; channel < 3; channel += 1) {
                  difference += Math.abs(after[index + channel] - before[index + channel]);
                  brightness += after[index + channel];
                }
              return { difference: difference / (64 * 36 * 3), brightness: brightness / (64 * 36 * 3) };
            })()
            """.replace("ID", identifier).replace("APART", str(apart_ms))
        )

    # What comes in

    def stats(self):
        """By name: the inbound statistics of video and audio."""
        return {entry["name"]: entry for entry in self.browser.evaluate("window.enfilade.stats()")}


class Reception:
    """What somebody received from one other person during a while."""

    def __init__(self, before, after, seconds, longest_still):
        video_before, video_after = before.get("video") or {}, after.get("video") or {}
        audio_before, audio_after = before.get("audio") or {}, after.get("audio") or {}

        def grown(old, new, key):
            return (new.get(key) or 0) - (old.get(key) or 0)

        self.frames_per_second = grown(video_before, video_after, "framesDecoded") / seconds
        self.freezes = grown(video_before, video_after, "freezeCount")
        self.frozen_seconds = grown(video_before, video_after, "totalFreezesDuration")
        self.packets_lost = grown(video_before, video_after, "packetsLost")
        self.packets_retransmitted = grown(video_before, video_after, "retransmittedPacketsReceived")
        self.nacks = grown(video_before, video_after, "nackCount")
        #: Root mean square over the whole while, 0 to 1. (`audioLevel` is of one moment, and the fake microphone beeps once a second.)
        self.audio_level = math.sqrt(
            grown(audio_before, audio_after, "totalAudioEnergy") / max(0.1, grown(audio_before, audio_after, "totalSamplesDuration"))
        )
        self.size = (video_after.get("frameWidth"), video_after.get("frameHeight"))
        self.codec = video_after.get("codecId")
        #: The longest time, in seconds, in which no new frame was decoded, as far as looking twice a second can tell.
        self.longest_still = longest_still

    def __str__(self):
        width, height = self.size
        return (
            f"{self.frames_per_second:.1f} frames/s at {width}x{height}, {self.freezes} freezes of {self.frozen_seconds:.2f} s in all, "
            f"longest still {self.longest_still:.1f} s, {self.packets_lost} packets lost, {self.packets_retransmitted} came again, "
            f"{self.nacks} NACKs; audio level {self.audio_level:.3f}"
        )


def measure(people, seconds):
    """Watches what everybody receives: `{ (watcher, watched): Reception }`."""
    started = time.monotonic()
    before, starts = {}, {}
    for person in people:
        before[person.name] = person.stats()
        starts[person.name] = time.monotonic()
    frames, moved, still = {}, {}, {}
    latest = before
    ends = starts
    while time.monotonic() - started < seconds:
        time.sleep(0.4)
        latest, ends = {}, {}
        for person in people:
            latest[person.name] = person.stats()
            now = ends[person.name] = time.monotonic()
            for other, entry in latest[person.name].items():
                key = (person.name, other)
                count = (entry["video"] or {}).get("framesDecoded") or 0
                if count != frames.get(key):
                    frames[key], moved[key] = count, now
                still[key] = max(still.get(key, 0), now - moved[key])
    return {
        (name, other): Reception(
            before[name].get(other, {}), entry, ends[name] - starts[name], still.get((name, other), 0)
        )
        for name, entries in latest.items()
        for other, entry in entries.items()
    }


def print_receptions(receptions):
    for (watcher, watched), reception in sorted(receptions.items()):
        print(f"{watcher} receives {watched}: {reception}")
