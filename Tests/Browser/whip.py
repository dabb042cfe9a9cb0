"""A WHIP and WHEP client on aiortc: an implementation of WebRTC that nobody here wrote."""

import array
import asyncio
import fractions
import math
import time
import urllib.error
import urllib.request

import aioice.ice
from aiortc import AudioStreamTrack, RTCConfiguration, RTCPeerConnection, RTCRtpReceiver, RTCSessionDescription, VideoStreamTrack
from av import AudioFrame, VideoFrame

# aioice leaves loopback out; here it is the one address that every machine has.
aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: ["127.0.0.1"] if use_ipv4 else []

WIDTH, HEIGHT = 320, 240
TONE_HZ = 440
SAMPLE_RATE = 48_000


class MovingBar(VideoStreamTrack):
    """A bright bar that moves by eight pixels a frame over a dark ground."""

    def __init__(self, height=HEIGHT):
        super().__init__()
        self._height = height
        self._count = 0

    async def recv(self):
        pts, time_base = await self.next_timestamp()
        frame = VideoFrame(WIDTH, self._height, "yuv420p")
        for index, plane in enumerate(frame.planes):
            stride, height = plane.line_size, plane.height
            if index == 0:
                start = self._count * 8 % (WIDTH - 40)
                row = bytearray(b"\x20" * stride)
                row[start:start + 40] = b"\xe0" * 40
                plane.update(bytes(row) * height)
            else:
                plane.update(bytes([180 if index == 1 else 90]) * (stride * height))
        self._count += 1
        frame.pts, frame.time_base = pts, time_base
        return frame


class Tone(AudioStreamTrack):
    """A sine of 440 Hz."""

    def __init__(self):
        super().__init__()
        self._started = None
        self._samples = 0

    async def recv(self):
        if self._started is None:
            self._started = time.time()
        else:
            await asyncio.sleep(max(0, self._started + self._samples / SAMPLE_RATE - time.time()))
        frame = AudioFrame(format="s16", layout="mono", samples=960)
        wave = (int(12_000 * math.sin(2 * math.pi * TONE_HZ * (self._samples + index) / SAMPLE_RATE)) for index in range(960))
        frame.planes[0].update(array.array("h", wave).tobytes())
        frame.pts, frame.sample_rate, frame.time_base = self._samples, SAMPLE_RATE, fractions.Fraction(1, SAMPLE_RATE)
        self._samples += 960
        return frame


class Response:
    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def text(self):
        return self.body.decode()


def ask(method, url, body=None, headers=None):
    """One HTTP request; every status is an answer."""
    request = urllib.request.Request(url, data=body.encode() if isinstance(body, str) else body, headers=headers or {}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=15) as response:
            return Response(response.status, response.headers, response.read())
    except urllib.error.HTTPError as error:
        return Response(error.code, error.headers, error.read())


class Session:
    """One WHIP or WHEP session."""

    def __init__(self, server, connection, answer):
        self.connection = connection
        self.url = server.url + answer.headers["Location"]
        self.entity_tag = answer.headers["ETag"]

    async def end(self):
        response = await asyncio.to_thread(ask, "DELETE", self.url)
        await self.connection.close()
        return response


async def _start(server, connection, path):
    await connection.setLocalDescription(await connection.createOffer())
    answer = await asyncio.to_thread(
        ask, "POST", server.url + path, connection.localDescription.sdp, {"Content-Type": "application/sdp"}
    )
    assert answer.status == 201, f"POST {path}: {answer.status} {answer.text}"
    await connection.setRemoteDescription(RTCSessionDescription(answer.text, "answer"))
    return Session(server, connection, answer)


def _prefer(transceiver, codec):
    """Offers one video codec and its retransmissions."""
    capabilities = RTCRtpReceiver.getCapabilities("video").codecs
    wanted = [one for one in capabilities if one.mimeType.lower() in (f"video/{codec}".lower(), "video/rtx")]
    transceiver.setCodecPreferences(wanted)


async def publish(server, room, codec, name="Aio", height=HEIGHT):
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    connection.addTransceiver(Tone(), direction="sendonly")
    _prefer(connection.addTransceiver(MovingBar(height), direction="sendonly"), codec)
    return await _start(server, connection, f"/rooms/{room}/whip?name={name}")


async def watch(server, room, codec, participant=None):
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    connection.addTransceiver("audio", direction="recvonly")
    _prefer(connection.addTransceiver("video", direction="recvonly"), codec)
    query = f"?participant={participant}" if participant else ""
    return await _start(server, connection, f"/rooms/{room}/whep{query}")


def track_of(session, kind):
    return next(one.receiver.track for one in session.connection.getTransceivers() if one.kind == kind)


def bar_position(frame):
    """Where the bright bar begins in the middle row, or None if there is none."""
    plane = frame.planes[0]
    scale = frame.width / WIDTH
    row = bytes(plane)[frame.height // 2 * plane.line_size:][:frame.width]
    bright = [index for index, value in enumerate(row) if value > 128]
    return bright[0] / scale if len(bright) > 20 * scale else None


def frequency_of(samples):
    """The frequency of a tone, by counting how often it rises through zero."""
    crossings = sum(1 for before, after in zip(samples, samples[1:]) if before < 0 <= after)
    return crossings * SAMPLE_RATE / len(samples)
