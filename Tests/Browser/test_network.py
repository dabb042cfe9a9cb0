"""What people meet whose network is not as it should be: TCP alone, or nothing at all for a while."""

import time

from meeting import Person, expect_at_most, wait_until
from server import Server

# The answer, without the candidates over UDP: as behind a firewall that lets none of it through.
WITHOUT_UDP = """
(() => {
  const apply = RTCPeerConnection.prototype.setRemoteDescription;
  RTCPeerConnection.prototype.setRemoteDescription = function ({ type, sdp }) {
    const lines = sdp.split('\\r\\n').filter((line) => !/^a=candidate:\\S+ \\d+ udp /i.test(line));
    return apply.call(this, { type, sdp: lines.join('\\r\\n') });
  };
})();
"""

PATH = """
(async () => {
  const report = await window.enfilade.peerConnection.getStats();
  const pair = [...report.values()].find((stat) => stat.type === 'candidate-pair' && stat.nominated && stat.state === 'succeeded');
  if (!pair) return null;
  const { protocol, tcpType, address } = report.get(pair.remoteCandidateId);
  return { protocol, tcpType, address, bytesReceived: pair.bytesReceived };
})()
"""


def test_tcp_alone(chromium):
    server = Server(over_tcp=True)
    try:
        ada = Person(chromium(), server, "tcp", "Ada").join()
        browser = chromium()
        browser.inject(WITHOUT_UDP)
        bela = Person(browser, server, "tcp", "Bela").join()
        ada.wait_for_pictures(["Bela"])
        bela.wait_for_pictures(["Ada"])
        path = browser.evaluate(PATH)
        print(f"Bela's path: {path}")
        assert path["protocol"] == "tcp", path
        # Who may choose takes UDP.
        assert ada.browser.evaluate(PATH)["protocol"] == "udp"
        time.sleep(5)
        for person, other in ((ada, "Bela"), (bela, "Ada")):
            video = person.stats()[other]["video"]
            print(f"{person.name}: {video['framesDecoded']} frames, {video['packetsLost']} packets lost, {video['freezeCount']} freezes")
            assert video["framesDecoded"] > 50 and video["packetsLost"] == 0, video
            difference = person.picture_difference(other)
            assert difference["difference"] > 0.05 and difference["brightness"] > 8, difference
        # A TCP connection of a browser that went away ends with it.
        bela.leave()
        ada.wait_for_others([])
    finally:
        server.stop()


def test_ten_seconds_without_a_network(impairer, server, room, chromium):
    """Neither the server's datagrams nor its answers reach Bela for ten seconds; nobody presses anything."""
    link = impairer(0)
    ada = Person(chromium(), server, room, "Ada").join()
    browser = chromium()
    browser.inject(link.script)
    bela = Person(browser, server, room, "Bela").join()
    ada.wait_for_pictures(["Bela"])
    bela.wait_for_pictures(["Ada"])
    link.stop()
    browser.set_offline(True)
    time.sleep(2)
    stood_still = bela.stats()["Ada"]["video"]["framesDecoded"]
    time.sleep(8)
    assert bela.stats()["Ada"]["video"]["framesDecoded"] == stood_still, "there was a network all the time"
    impairer(0, ports=link.ports)
    browser.set_offline(False)
    started = time.monotonic()
    wait_until(lambda: (bela.stats().get("Ada") or {}).get("video", {}).get("framesDecoded", 0) != stood_still, 30, "Bela sees Ada again")
    expect_at_most(time.monotonic() - started, 3, 20, "seconds from the network's return to a picture")
    wait_until(lambda: browser.evaluate("window.enfilade.state") == "live", 20, "Bela's page knows that it is back")
    ada.wait_for_pictures(["Bela"])
    bela.wait_for_pictures(["Ada"])
    before = ada.stats()["Bela"]["video"]["framesDecoded"]
    wait_until(lambda: ada.stats()["Bela"]["video"]["framesDecoded"] > before + 10, 15, "Ada sees Bela move")
    # It is the same Bela, and nobody's ghost is left.
    assert ada.others() == ["Bela"] and bela.others() == ["Ada"]
