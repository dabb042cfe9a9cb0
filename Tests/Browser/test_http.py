"""What the server answers to requests that are wrong, as the RFCs want it."""

import asyncio
import http.client
import json

import pytest
from aiortc import RTCPeerConnection

from whip import MovingBar, Tone, ask

SDP = {"Content-Type": "application/sdp"}
FRAGMENT = {"Content-Type": "application/trickle-ice-sdpfrag"}
JSON = {"Content-Type": "application/json"}

RESTART = "a=ice-ufrag:nEw1\r\na=ice-pwd:0123456789abcdefghijkl\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n"
CANDIDATE = (
    "a=ice-ufrag:abcd\r\na=ice-pwd:0123456789abcdefghijkl\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n"
    "a=candidate:1 1 udp 2130706431 127.0.0.1 9 typ host\r\na=end-of-candidates\r\n"
)


@pytest.fixture(scope="module")
def offer():
    """An offer to publish sound and picture."""

    async def make():
        connection = RTCPeerConnection()
        connection.addTransceiver(Tone(), direction="sendonly")
        connection.addTransceiver(MovingBar(), direction="sendonly")
        sdp = (await connection.createOffer()).sdp
        await connection.close()
        return sdp

    return asyncio.run(make())


def expect_problem(response, status):
    """A problem document (RFC 9457) with this status and words in it."""
    assert response.status == status, f"{response.status} {response.text}, expected was {status}"
    assert response.headers["Content-Type"] == "application/problem+json"
    problem = json.loads(response.body)
    assert problem["status"] == status
    assert len(problem["detail"]) > 10
    return response


@pytest.fixture
def session(server, room, offer):
    """A WHIP session."""
    response = ask("POST", f"{server.url}/rooms/{room}/whip", offer, SDP)
    assert response.status == 201, response.text
    assert response.headers["Content-Type"] == "application/sdp"
    assert response.text.startswith("v=0\r\n")
    return server.url + response.headers["Location"], response.headers["ETag"]


@pytest.mark.parametrize("path", ["whip", "whep"])
def test_an_endpoint_says_what_it_takes(server, room, path):
    options = ask("OPTIONS", f"{server.url}/rooms/{room}/{path}")
    assert options.status in (200, 204)
    assert options.headers["Accept-Post"] == "application/sdp"
    assert options.headers["Access-Control-Allow-Origin"] == "*"
    assert "POST" in options.headers["Access-Control-Allow-Methods"]
    for method in ("GET", "PUT", "DELETE", "PATCH"):
        refused = expect_problem(ask(method, f"{server.url}/rooms/{room}/{path}"), 405)
        assert refused.headers["Allow"] == "POST, OPTIONS"


def test_an_offer_must_be_sdp_and_of_bounded_size(server, room, offer):
    url = f"{server.url}/rooms/{room}/whip"
    expect_problem(ask("POST", url, offer, {"Content-Type": "text/plain"}), 415)
    expect_problem(ask("POST", url, offer, JSON), 415)
    expect_problem(ask("POST", url, "", SDP), 400)
    expect_problem(ask("POST", url, "this is no session description", SDP), 400)
    expect_problem(ask("POST", url, "v=0\r\nthis is no session description\r\n", SDP), 400)
    expect_problem(ask("POST", url, b"v=0\r\n\xff\xfe", SDP), 400)
    expect_problem(ask("POST", url, b"v=0\r\n" + b"a" * 270_000, SDP), 413)
    assert ask("POST", url, offer, {"Content-Type": "Application/SDP; charset=utf-8"}).status == 201


def test_nobody_is_left_in_the_room_by_an_offer_that_was_refused(server, room):
    ask("POST", f"{server.url}/rooms/{room}/whip", "v=0\r\nnonsense\r\n", SDP)
    assert json.loads(ask("GET", f"{server.url}/rooms/{room}").body)["participants"] == 0


def test_watching_needs_a_room(server, room, offer):
    expect_problem(ask("POST", f"{server.url}/rooms/{room}-which-is-not/whep", offer, SDP), 404)
    expect_problem(ask("POST", f"{server.url}/rooms/a%20b/whip", offer, SDP), 404)


def test_a_session_ends_once(session):
    url, _ = session
    assert ask("DELETE", url).status == 200
    expect_problem(ask("DELETE", url), 404)
    expect_problem(ask("PATCH", url, CANDIDATE, {**FRAGMENT, "If-Match": '"1"'}), 404)


def test_a_session_cannot_be_guessed(session):
    url, _ = session
    expect_problem(ask("DELETE", url[:-1] + ("0" if url[-1] != "0" else "1")), 404)
    assert len(url.rsplit("/", 1)[1]) >= 32


def test_candidates_trickle_under_the_entity_tag(session):
    url, tag = session
    assert ask("PATCH", url, CANDIDATE, {**FRAGMENT, "If-Match": tag}).status == 204
    expect_problem(ask("PATCH", url, CANDIDATE, FRAGMENT), 428)
    expect_problem(ask("PATCH", url, CANDIDATE, {**FRAGMENT, "If-Match": '"another"'}), 412)
    expect_problem(ask("PATCH", url, CANDIDATE, {**SDP, "If-Match": tag}), 415)
    expect_problem(ask("PATCH", url, "no fragment", {**FRAGMENT, "If-Match": tag}), 400)
    for method in ("GET", "POST", "PUT"):
        expect_problem(ask(method, url), 405)


