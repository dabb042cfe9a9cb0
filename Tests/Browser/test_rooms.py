"""The rules of rooms, as people meet them: the door, the host, what is written, what is shown, and what nobody but them can see."""

import json
import signal
import ssl
import subprocess
import time
import urllib.request

from meeting import Person, expect_at_most, wait_until
from server import Server
from whip import ask


def request(server, method, path, body=None, headers=None):
    return ask(method, f"{server.url}{path}", body, headers or {})


def text_of(person, identifier):
    return person.browser.evaluate(f"document.getElementById({json.dumps(identifier)}).textContent")


def view(person):
    return person.browser.evaluate("document.body.dataset.view")


def switch(person, identifier, is_on):
    """Turns one of the host's switches, and waits until the server has said so."""
    person.browser.evaluate(
        f"void (() => {{ const box = document.getElementById({json.dumps(identifier)}); if (box.checked !== {json.dumps(is_on)}) box.click(); }})()"
    )


def press(person, selector):
    person.browser.evaluate(f"void document.querySelector({json.dumps(selector)}).click()")


def knock(browser, server, room, name, fragment=""):
    """Somebody presses Join, and does not wait to be let in."""
    person = Person(browser, server, room, name, fragment=fragment)
    person.open()
    person.browser.evaluate(f"void (document.getElementById('join-name').value = {json.dumps(name)})")
    person.click("join")
    return person


def wait_for_problem(person, wanted):
    wait_until(lambda: wanted in text_of(person, "join-problem"), 10, lambda: f"the page says {text_of(person, 'join-problem')!r}, not {wanted!r}")


def people(person):
    return person.browser.evaluate("[...document.querySelectorAll('#people-list .person-name')].map((element) => element.firstChild.textContent)")


def test_who_opens_a_room_decides_who_comes_in(server, room, chromium):
    ada = Person(chromium(), server, room, "Ada").join()
    ada.click("people")
    switch(ada, "rule-lobby", True)
    wait_until(lambda: ada.browser.evaluate("window.enfilade.rules.lobby"), 5, "the room has a lobby")

    other = chromium()
    bela = knock(other, server, room, "Bela")
    wait_until(lambda: view(bela) == "waiting", 10, "Bela is told that he waits")
    wait_until(lambda: ada.browser.evaluate("document.querySelector('#waiting-list .person-name')?.textContent") == "Bela", 5, "Ada sees who waits")
    press(ada, "#waiting-list .deny")
    wait_for_problem(bela, "did not let you in")

    bela.click("join")
    wait_until(lambda: ada.browser.evaluate("document.querySelector('#waiting-list .admit') !== null"), 10, "Bela knocks again")
    started = time.monotonic()
    press(ada, "#waiting-list .admit")
    wait_until(lambda: bela.browser.evaluate("window.enfilade?.state") == "live", 15, "Bela is in")
    expect_at_most(time.monotonic() - started, 2, 10, "seconds from being let in to being there")
    ada.wait_for_pictures(["Bela"])
    bela.wait_for_pictures(["Ada"])
    # Who is not the host has none of the host's controls, and the server would not listen.
    bela.click("people")
    assert bela.browser.evaluate("document.getElementById('host-controls').hidden")
    refused = bela.browser.evaluate("window.enfilade.signaling.changeRules({ locked: true }).then(() => null, (error) => error.status)")
    assert refused == 403


