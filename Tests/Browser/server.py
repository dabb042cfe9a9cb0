"""The server under test, and the impairer that stands between it and a client."""

import itertools
import os
import re

from processes import Child, free_udp_port


class Server:
    """enfilade-meet on free loopback ports."""

    _numbers = itertools.count(1)

    def __init__(self):
        self._start()

    def _start(self):
        self.udp_port = free_udp_port()
        self.child = Child(
            f"enfilade-meet-{next(self._numbers)}",
            [os.environ["ENFILADE_MEET"], "--host", "127.0.0.1", "--http-port", "0", "--udp-port", str(self.udp_port), "--log-level", "info"],
        )
        found = self.child.wait_for(lambda output: re.search(r"http://localhost:(\d+)", output), 20, "link")
        self.url = f"http://localhost:{found.group(1)}"

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
    """Carries datagrams between its own port and the server's, and loses some of them both ways."""

    def __init__(self, server, loss, port=None):
        self.port = port or free_udp_port()
        self.child = Child(
            f"enfilade-impair-{self.port}",
            [
                os.environ["ENFILADE_IMPAIR"], "--listen", f"127.0.0.1:{self.port}", "--to", f"127.0.0.1:{server.udp_port}",
                "--loss", str(loss), "--seconds", "170",
            ],
        )

    @property
    def script(self):
        """Makes a page talk to the impairer: the answer's candidates become the impairer's address."""
        return """
          (() => {
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
                return ['a=candidate:1 1 udp 2130706431 127.0.0.1 PORT typ host'];
              });
              return apply.call(this, { type: description.type, sdp: lines.join('\\r\\n') });
            };
          })();
        """.replace("PORT", str(self.port))

    def stop(self):
        """Ends the impairer; it then tells, in its log, what it lost."""
        self.child.terminate(3)
