"""Chromium through its driver and Firefox through WebDriver BiDi, with the same few verbs."""

import base64
import itertools
import json
import re
import shutil
import tempfile
from pathlib import Path

from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.chrome.remote_connection import ChromeRemoteConnection
from selenium.webdriver.chrome.service import Service
from websockets.sync.client import connect

from processes import LOGS, Child


class Browser:
    """What the tests ask of a browser."""

    name = "browser"

    def open(self, url): ...

    def evaluate(self, expression):
        """The JSON value of an expression; promises are awaited."""

    def screenshot(self, path): ...

    def resize(self, width, height): ...

    def set_dark(self, is_dark): ...

    def inject(self, script):
        """Runs a script before every page from now on, until `reset`."""

    def reset(self):
        """Leaves the page and forgets what was set."""

    def quit(self): ...


class Chromium(Browser):
    _numbers = itertools.count(1)

    def __init__(self, binary="/usr/bin/chromium", driver="/usr/bin/chromedriver", namespace=None, origin=None):
        """In a network namespace, if one is given; there, pages of that origin may do what those of localhost may."""
        self.name = f"chromium-{next(self._numbers)}"
        options = webdriver.ChromeOptions()
        options.binary_location = binary
        for argument in (
            "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1280,800", "--hide-scrollbars",
            "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
            # Every page is in front, as if each ran on a machine of its own.
            "--disable-background-timer-throttling", "--disable-backgrounding-occluded-windows", "--disable-renderer-backgrounding",
            "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream=fps=30", "--autoplay-policy=no-user-gesture-required",
            "--allow-loopback-in-peer-connection",
        ):
            options.add_argument(argument)
        if origin:
            options.add_argument(f"--unsafely-treat-insecure-origin-as-secure={origin}")
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        if namespace:
            self._far = namespace.start(f"{self.name}-driver", [driver, f"--port={namespace.driver_port}", "--allowed-ips="])
            self._far.wait_for(lambda output: "started successfully" in output, 20, "driver")
            self.driver = webdriver.Remote(ChromeRemoteConnection(namespace.driver_url), options=options)
        else:
            service = Service(driver, log_output=str(LOGS / f"{self.name}-driver.log"))
            self.driver = webdriver.Chrome(options=options, service=service)
        self.driver.set_script_timeout(30)
        self.driver.set_page_load_timeout(30)
        self._scripts = []

    def _command(self, name, parameters):
        return self.driver.execute("executeCdpCommand", {"cmd": name, "params": parameters})["value"]

    def open(self, url):
        self.driver.get(url)

    def evaluate(self, expression):
        script = """
          const done = arguments[arguments.length - 1];
          (async () => (EXPRESSION))().then((value) => done({ value: value === undefined ? null : value }), (error) => done({ error: String(error?.stack ?? error) }));
        """.replace("EXPRESSION", expression)
        result = self.driver.execute_async_script(script)
        if "error" in result:
            raise AssertionError(f"{self.name}: {expression} failed: {result['error']}")
        return result["value"]

    def screenshot(self, path):
        self.driver.save_screenshot(str(path))

    def resize(self, width, height):
        self._command(
            "Emulation.setDeviceMetricsOverride", {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        )

    def set_dark(self, is_dark):
        value = "dark" if is_dark else "light"
        self._command("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": value}]})

    def set_offline(self, is_offline):
        """Whether HTTP gets through; datagrams are not its matter."""
        self._command("Network.enable", {})
        self._command(
            "Network.emulateNetworkConditions", {"offline": is_offline, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
        )

    def inject(self, script):
        result = self._command("Page.addScriptToEvaluateOnNewDocument", {"source": script})
        self._scripts.append(result["identifier"])

    def reset(self):
        self.save_console()
        for identifier in self._scripts:
            self._command("Page.removeScriptToEvaluateOnNewDocument", {"identifier": identifier})
        self._scripts = []
        self._command("Emulation.clearDeviceMetricsOverride", {})
        self._command("Emulation.setEmulatedMedia", {"features": []})
        self.set_offline(False)
        self.driver.get("about:blank")

    def save_console(self):
        entries = self.driver.execute("getLog", {"type": "browser"})["value"]
        with open(LOGS / f"{self.name}-console.log", "a") as file:
            for entry in entries:
                file.write(f"{entry['level']} {entry['message']}\n")

    def quit(self):
        try:
            self.save_console()
            self.driver.quit()
        except WebDriverException:
            if hasattr(self.driver, "service"):
                self.driver.service.stop()


FIREFOX_PREFERENCES = {
    # Fake devices, and no question about them.
    "media.navigator.streams.fake": True,
    "media.navigator.permission.disabled": True,
    "media.navigator.permission.fake": True,
    "media.autoplay.default": 0,
    "media.autoplay.blocking_policy": 0,
    # Candidates of this machine, 127.0.0.1 among them.
    "media.peerconnection.ice.loopback": True,
    "media.peerconnection.ice.obfuscate_host_addresses": False,
    "media.peerconnection.ice.default_address_only": False,
    # Nothing from outside: no updates, no H.264 plugin, no start page.
    "app.update.enabled": False,
    "app.normandy.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "browser.startup.homepage_override.mstone": "ignore",
    "browser.startup.page": 0,
    "datareporting.policy.dataSubmissionEnabled": False,
    "extensions.systemAddon.update.enabled": False,
    "media.gmp-manager.updateEnabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "remote.prefs.recommended": True,
    "toolkit.telemetry.enabled": False,
}


class Firefox(Browser):
    """Debian has no geckodriver, and none is needed: Firefox speaks WebDriver BiDi itself."""

    _numbers = itertools.count(1)

    def __init__(self, binary="/usr/bin/firefox-esr"):
        self.name = f"firefox-{next(self._numbers)}"
        self._profile = Path(tempfile.mkdtemp(prefix="enfilade-firefox-"))
        lines = [f"user_pref({json.dumps(key)}, {json.dumps(value)});" for key, value in FIREFOX_PREFERENCES.items()]
        (self._profile / "user.js").write_text("\n".join(lines) + "\n")
        self._child = Child(
            self.name,
            [binary, "--headless", "--no-remote", "--profile", str(self._profile), "--remote-debugging-port", "0", "about:blank"],
        )
        try:
            found = self._child.wait_for(lambda output: re.search(r"BiDi listening on (ws://\S+)", output), 40, "BiDi port")
            self._socket = connect(f"{found.group(1)}/session", max_size=64 << 20, open_timeout=20, legacy=True)
            self._ids = itertools.count(1)
            self._call("session.new", capabilities={})
            self._context = self._call("browsingContext.getTree")["contexts"][0]["context"]
        except BaseException:
            self.quit()
            raise

    def _call(self, method, **parameters):
        identifier = next(self._ids)
        self._socket.send(json.dumps({"id": identifier, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._socket.recv(timeout=40))
            if message.get("id") != identifier:
                continue
            if message["type"] == "error":
                raise AssertionError(f"{self.name}: {method} failed: {message['error']}: {message['message']}")
            return message["result"]

    def open(self, url):
        self._call("browsingContext.navigate", context=self._context, url=url, wait="complete")

    def evaluate(self, expression):
        wrapped = f"(async () => JSON.stringify((await ({expression})) ?? null))()"
        result = self._call(
            "script.evaluate", expression=wrapped, target={"context": self._context}, awaitPromise=True, userActivation=True
        )
        if result["type"] != "success":
            raise AssertionError(f"{self.name}: {expression} failed: {result['exceptionDetails']['text']}")
        return json.loads(result["result"]["value"])

    def screenshot(self, path):
        result = self._call("browsingContext.captureScreenshot", context=self._context)
        Path(path).write_bytes(base64.b64decode(result["data"]))

    def resize(self, width, height):
        self._call("browsingContext.setViewport", context=self._context, viewport={"width": width, "height": height})

    def reset(self):
        self.open("about:blank")

    def quit(self):
        if hasattr(self, "_socket"):
            self._socket.close()
        self._child.kill()
        shutil.rmtree(self._profile, ignore_errors=True)