def test_removed_is_removed_and_the_door_shuts_behind(server, room, chromium):
    ada = Person(chromium(), server, room, "Ada").join()
    bela = Person(chromium(), server, room, "Bela").join()
    ada.wait_for_pictures(["Bela"])
    ada.click("people")
    wait_until(lambda: people(ada) == ["Ada", "Bela"], 5, lambda: f"Ada sees both: {people(ada)}")
    press(ada, "#people-list .person:nth-child(2) .remove")
    press(ada, "#question-yes")
    started = time.monotonic()
    wait_until(lambda: view(bela) == "left", 10, "Bela is out")
    expect_at_most(time.monotonic() - started, 1, 5, "seconds until who was removed is told")
    assert "removed" in text_of(bela, "left-title")
    ada.wait_for_others([])
    # The room has locked itself.
    wait_until(lambda: ada.browser.evaluate("window.enfilade.rules.locked"), 5, "the room is locked")
    assert not ada.browser.evaluate("document.getElementById('badge-locked').hidden")
    stranger = post(server, f"/rooms/{room}/participants", {"name": "Cleo"})
    assert stranger.status == 423 and "locked" in stranger.text
    # Unlocked, it lets others in, and never again who was removed, whatever name they give.
    switch(ada, "rule-locked", False)
    wait_until(lambda: not ada.browser.evaluate("window.enfilade.rules.locked"), 5, "the room is open")
    assert post(server, f"/rooms/{room}/participants", {"name": "Cleo"}).status == 201
    again = knock(bela.browser, server, room, "Somebody else")
    wait_for_problem(again, "removed")


def test_muted_by_the_host(server, room, chromium):
    ada = Person(chromium(), server, room, "Ada").join()
    bela = Person(chromium(), server, room, "Bela").join()
    ada.wait_for_pictures(["Bela"])
    bela.wait_for_pictures(["Ada"])
    ada.click("people")
    wait_until(lambda: ada.browser.evaluate("document.querySelector('#people-list .mute') !== null"), 10, "Ada can mute Bela")
    press(ada, "#people-list .mute")
    wait_until(lambda: bela.browser.evaluate("document.getElementById('microphone').getAttribute('aria-pressed')") == "false", 5, "Bela's microphone is off")
    # He may speak again when he wants to.
    bela.click("microphone")
    wait_until(
        lambda: ada.browser.evaluate("document.querySelector('.tile[data-self=\"no\"] .muted').hasAttribute('hidden')"), 5, "Ada sees that Bela speaks again"
    )
    time.sleep(0.5)
    before = ada.stats()["Bela"]["audio"]["packetsReceived"]
    wait_until(lambda: ada.stats()["Bela"]["audio"]["packetsReceived"] > before, 5, "Bela is sent to Ada again")
    ada.click("mute-all")
    wait_until(lambda: bela.browser.evaluate("document.getElementById('microphone').getAttribute('aria-pressed')") == "false", 5, "everybody is muted")


def test_hands_and_messages(server, room, chromium):
    ada = Person(chromium(), server, room, "Ada").join()
    bela = Person(chromium(), server, room, "Bela").join()
    ada.wait_for_pictures(["Bela"])
    bela.click("hand")
    wait_until(lambda: ada.tile_of("Bela")["hasHand"], 5, "Ada sees Bela's hand")
    bela.click("hand")
    wait_until(lambda: not ada.tile_of("Bela")["hasHand"], 5, "and that it is down")
    bela.click("chat")
    words = "Is <b>this</b> on?"
    bela.browser.evaluate(f"void (document.getElementById('chat-text').value = {json.dumps(words)}, document.querySelector('#chat-form button').click())")
    wait_until(lambda: not ada.browser.evaluate("document.getElementById('chat-dot').hidden"), 5, "Ada is told that there is something to read")
    ada.click("chat")
    shown = wait_until(lambda: ada.browser.evaluate("document.querySelector('#chat-list .message-text')?.textContent"), 5, "Ada reads it")
    assert shown == words
    assert ada.browser.evaluate("document.getElementById('chat-dot').hidden")


