"""Listening only: everybody but oneself as one sound, without pictures, chosen before joining or while in the meeting."""

import json
import time

from meeting import Person, expect_at_most, wait_until
from test_rooms import text_of
from test_screenshots import DESKTOP, PHONE, expect_no_overflow, shoot

#: Hertz: no one of them is a multiple of another, nor the sum or the difference of two others.
TONES = {"Ada": 500, "Bela": 730, "Cleo": 1130}

#: The microphone becomes a tone; 0 is a microphone in a silent room.
MICROPHONE = """
(() => {
  const capture = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  const tone = () => {
    const context = new AudioContext({ sampleRate: 48000 });
    const [source, gain, end] = [context.createOscillator(), context.createGain(), context.createMediaStreamDestination()];
    source.frequency.value = FREQUENCY || 440;
    gain.gain.value = FREQUENCY ? 0.2 : 0;
    source.connect(gain).connect(end);
    source.start();
    return end.stream.getAudioTracks()[0];
  };
  navigator.mediaDevices.getUserMedia = async ({ audio, video }) => new MediaStream([
    ...(video ? (await capture({ video })).getVideoTracks() : []), ...(audio ? [tone()] : []),
  ]);
})()
"""

#: What a person hears, all of it together. Tracks that come later are heard, too; two thirds of a second are kept to the sample.
EAR = """
void (() => {
  const context = new AudioContext({ sampleRate: 48000 });
  const analyser = new AnalyserNode(context, { fftSize: 32768, smoothingTimeConstant: 0 });
  const hold = new GainNode(context);
  hold.connect(analyser).connect(context.destination);
  const heard = new Set();
  const listen = () => {
    for (const { track } of window.enfilade.peerConnection.getReceivers()) {
      if (track.kind !== 'audio' || heard.has(track.id)) continue;
      heard.add(track.id);
      context.createMediaStreamSource(new MediaStream([track])).connect(hold);
    }
  };
  listen();
  setInterval(listen, 20);
  /** The strongest of a tone's bins, in decibels of full scale. */
  const level = (frequency) => {
    const bins = new Float32Array(analyser.frequencyBinCount);
    analyser.getFloatFrequencyData(bins);
    const middle = Math.round(frequency * analyser.fftSize / context.sampleRate);
    return Math.max(-200, ...bins.slice(middle - 3, middle + 4));
  };
  /** Power in steps of 5 ms, each over 10 ms. */
  const powers = () => {
    const samples = new Float32Array(analyser.fftSize);
    analyser.getFloatTimeDomainData(samples);
    const result = [];
    for (let start = 0; start + 480 <= samples.length; start += 240) {
      result.push(samples.subarray(start, start + 480).reduce((sum, sample) => sum + sample * sample, 0) / 480);
    }
    return result;
  };
  const middleOf = (values) => values.toSorted((one, other) => one - other)[values.length >> 1];
  /** The longest time below a tenth of `usual` power, in milliseconds. */
  const longestSilence = (steps, usual) => {
    let [longest, current] = [0, 0];
    for (const power of steps) {
      current = power < usual / 10 ? current + 1 : 0;
      longest = Math.max(longest, current);
    }
    // One step stands for 10 ms, each further one for 5 ms more.
    return longest === 0 ? 0 : 5 + 5 * longest;
  };
  window.ear = {
    levels: (tones) => Object.fromEntries(Object.entries(tones).map(([name, frequency]) => [name, level(frequency)])),
    /** The longest silence in the two seconds from a click on. The windows overlap, so no silence is cut in two unseen. */
    silenceFrom: async (identifier, deaf = 0) => {
      const usual = middleOf(powers());
      let longest = 0;
      if (identifier) document.getElementById(identifier).click();
      if (deaf > 0) {
        hold.gain.setValueAtTime(0, context.currentTime + 0.05);
        hold.gain.setValueAtTime(1, context.currentTime + 0.05 + deaf / 1000);
      }
      for (let look = 0; look < 14; look += 1) {
        await new Promise((resolve) => setTimeout(resolve, 150));
        longest = Math.max(longest, longestSilence(powers(), usual));
      }
      return { longest, usual: 10 * Math.log10(usual) };
    },
  };
})()
"""

#: What comes in, by kind: bytes of all streams.
BYTES = """
(async () => {
  const bytes = { audio: 0, video: 0 };
  for (const stat of (await window.enfilade.peerConnection.getStats()).values())
    if (stat.type === 'inbound-rtp') bytes[stat.kind] += stat.bytesReceived + stat.headerBytesReceived;
  return bytes;
})()
"""

#: Tones are sent at −17 dB; what the codec adds where nothing is heard is more than 40 dB below what is found of them.
PRESENT, ABSENT = -40, -70


def levels(person):
    return person.browser.evaluate(f"window.ear.levels({json.dumps(TONES)})")


def expect_tones(person, names):
    """Exactly these are heard, for a while."""
    seen = {}

    def heard():
        seen.update(levels(person))
        return all((seen[name] > PRESENT) if name in names else (seen[name] < ABSENT) for name in TONES)

    try:
        wait_until(heard, 15, lambda: f"{person.name} hears exactly {names}: {seen}")
    finally:
        print(f"{person.name} hears, in dB: " + ", ".join(f"{name} {level:.0f}" for name, level in seen.items()))


def kilobits(person, seconds=4):
    before = person.browser.evaluate(BYTES)
    time.sleep(seconds)
    after = person.browser.evaluate(BYTES)
    return {kind: (after[kind] - before[kind]) * 8 / 1000 / seconds for kind in before}


def speaker(browser, server, room, name, has_camera=False):
    browser.inject(MICROPHONE.replace("FREQUENCY", str(TONES.get(name, 0))))
    person = Person(browser, server, room, name, capture="320x180@15").join(has_camera=has_camera)
    browser.evaluate(EAR)
    return person


