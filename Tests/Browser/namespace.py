"""A network of its own, joined to this one by a link whose way in is a token bucket (tc-tbf(8)). All of it goes when the test ends."""

import itertools
import os
import subprocess

from processes import Child


def _run(*command):
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=20)


class Namespace:
    """Two ends of a virtual cable: ours, with the bucket, and theirs, alone in its namespace."""

    _numbers = itertools.count(1)
    driver_port = 9515

    def __init__(self, kilobits, queue_milliseconds):
        number = next(self._numbers)
        # 198.18.0.0/15 is for tests (RFC 2544 §C.2.2): four addresses for each, apart from those of a run beside this one.
        block = 4 * (64 * (os.getpid() % 200) + number)
        self.address, self._far = (f"198.18.{block // 256}.{block % 256 + last}" for last in (1, 2))
        self.name = f"enfilade-{os.getpid()}-{number}"
        self._end = f"enf{os.getpid() % 10000}x{number}"
        self._queue = queue_milliseconds
        self._children = []
        _run("ip", "netns", "add", self.name)
        try:
            _run("ip", "link", "add", self._end, "type", "veth", "peer", "name", "eth0", "netns", self.name)
            _run("ip", "address", "add", f"{self.address}/30", "dev", self._end)
            _run("ip", "link", "set", self._end, "up")
            for arguments in (
                ("address", "add", f"{self._far}/30", "dev", "eth0"), ("link", "set", "eth0", "up"), ("link", "set", "lo", "up"),
                # What looks for a default way, such as a browser that asks itself whether it is online, finds one.
                ("route", "add", "default", "via", self.address),
            ):
                _run("ip", "-netns", self.name, *arguments)
            self.set(kilobits)
        except subprocess.CalledProcessError:
            self.remove()
            raise

    @property
    def driver_url(self):
        return f"http://{self._far}:{self.driver_port}"

    def set(self, kilobits):
        """What the way in carries; what waits longer than the queue is dropped at its end."""
        _run(
            "tc", "qdisc", "replace", "dev", self._end, "root", "tbf", "rate", f"{kilobits}kbit", "burst", "4kb",
            "latency", f"{self._queue}ms",
        )

    @property
    def dropped(self):
        """Packets that found the queue full."""
        output = subprocess.run(
            ["tc", "-statistics", "qdisc", "show", "dev", self._end], check=True, capture_output=True, text=True, timeout=20
        ).stdout
        return int(output.split("dropped ")[1].split(",")[0])

    def start(self, name, command):
        """A program inside."""
        self._children.append(Child(name, ["ip", "netns", "exec", self.name, *command]))
        return self._children[-1]

    def remove(self):
        for child in self._children:
            child.kill()
        subprocess.run(["ip", "link", "delete", self._end], check=False, capture_output=True, timeout=20)
        _run("ip", "netns", "delete", self.name)