def test_a_screen_is_shown_large_and_goes(server, room, chromium):
    ada = Person(chromium(), server, room, "Ada").join()
    bela = Person(chromium(), server, room, "Bela").join()
    ada.wait_for_pictures(["Bela"])
    bela.browser.evaluate("void document.dispatchEvent(new KeyboardEvent('keydown', { key: 's', bubbles: true }))")
    screen = wait_until(
        lambda: next((tile for tile in ada.tiles() if tile["isScreen"] and tile["hasPicture"]), None), 20, lambda: f"Ada sees the screen: {ada.tiles()}"
    )
    assert screen["width"] * screen["height"] > 4 * ada.tile_of("Bela")["width"] * ada.tile_of("Bela")["height"]
    assert not bela.browser.evaluate("document.getElementById('sharing').hidden")
    bela.click("stop-sharing")
    wait_until(lambda: not any(tile["isScreen"] for tile in ada.tiles()), 10, "the screen is gone")
    # And again, over the same line.
    bela.click("share")
    wait_until(lambda: any(tile["isScreen"] and tile["hasPicture"] for tile in ada.tiles()), 20, lambda: f"Ada sees the screen again: {ada.tiles()}")


def test_encrypted_from_end_to_end(server, room, chromium):
    """Who has the key sees the picture; who has the link without it sees nothing, as the server does."""
    key = "#key=AAECAwQFBgcICQoLDA0ODw"
    ada = Person(chromium(), server, room, "Ada", fragment=key).join()
    bela = Person(chromium(), server, room, "Bela", fragment=key).join()
    ada.wait_for_pictures(["Bela"])
    bela.wait_for_pictures(["Ada"])
    difference = bela.picture_difference("Ada")
    assert difference["difference"] > 0.05 and difference["brightness"] > 8, difference
    assert not bela.browser.evaluate("document.getElementById('badge-e2ee').hidden")
    described = json.loads(request(server, "GET", "/debug/rooms").text)
    [this] = [one for one in described if one["room"] == room]
    published = [publication for one in this["participants"] for publication in one["participant"]["publications"]]
    assert len(published) == 4 and all(publication["encrypted"] for publication in published), published
    # The key never went to the server.
    assert "AAECAwQFBgcICQoLDA0ODw" not in server.child.output and "AAECAwQFBgcICQoLDA0ODw" not in json.dumps(described)

    bela.leave()
    ada.wait_for_others([])
    other = Person(bela.browser, server, room, "Cleo", fragment="#key=AAAAAAAAAAAAAAAAAAAAAA").join()
    wait_until(lambda: (other.stats().get("Ada") or {}).get("video") and other.stats()["Ada"]["video"]["packetsReceived"] > 30, 15, lambda: f"Cleo is sent frames: {other.stats()}")
    tile = other.tile_of("Ada")
    assert not tile["hasPicture"] and tile["reason"] == "Encrypted with another key", tile
    assert (other.stats()["Ada"]["video"].get("framesDecoded") or 0) == 0


def post(server, path, value, token=None, method="POST"):
    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}
    return request(server, method, path, json.dumps(value), headers)


def test_invitations_say_as_what_and_until_when(server, room, chromium):
    made = post(server, "/rooms", {"room": room, "requiresHost": True, "capacity": 2})
    assert made.status == 201, made
    link = json.loads(made.text)["link"]
    fragment = link[link.index("#"):]
    other = chromium()
    early = knock(other, server, room, "Bela")
    wait_until(lambda: view(early) == "waiting", 10, "nobody comes in before the host")

    ada = Person(chromium(), server, room, "Ada", fragment=fragment).join()
    ada.click("people")
    assert not ada.browser.evaluate("document.getElementById('host-controls').hidden")
    wait_until(lambda: early.browser.evaluate("window.enfilade?.state") == "live", 15, "the host's coming opens the door")
    ada.wait_for_pictures(["Bela"])
    full = post(server, f"/rooms/{room}/participants", {"name": "Cleo"})
    assert full.status == 503 and "full" in full.text

    token = ada.browser.evaluate("window.enfilade.signaling.token")
    personal = json.loads(post(server, f"/rooms/{room}/invites", {"personal": True, "lifetime": 1}, token).text)
    time.sleep(1.2)
    expired = post(server, f"/rooms/{room}/participants", {"name": "Dora", "invite": personal["invite"]})
    assert expired.status == 403 and "expired" in expired.text, expired
    revoked = json.loads(post(server, f"/rooms/{room}/invites", {"role": "viewer"}, token).text)
    assert request(server, "DELETE", f"/rooms/{room}/invites/{revoked['id']}", headers={"Authorization": f"Bearer {token}"}).status == 204
    refused = post(server, f"/rooms/{room}/participants", {"name": "Dora", "invite": revoked["invite"]})
    assert refused.status == 403 and "withdrawn" in refused.text, refused
    forged = post(server, f"/rooms/{room}/participants", {"name": "Dora", "invite": revoked["invite"][:-4] + "AAAA"})
    assert forged.status == 403 and "genuine" in forged.text, forged
    elsewhere = post(server, f"/rooms/{room}-b/participants", {"name": "Dora", "invite": fragment.removeprefix("#invite=")})
    assert elsewhere.status == 403 and "another room" in elsewhere.text, elsewhere
    # Ending it ends it for all.
    ada.click("end-meeting")
    press(ada, "#question-yes")
    wait_until(lambda: view(early) == "left", 10, "Bela's page says that it is over")
    assert "over" in text_of(early, "left-title")