def test_ice_restarts_and_gets_another_entity_tag(session):
    url, tag = session
    restarted = ask("PATCH", url, RESTART, {**FRAGMENT, "If-Match": "*"})
    assert restarted.status == 200, restarted.text
    assert restarted.headers["Content-Type"] == "application/trickle-ice-sdpfrag"
    assert restarted.headers["ETag"] not in (None, tag)
    assert "a=ice-ufrag:" in restarted.text and "a=ice-pwd:" in restarted.text
    expect_problem(ask("PATCH", url, CANDIDATE, {**FRAGMENT, "If-Match": tag}), 412)
    assert ask("PATCH", url, CANDIDATE, {**FRAGMENT, "If-Match": restarted.headers["ETag"]}).status == 204
    expect_problem(ask("PATCH", url, "no fragment", {**FRAGMENT, "If-Match": "*"}), 400)


def test_a_participant_needs_a_name_and_then_the_token(server, room):
    url = f"{server.url}/rooms/{room}/participants"
    expect_problem(ask("POST", url, '{"name": "Ada"}', {"Content-Type": "text/plain"}), 415)
    expect_problem(ask("POST", url, "not JSON", JSON), 400)
    expect_problem(ask("POST", url, '{"name": "   "}', JSON), 422)
    expect_problem(ask("POST", url, json.dumps({"name": "x" * 65}), JSON), 422)
    joined = ask("POST", url, '{"name": "Ada"}', JSON)
    assert joined.status == 201
    own = server.url + joined.headers["Location"]
    expect_problem(ask("DELETE", own), 401)
    expect_problem(ask("DELETE", own, headers={"Authorization": "Bearer 0123456789abcdef0123456789abcdef"}), 401)
    expect_problem(ask("POST", f"{own}/offer", "v=0\r\n", SDP), 401)
    token = json.loads(joined.body)["token"]
    expect_problem(ask("POST", f"{own}/offer", "nonsense", {**SDP, "Authorization": f"Bearer {token}"}), 400)
    assert ask("DELETE", own, headers={"Authorization": f"Bearer {token}"}).status == 204
    expect_problem(ask("DELETE", own, headers={"Authorization": f"Bearer {token}"}), 404)


def test_the_page_loads_nothing_from_elsewhere(server):
    page = ask("GET", f"{server.url}/r/standup")
    assert page.status == 200
    assert page.headers["Content-Security-Policy"].startswith("default-src 'self'")
    assert "https://" not in page.text and "http://" not in page.text.replace("http://www.w3.org/", "")
    assert ask("GET", f"{server.url}/page/../../Package.swift").status == 404
    assert ask("GET", f"{server.url}/r/not%20a%20name").status == 404


class Events:
    """An event stream, read line by line."""

    def __init__(self, server, path, last_event_id=None):
        host = server.url.removeprefix("http://")
        self._connection = http.client.HTTPConnection(host, timeout=20)
        headers = {"Last-Event-ID": last_event_id} if last_event_id else {}
        self._connection.request("GET", path, headers=headers)
        self._response = self._connection.getresponse()
        assert self._response.status == 200
        assert self._response.headers["Content-Type"] == "text/event-stream"

    def next(self):
        """The next event: `(id, name, data)`; None at the end of the stream."""
        fields = {}
        while line := self._response.readline().decode():
            line = line.rstrip("\n")
            if line == "" and "event" in fields:
                return fields.get("id"), fields["event"], json.loads(fields["data"])
            key, _, value = line.partition(": ")
            if key:
                fields[key] = value
        return None

    def close(self):
        self._connection.close()


def test_events_begin_with_the_room_and_go_on_where_they_broke_off(server, room):
    url = f"{server.url}/rooms/{room}/participants"

    def join(name):
        response = ask("POST", url, json.dumps({"name": name}), JSON)
        return response.headers["Location"], json.loads(response.body)

    path, ada = join("Ada")
    stream = f"{path}/events?token={ada['token']}"
    events = Events(server, stream)
    identifier, name, snapshot = events.next()
    assert name == "snapshot"
    assert snapshot["id"] == ada["id"]
    assert [one["name"] for one in snapshot["participants"]] == ["Ada"]
    events.close()

    # What happens meanwhile is told to who comes back with the last id, and to nobody twice.
    bela_path, bela = join("Bela")
    ask("PATCH", server.url + bela_path, '{"camera": false}', {**JSON, "Authorization": f"Bearer {bela['token']}"})
    events = Events(server, stream, last_event_id=identifier)
    joined, changed = events.next(), events.next()
    assert (joined[1], joined[2]["name"]) == ("participant-joined", "Bela")
    assert (changed[1], changed[2]["camera"]) == ("participant-changed", False)
    events.close()

    # An id from elsewhere is no place in this room's journal.
    events = Events(server, stream, last_event_id="of-another-life")
    assert events.next()[1] == "snapshot"

    # Who is out of the room is told so, and the stream ends.
    assert ask("DELETE", server.url + path, headers={"Authorization": f"Bearer {ada['token']}"}).status == 204
    assert events.next()[1] == "goodbye"
    assert events.next() is None
    expect_problem(ask("GET", server.url + stream), 404)
