"""Whose a freeze is: the machine's, whose stalls both pages measure while they sample their statistics, or ours.

A freeze is the machine's only if, in the 1.5 seconds before it was counted, there is a measure of a stall:

- a timer of the watching or of the publishing page, or its sampling, came 100 ms late or more;
- the encoding that is watched brought no frame for 150 ms or more, though it was active and its bitrate did not limit it;
- packets and frames kept arriving and nothing was decoded for 150 ms or more, and all of what had arrived was decoded afterwards, without a key
  frame, without a request for one, and without a change of size. A frame whose reference is missing is never decoded: that freeze is ours.
"""

BEFORE_A_FREEZE = 1500
LATE_TIMER = 100
NO_FRAME = 150

#: Common to both pages: their moments are of the machine's clock.
CLOCK = """
  window.moment = () => performance.timeOrigin + performance.now();
  window.late = [];
  let last = window.moment();
  setInterval(() => {
    const now = window.moment();
    if (now - last >= 100) window.late.push([last, now]);
    last = now;
  }, 20);
"""

WATCHING = CLOCK + """
  window.samples = [];
  window.sampling = setInterval(async () => {
    const [entry] = await window.enfilade.stats();
    const video = entry?.video;
    if (!video) return;
    const { frameWidth, framesDecoded, keyFramesDecoded, freezeCount, framesDropped, pliCount, nackCount, packetsLost } = video;
    const { packetsReceived, framesReceived, totalFreezesDuration, totalDecodeTime } = video;
    window.samples.push({ at: window.moment(), window: innerWidth,
      frameWidth, framesDecoded, keyFramesDecoded, freezeCount, framesDropped, pliCount, nackCount, packetsLost,
      packetsReceived, framesReceived, totalFreezesDuration, totalDecodeTime });
  }, 25);
"""

PUBLISHING = CLOCK + """
  window.sent = [];
  setInterval(async () => {
    const report = await window.enfilade.peerConnection?.getStats();
    if (!report) return;
    const encodings = [...report.values()].filter((stat) => stat.type === 'outbound-rtp' && stat.kind === 'video').map((stat) => ({
      rid: stat.rid ?? null, framesEncoded: stat.framesEncoded, framesSent: stat.framesSent ?? stat.framesEncoded, isActive: stat.active ?? true,
      limit: stat.qualityLimitationReason ?? null }));
    window.sent.push({ at: window.moment(), encodings });
  }, 25);
"""


def begin(ada, bela):
    ada.browser.evaluate(f"void (() => {{ {PUBLISHING} }})()")
    bela.browser.evaluate(f"void (() => {{ {WATCHING} }})()")


class Stall:
    def __init__(self, start, end, reason, is_timer=False):
        self.start, self.end, self.reason, self.is_timer = start, end, reason, is_timer

    def __str__(self):
        return f"{self.reason} for {self.end - self.start:.0f} ms"


def union(spans):
    """The length of what the spans cover together."""
    total, reached = 0, float("-inf")
    for start, end in sorted(spans):
        total += max(0, end - max(start, reached))
        reached = max(reached, end)
    return total


def standing(samples, value):
    """The spans in which a value did not grow, with the samples of each."""
    first = 0
    for index in range(1, len(samples)):
        if value(samples[index]) != value(samples[index - 1]) or index == len(samples) - 1:
            yield samples[first]["at"], samples[index]["at"], samples[first : index + 1]
            first = index


class Account:
    """All journeys of a run of the tests."""

    lasted = 0
    unjudgeable = 0