def test_the_host_leaves_and_the_room_locks(server, room, chromium):
    made = post(server, "/rooms", {"room": room, "hostDeparture": "lock"})
    link = json.loads(made.text)["link"]
    ada = Person(chromium(), server, room, "Ada", fragment=link[link.index("#"):]).join()
    bela = Person(chromium(), server, room, "Bela").join()
    ada.wait_for_pictures(["Bela"])
    ada.leave()
    wait_until(lambda: bela.browser.evaluate("window.enfilade.rules.locked"), 5, "the room locks itself")
    late = post(server, f"/rooms/{room}/participants", {"name": "Cleo"})
    assert late.status == 423 and "locked" in late.text


def test_a_room_ends_when_its_time_is_over(server, room, chromium):
    made = post(server, "/rooms", {"room": room, "lifetime": 12})
    assert made.status == 201, made.text
    started = time.monotonic()
    link = json.loads(made.text)["link"]
    ada = Person(chromium(), server, room, "Ada", fragment=link[link.index("#"):]).join()
    bela = Person(chromium(), server, room, "Bela").join()
    ada.wait_for_pictures(["Bela"])
    for person in (ada, bela):
        wait_until(lambda: view(person) == "left", 20, f"{person.name}'s page says that it is over")
        assert "over" in text_of(person, "left-title")
    lasted = time.monotonic() - started
    print(f"a room of 12 s ended after {lasted:.1f} s")
    assert 11.5 <= lasted <= 20
    # The link has run out with the room.
    late = post(server, f"/rooms/{room}/participants", {"name": "Cleo", "invite": link[link.index("#"):].removeprefix("#invite=")})
    assert late.status == 403 and "expired" in late.text, late.text


def test_a_full_room_says_so_and_takes_the_next_when_somebody_goes(server, room, chromium):
    made = post(server, "/rooms", {"room": room, "capacity": 2})
    link = json.loads(made.text)["link"]
    ada = Person(chromium(), server, room, "Ada", fragment=link[link.index("#"):]).join()
    bela = Person(chromium(), server, room, "Bela").join()
    ada.wait_for_pictures(["Bela"])
    cleo = knock(chromium(), server, room, "Cleo")
    wait_for_problem(cleo, "full")
    assert ada.others() == ["Bela"]
    bela.leave()
    ada.wait_for_others([])
    cleo.click("join")
    wait_until(lambda: cleo.browser.evaluate("window.enfilade?.state") == "live", 20, "Cleo is in")
    ada.wait_for_pictures(["Cleo"])


def test_what_operators_look_at(server, room, chromium):
    Person(chromium(), server, room, "Ada").join()
    health = request(server, "GET", "/health")
    assert health.status == 200 and json.loads(health.text) == {"status": "ok"}
    metrics = request(server, "GET", "/metrics")
    assert metrics.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    lines = metrics.text.splitlines()
    assert 'enfilade_meet_participants{connection="connected"} 1' in lines, metrics.text
    names = {line.split()[2] for line in lines if line.startswith("# TYPE")}
    assert all(line.startswith("#") or line.split("{")[0].split()[0] in names for line in lines)


