"""Child processes that cannot outlive the tests, and their logs."""

import ctypes
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

LOGS = Path(os.environ["ENFILADE_BROWSER_LOGS"])


def free_port(kind=socket.SOCK_STREAM):
    """A port of 127.0.0.1 that nobody uses at this moment."""
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def free_udp_port():
    return free_port(socket.SOCK_DGRAM)


def free_udp_ports(count):
    """Ports that follow one another."""
    while True:
        first = free_udp_port()
        sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(count)]
        try:
            for offset, one in enumerate(sockets):
                one.bind(("127.0.0.1", first + offset))
            return list(range(first, first + count))
        except (OSError, OverflowError):
            continue
        finally:
            for one in sockets:
                one.close()


def _die_with_parent():
    os.setsid()
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


class Child:
    """One program, its output in a log file, ended together with everything that it started."""

    def __init__(self, name, command):
        self.name = name
        self.log = LOGS / f"{name}.log"
        self._file = open(self.log, "wb")
        self.process = subprocess.Popen(
            command, stdout=self._file, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, preexec_fn=_die_with_parent
        )

    @property
    def output(self):
        return self.log.read_text(errors="replace")

    def wait_for(self, predicate, seconds, what):
        """The predicate's first true result for the output so far."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            result = predicate(self.output)
            if result:
                return result
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        raise AssertionError(f"{self.name}: no {what} within {seconds} s (exit code {self.process.poll()}). Its output:\n{self.output}")

    def terminate(self, seconds=10):
        """Asks politely; gives back the exit code, or None if it had to be killed."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None
        finally:
            self.kill()

    def kill(self):
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        self._file.close()
