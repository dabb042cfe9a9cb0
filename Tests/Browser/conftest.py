"""Starts the server and the browsers once, and tells what they said when a test fails."""

import itertools
import shutil

import pytest

from browsers import Chromium, Firefox
from processes import LOGS
from server import Impairer, Server

_rooms = itertools.count(1)


@pytest.fixture(scope="session")
def server():
    server = Server()
    yield server
    server.stop()


class _Pool:
    """Browsers are slow to start, so a test borrows them and gives them back."""

    def __init__(self, make):
        self._make = make
        self._idle = []
        self._all = []

    def borrow(self):
        if not self._idle:
            self._all.append(self._make())
            self._idle.append(self._all[-1])
        return self._idle.pop()

    def give_back(self, browser):
        try:
            browser.reset()
            self._idle.append(browser)
        except Exception as error:  # A browser that does not even leave its page is not used again.
            print(f"{browser.name} is given up: {error}")

    def quit(self):
        for browser in self._all:
            browser.quit()


@pytest.fixture(scope="session")
def _chromiums():
    pool = _Pool(Chromium)
    yield pool
    pool.quit()


@pytest.fixture(scope="session")
def _firefoxes():
    pool = _Pool(Firefox)
    yield pool
    pool.quit()


def _lender(pool):
    lent = []

    def lend():
        lent.append(pool.borrow())
        return lent[-1]

    yield lend
    for browser in lent:
        pool.give_back(browser)


@pytest.fixture
def chromium(_chromiums):
    """Call it for a Chromium; call it again for another."""
    yield from _lender(_chromiums)


@pytest.fixture
def firefox(_firefoxes):
    yield from _lender(_firefoxes)


@pytest.fixture
def room(server):
    """A room that no other test uses. A server that does not survive a test fails that one and no later one."""
    server.ensure_running()
    yield f"test-{next(_rooms)}"
    assert server.is_running, f"enfilade-meet ended during this test:\n{server.last_words}"


@pytest.fixture
def impairer(server):
    made = []

    def make(loss, ports=None):
        made.append(Impairer(server, loss, ports))
        return made[-1]

    yield make
    for one in made:
        one.stop()


def pytest_configure(config):
    shutil.rmtree(LOGS, ignore_errors=True)
    LOGS.mkdir(parents=True)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.when == "call":
        # What was measured is worth reading when a test passes, too.
        for line in report.capstdout.splitlines():
            item.config.get_terminal_writer().line(f"    {line}")
    return report


def pytest_terminal_summary(terminalreporter):
    if not terminalreporter.stats.get("failed") and not terminalreporter.stats.get("error"):
        return
    for log in sorted(LOGS.glob("*.log")):
        lines = log.read_text(errors="replace").splitlines()[-60:]
        if not lines or log.name.endswith("-driver.log"):
            continue
        terminalreporter.section(f"{log.name} (last {len(lines)} lines)")
        for line in lines:
            terminalreporter.line(line[:400])