def test_why_a_picture_is_as_it_is_stands_in_the_debug_resource(server, room, chromium):
    ada = Person(chromium(), server, room, "Ada").join()
    bela = Person(chromium(), server, room, "Bela").join()
    ada.wait_for_pictures(["Bela"])
    bela.wait_for_pictures(["Ada"])

    def pictures():
        views = json.loads(request(server, "GET", "/debug/rooms").text)
        people = next(view for view in views if view["room"] == room)["participants"]
        return {person["participant"]["name"]: person["pictures"] for person in people}

    wait_until(lambda: all([picture["decision"] for picture in shown] == ["forwarding"] for shown in pictures().values()), 10, lambda: pictures())
    # Until a probe has shown what the link carries, there is less.
    wait_until(
        lambda: {picture["reason"] for shown in pictures().values() for picture in shown} <= {"best", "constraint"}, 10, lambda: pictures())


def test_a_server_that_is_told_to_stop_tells_who_is_there(chromium):
    server = Server("--drain-seconds", "30")
    try:
        ada = Person(chromium(), server, "last", "Ada").join()
        server.child.process.send_signal(signal.SIGTERM)
        wait_until(lambda: "about to stop" in text_of(ada, "toast"), 5, "Ada is told")
        assert request(server, "GET", "/health").status == 503
        late = post(server, "/rooms/last/participants", {"name": "Bela"})
        assert late.status == 503 and "Retry-After" in late.headers
        assert ada.browser.evaluate("window.enfilade.state") == "live", "the meeting goes on"
        started = time.monotonic()
        ada.leave()
        assert server.child.process.wait(15) == 0
        print(f"stopped {time.monotonic() - started:.1f} s after the last had left")
    finally:
        server.stop()


def test_a_deadline_ends_the_waiting():
    server = Server("--drain-seconds", "1")
    try:
        assert post(server, "/rooms/last/participants", {"name": "Ada"}).status == 201
        started = time.monotonic()
        assert server.child.terminate(15) == 0
        expect_at_most(time.monotonic() - started, 3, 8, "seconds until a server stops in which somebody stays, with a deadline of one")
    finally:
        server.stop()


def test_served_by_https(tmp_path):
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )
    server = Server("--tls-certificate", str(certificate), "--tls-key", str(key))
    try:
        assert server.url.startswith("https://")
        with urllib.request.urlopen(f"{server.url}/", context=ssl.create_default_context(cafile=certificate), timeout=10) as response:
            assert response.status == 200
            assert response.headers["Strict-Transport-Security"].startswith("max-age=")
            assert response.headers["Content-Security-Policy"].startswith("default-src 'self'")
            assert response.headers["Referrer-Policy"] == "no-referrer"
    finally:
        server.stop()


def test_over_ipv6_alone(server, room, chromium):
    browser = chromium()
    browser.inject(
        """
        (() => {
          const apply = RTCPeerConnection.prototype.setRemoteDescription;
          RTCPeerConnection.prototype.setRemoteDescription = function ({ type, sdp }) {
            const lines = sdp.split('\\r\\n').filter((line) => !line.startsWith('a=candidate:') || line.split(' ')[4].includes(':'));
            return apply.call(this, { type, sdp: lines.join('\\r\\n') });
          };
        })();
        """
    )
    ada = Person(chromium(), server, room, "Ada").join()
    bela = Person(browser, server, room, "Bela").join()
    bela.wait_for_pictures(["Ada"])
    ada.wait_for_pictures(["Bela"])
    address = browser.evaluate(
        "(async () => { const report = await window.enfilade.peerConnection.getStats();"
        " const pair = [...report.values()].find((stat) => stat.type === 'candidate-pair' && stat.nominated && stat.state === 'succeeded');"
        " return report.get(pair.remoteCandidateId).address; })()"
    )
    assert ":" in address, f"the path leads to {address}"