class Judge:
    """What both pages measured from one moment to another."""

    def __init__(self, ada, bela, start, end):
        span = f"({start} - {BEFORE_A_FREEZE} <= one && one <= {end} + 1000)"
        self.samples = bela.browser.evaluate(f"window.samples.filter(({{ at: one }}) => {span})")
        self.sent = ada.browser.evaluate(f"window.sent.filter(({{ at: one }}) => {span})")
        self.start, self.end = start, end
        self.stalls = []
        for person, taken in ((bela, self.samples), (ada, self.sent)):
            late = person.browser.evaluate(f"window.late.filter(([, one]) => {span})")
            self.stalls += [Stall(*gap, f"{person.name}'s timer stood still", True) for gap in late]
            self.stalls += [
                Stall(one["at"], next["at"], f"{person.name}'s sampling stood still", True)
                for one, next in zip(taken, taken[1:])
                if next["at"] - one["at"] >= LATE_TIMER
            ]
        self._find_missing_frames()
        self._find_starved_decoder()

    def _is_watched(self, rid, start, end):
        names = {240: "q", 480: "h", 960: "f"}
        widths = {one["frameWidth"] for one in self.samples if start <= one["at"] <= end}
        return bool(widths) and (rid is None or {names.get(width) for width in widths} == {rid})

    def _find_missing_frames(self):
        for rid in {encoding["rid"] for one in self.sent for encoding in one["encodings"]}:
            taken = [{"at": one["at"], **encoding} for one in self.sent for encoding in one["encodings"] if encoding["rid"] == rid]
            for start, end, inside in standing(taken, lambda one: one["framesSent"]):
                if end - start < NO_FRAME or not self._is_watched(rid, start, end):
                    continue
                if all(one["isActive"] and one["limit"] != "bandwidth" for one in inside):
                    self.stalls.append(Stall(start, end, f"encoding {rid or ''} brought no frame"))

    def _find_starved_decoder(self):
        for start, end, inside in standing(self.samples, lambda one: one["framesDecoded"]):
            if end - start < NO_FRAME:
                continue
            arriving = all(
                later - earlier < NO_FRAME + 50
                for key in ("packetsReceived", "framesReceived")
                for earlier, later, _ in standing(inside, lambda one: one.get(key))
            )
            after = [one for one in self.samples if end <= one["at"] <= end + 500]
            before, last = inside[0], (after or inside)[-1]
            same = all((before.get(key) or 0) == (last.get(key) or 0) for key in ("frameWidth", "keyFramesDecoded", "pliCount", "framesDropped"))
            received = (inside[-1].get("framesReceived") or 0) - (before.get("framesReceived") or 0)
            if arriving and same and received > 1 and last["framesDecoded"] - before["framesDecoded"] >= received:
                self.stalls.append(Stall(start, end, f"{received} frames arrived, and the decoder took none"))

    def stalled(self, start, end):
        """Milliseconds between two moments in which a page stood still."""
        timers = [stall for stall in self.stalls if stall.is_timer and stall.end > start and stall.start < end]
        return union((max(stall.start, start), min(stall.end, end)) for stall in timers)

    def judge(self, what):
        """Prints whose each freeze is, and fails with the samples before it if it is ours. Counts the time in which there can be no judgment."""
        whole = self.end - self.start
        stalls = [stall for stall in self.stalls if stall.end > self.start and stall.start < self.end]
        stood = union((max(stall.start, self.start), min(stall.end, self.end)) for stall in stalls)
        excused = union((max(stall.start, self.start), min(stall.end + BEFORE_A_FREEZE, self.end)) for stall in stalls)
        Account.lasted += whole
        Account.unjudgeable += excused
        print(
            f"{what}: of {whole:.0f} ms the machine stood still in {stood:.0f}; in {excused:.0f} a freeze would be laid to it "
            f"(of all journeys so far {100 * Account.unjudgeable / Account.lasted:.0f} %)"
        )
        for earlier, later in zip(self.samples, self.samples[1:]):
            count = (later.get("freezeCount") or 0) - (earlier.get("freezeCount") or 0)
            if count == 0 or not self.start < later["at"] <= self.end:
                continue
            since = later["at"] - BEFORE_A_FREEZE
            reasons = [stall for stall in self.stalls if stall.end >= since and stall.start <= later["at"]]
            lasted = 1000 * ((later.get("totalFreezesDuration") or 0) - (earlier.get("totalFreezesDuration") or 0))
            told = "; ".join(f"{stall}, {later['at'] - stall.end:.0f} ms before" for stall in reasons)
            print(f"{what}: {count} freezes of {lasted:.0f} ms at {later['at'] - self.start:.0f} ms: {told or 'ours'}")
            if not reasons:
                self._print_samples(since, later["at"])
            assert reasons, f"{what}: {count} freezes of {lasted:.0f} ms that no stall of the machine explains"

    def _print_samples(self, since, until):
        for name, taken in (("watched", self.samples), ("sent", self.sent)):
            for one in taken:
                if since <= one["at"] <= until + 200:
                    told = {key: value for key, value in one.items() if key != "at"}
                    print(f"  {name} {one['at'] - self.start:.0f} ms: {told}")


def expect_to_be_judgeable():
    share = Account.unjudgeable / Account.lasted if Account.lasted else 0
    print(f"{100 * share:.1f} % of {Account.lasted / 1000:.1f} s of all journeys cannot be judged (at most 33.3 %)")
    assert share <= 1 / 3, "the machine stood still too often to judge the journeys"
