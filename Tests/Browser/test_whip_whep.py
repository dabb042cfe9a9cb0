"""aiortc publishes by WHIP, another aiortc and a browser watch: frames arrive, and they are the frames that were sent."""

import array
import asyncio
import json
import urllib.request

import pytest

from meeting import Person, wait_until
from whip import TONE_HZ, ask, bar_position, frequency_of, publish, track_of, watch


async def receive_video(session, count, seconds):
    """The positions of the bar in so many decoded frames that show it."""
    track = track_of(session, "video")
    positions = []

    async def collect():
        while len(positions) < count:
            position = bar_position(await track.recv())
            if position is not None:
                positions.append(position)

    try:
        await asyncio.wait_for(collect(), seconds)
    except asyncio.TimeoutError:
        pass
    assert len(positions) >= count, f"only {len(positions)} of {count} frames with the bar came within {seconds} s"
    return positions


async def receive_audio(session, seconds_wanted, seconds):
    """Decoded sound of one channel, after the first half second, in which the decoder settles."""
    track = track_of(session, "audio")
    samples = array.array("h")

    async def collect():
        while len(samples) < (0.5 + seconds_wanted) * 48_000:
            frame = await track.recv()
            channels = len(frame.layout.channels)
            samples.extend(array.array("h", bytes(frame.planes[0])[:frame.samples * channels * 2])[::channels])

    await asyncio.wait_for(collect(), seconds)
    return samples[24_000:]


@pytest.mark.parametrize("codec", ["VP8", "H264"])
def test_what_is_published_by_whip_is_watched_by_whep(server, room, codec):
    async def scenario():
        publisher = await publish(server, room, codec)
        viewer = await watch(server, room, codec)
        try:
            positions, samples = await asyncio.gather(receive_video(viewer, 40, 30), receive_audio(viewer, 1, 30))
        finally:
            ended = await viewer.end()
            await publisher.end()
        assert ended.status == 200
        return positions, samples

    positions, samples = asyncio.run(scenario())
    steps = [after - before for before, after in zip(positions, positions[1:])]
    forward = sum(1 for step in steps if 0 < step <= 40)
    print(f"{codec}: the bar moved on in {forward} of {len(steps)} steps")
    assert forward >= 0.7 * len(steps), f"the bar does not move as it was sent: {positions}"
    loudest = max(abs(sample) for sample in samples)
    frequency = frequency_of(samples)
    print(f"{codec}: a tone of {frequency:.0f} Hz, amplitude {loudest}")
    assert loudest > 2000
    assert abs(frequency - TONE_HZ) < 30


def participants(server, room):
    """The ids of everybody in the room by name, as somebody who joins for a moment is told."""
    joined = ask("POST", f"{server.url}/rooms/{room}/participants", '{"name": "Eve"}', {"Content-Type": "application/json"})
    token = json.loads(joined.body)["token"]
    with urllib.request.urlopen(f"{server.url}{joined.headers['Location']}/events?token={token}", timeout=10) as stream:
        data = next(line for line in stream if line.startswith(b"data: "))
    ask("DELETE", server.url + joined.headers["Location"], headers={"Authorization": f"Bearer {token}"})
    return {one["name"]: one["id"] for one in json.loads(data.removeprefix(b"data: "))["participants"]}


def test_one_participant_can_be_watched_among_several(server, room):
    heights = {"Tall": 240, "Low": 120}

    async def height_of(name, identifier):
        viewer = await watch(server, room, "VP8", participant=identifier)
        frame = await asyncio.wait_for(track_of(viewer, "video").recv(), 20)
        await viewer.end()
        return frame.height

    async def scenario():
        publishers = [await publish(server, room, "VP8", name=name, height=height) for name, height in heights.items()]
        identifiers = await asyncio.to_thread(participants, server, room)
        seen = {name: await height_of(name, identifiers[name]) for name in heights}
        unknown = await asyncio.to_thread(
            ask, "POST", f"{server.url}/rooms/{room}/whep?participant=nobody", "v=0\r\n", {"Content-Type": "application/sdp"}
        )
        for publisher in publishers:
            await publisher.end()
        return seen, unknown

    seen, unknown = asyncio.run(scenario())
    assert seen == heights
    assert unknown.status == 404


def test_a_browser_sees_who_publishes_by_whip(server, room, chromium):
    ada = Person(chromium(), server, room, "Ada").join()

    async def scenario():
        publisher = await publish(server, room, "VP8")
        try:
            await asyncio.to_thread(ada.wait_for_pictures, ["Aio"])
            await asyncio.to_thread(
                wait_until, lambda: ((ada.stats().get("Aio") or {}).get("audio") or {}).get("totalAudioEnergy", 0) > 0, 10, "Ada hears the tone"
            )
        finally:
            await publisher.end()
        await asyncio.to_thread(ada.wait_for_others, [])

    asyncio.run(scenario())