def listens_only(person):
    return person.browser.evaluate("window.enfilade.listensOnly")


def test_everybody_but_oneself_as_one_sound(server, room, chromium):
    ada = speaker(chromium(), server, room, "Ada", has_camera=True)
    speaker(chromium(), server, room, "Bela")
    cleo = speaker(chromium(), server, room, "Cleo")
    cleo.wait_for_pictures(["Ada"])
    expect_tones(cleo, ["Ada", "Bela"])
    expect_tones(ada, ["Bela", "Cleo"])
    print(f"Cleo, each by itself, kbit/s: {kilobits(cleo)}")

    # An ear that is closed for 120 ms says so.
    deaf = cleo.browser.evaluate("window.ear.silenceFrom(null, 120)")
    print(f"a silence of 120 ms that the test makes is measured as {deaf['longest']} ms")
    assert 100 <= deaf["longest"] <= 160, deaf
    still = cleo.browser.evaluate("window.ear.silenceFrom(null)")
    there = cleo.browser.evaluate("window.ear.silenceFrom('listen-only')")
    wait_until(lambda: listens_only(cleo), 5, "Cleo only listens")
    wait_until(lambda: (cleo.tile_of("Ada") or {}).get("reason") == "Pictures are off", 5, "the reason for no picture")
    # Who only listens is silent, until the microphone is turned on.
    assert cleo.browser.evaluate("document.getElementById('microphone').getAttribute('aria-pressed')") == "false"
    cleo.click("microphone")
    expect_tones(ada, ["Bela", "Cleo"])
    expect_tones(cleo, ["Ada", "Bela"])
    rate = kilobits(cleo)
    print(f"Cleo, listening only, kbit/s: {rate}")
    assert rate["video"] < 1, "pictures come to who only listens"
    assert 5 < rate["audio"] < 70, rate

    cleo.browser.resize(*DESKTOP)
    assert not cleo.browser.evaluate("document.getElementById('listening').hidden")
    shoot(cleo.browser, "listening-only")
    shoot(cleo.browser, "listening-only-phone-dark", PHONE, dark=True)
    expect_no_overflow(cleo.browser)
    cleo.browser.resize(*DESKTOP)

    back = cleo.browser.evaluate("window.ear.silenceFrom('stop-listening')")
    wait_until(lambda: not listens_only(cleo), 5, "Cleo sees again")
    cleo.wait_for_pictures(["Ada"])
    expect_tones(cleo, ["Ada", "Bela"])
    print(f"longest silence, ms: {still['longest']} without a change, {there['longest']} to one sound, {back['longest']} back")
    expect_at_most(there["longest"], 60, 180, "ms of silence when turning to one sound")
    expect_at_most(back["longest"], 60, 180, "ms of silence when turning back")


def test_listening_is_chosen_before_joining(server, room, chromium):
    ada = speaker(chromium(), server, room, "Ada", has_camera=True)
    speaker(chromium(), server, room, "Bela")
    browser = chromium()
    browser.inject(MICROPHONE.replace("FREQUENCY", "0"))
    dora = Person(browser, server, room, "Dora", capture="320x180@15")
    dora.open()
    wait_until(lambda: not browser.evaluate("window.enfilade.isOpening"), 20, "the devices are asked for")
    dora.click("lobby-listen")
    browser.evaluate("void (document.getElementById('join-name').value = 'Dora')")
    wait_until(lambda: browser.evaluate("document.getElementById('lobby-camera').getAttribute('aria-pressed')") == "false", 5, "the camera is off")
    shoot(browser, "lobby-listening-phone", PHONE)
    expect_no_overflow(browser)
    browser.resize(*DESKTOP)
    shoot(browser, "lobby-listening")
    dora.click("join")
    wait_until(lambda: browser.evaluate("window.enfilade.state") == "live", 30, "Dora is in the meeting")
    browser.evaluate(EAR)
    expect_tones(dora, ["Ada", "Bela"])
    rate = kilobits(dora)
    print(f"Dora, listening only from the start, kbit/s: {rate}")
    assert rate["video"] < 1 and 5 < rate["audio"] < 70, rate
    assert ada.tile_of("Dora")["reason"] == "Camera off"
    # Somebody who comes later is in the same sound, and no offer is needed for that.
    speaker(chromium(), server, room, "Cleo")
    expect_tones(dora, ["Ada", "Bela", "Cleo"])
    receivers = "window.enfilade.peerConnection.getTransceivers().filter(({ direction }) => direction === 'recvonly').length"
    assert browser.evaluate(receivers) == 1
    dora.click("stop-listening")
    dora.wait_for_pictures(["Ada"])
    expect_tones(dora, ["Ada", "Bela", "Cleo"])


def test_what_cannot_be_heard_cannot_be_mixed(server, room, chromium):
    key = "#key=" + "A" * 22
    ada = Person(chromium(), server, room, "Ada", fragment=key).join(has_camera=False)
    bela = Person(chromium(), server, room, "Bela", fragment=key)
    bela.open()
    assert bela.browser.evaluate("document.getElementById('lobby-listen').disabled")
    assert "encrypted from end to end" in text_of(bela, "lobby-listen-words")
    ada.click("listen-only")
    wait_until(lambda: "encrypted from end to end" in text_of(ada, "toast"), 5, lambda: f"the page says {text_of(ada, 'toast')!r}")
    assert not listens_only(ada)
    # The server does not take the page's word for it.
    refused = ada.browser.evaluate("window.enfilade.signaling.setAudio('mixed').then(() => null, (error) => ({ status: error.status, words: error.message }))")
    assert refused and refused["status"] == 409 and "encrypted from end to end" in refused["words"], refused
