"""The server under test, and the impairer that stands between it and a client."""

import itertools
import json
import os
import re

from processes import Child, free_udp_port, free_udp_ports


class Server:
    """enfilade-meet on free loopback ports."""

    _numbers = itertools.count(1)
    # Every meeting is spread over both, so that each test sees media cross from one to the other.
    _shards = 2

    def __init__(self, *arguments, over_tcp=False, host="127.0.0.1"):
        self._host = host
        # Where paths are made worse on purpose, nobody shall find another one.
        self._arguments = arguments if over_tcp else ("--no-tcp", *arguments)
        self._start()

    def _start(self):
        self.udp_ports = free_udp_ports(self._shards)
        self.child = Child(
            f"enfilade-meet-{next(self._numbers)}",
            [
                os.environ["ENFILADE_MEET"], "--host", self._host, "--http-port", "0", "--udp-port", str(self.udp_ports[0]),
                "--shards", str(self._shards), "--room-spread", "0", "--log-level", "info", *self._arguments,
            ],
        )
        found = self.child.wait_for(lambda output: re.search(r"https?://localhost:\d+", output), 20, "link")
        self.url = found.group(0)

    @property
    def is_running(self):
        return self.child.process.poll() is None

    @property
    def last_words(self):
        """What there is to read about a crash: from its first line on, or else the end of the output."""
        output = self.child.output
        crash = re.search(r"^(Fatal|.*Program crashed|.*crashed:)", output, re.MULTILINE)
        return output[crash.start():][:3000] if crash else output[-3000:]

    def ensure_running(self):
        """Starts another server if the last test ended this one."""
        if not self.is_running:
            self.child.kill()
            self._start()

    def stop(self):
        """Ends the server as an operator would."""
        if not self.is_running:
            return  # The test in which that happened has failed.
        code = self.child.terminate()
        assert code == 0, f"enfilade-meet did not end well on SIGTERM: exit code {code}.\n{self.last_words}"


class Impairer:
    """Carries datagrams between ports of its own and the server's, one for each, and loses some of them both ways."""

    def __init__(self, server, loss, ports=None, delay_milliseconds=0, address="127.0.0.1"):
        self._address = address
        # Which port of ours stands for which of the server's.
        self.ports = ports or {port: free_udp_port() for port in server.udp_ports}
        self.children = [
            Child(
                f"enfilade-impair-{own}",
                [
                    os.environ["ENFILADE_IMPAIR"], "--listen", f"{address}:{own}", "--to", f"{address}:{theirs}",
                    "--loss", str(loss), "--delay-ms", str(delay_milliseconds), "--seconds", "170",
                ],
            )
            for theirs, own in self.ports.items()
        ]

    @property
    def script(self):
        """Makes a page talk to the impairer: the answer's candidates become the impairer's address."""
        return """
          (() => {
            const ports = PORTS;
            const apply = RTCPeerConnection.prototype.setRemoteDescription;
            RTCPeerConnection.prototype.setRemoteDescription = function (description) {
              let isFirst = true;
              const lines = description.sdp.split('\\r\\n').flatMap((line) => {
                if (!line.startsWith('a=candidate:')) {
                  if (line.startsWith('m=')) isFirst = true;
                  return [line];
                }
                if (!isFirst) return [];
                isFirst = false;
                return [`a=candidate:1 1 udp 2130706431 ADDRESS ${ports[line.split(' ')[5]]} typ host`];
              });
              return apply.call(this, { type: description.type, sdp: lines.join('\\r\\n') });
            };
          })();
        """.replace("ADDRESS", self._address).replace("PORTS", json.dumps({str(theirs): own for theirs, own in self.ports.items()}))

    def stop(self):
        """Ends the impairers; they then tell, in their logs, what they lost."""
        for child in self.children:
            child.terminate(3)
