"""Takes the picture of the demo for the README: `.venv/bin/python docs/images/make_screenshot.py`.

Starts the service on the memory store, the demo host and Chromium; writes demo.png beside itself.
"""

from __future__ import annotations

import sys
import tempfile
from base64 import b64decode
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "tests"))

from browser.chromium import chromium  # noqa: E402 - found through the line above
from browser.pages import HostPage  # noqa: E402
from browser.running import running_host, running_service  # noqa: E402

SIZE = (1180, 840)


def main() -> None:
    with (
        tempfile.TemporaryDirectory() as directory,
        running_service(Path(directory), {"topology": "memory"}) as port,
        running_host(Path(directory), f"http://localhost:{port}") as origin,
        chromium(Path(directory) / "profile", size=SIZE) as driver,
    ):
        page = HostPage(driver, origin)
        page.open()
        page.wait_for_frame("signed-in")
        page.wait_for_step("guarita:signed-in")
        # Of exactly this size, whatever the window's frame takes.
        clip = {"x": 0, "y": 0, "width": SIZE[0], "height": SIZE[1], "scale": 1}
        options = {"format": "png", "clip": clip, "captureBeyondViewport": True}
        shot = driver.execute_cdp_cmd("Page.captureScreenshot", options)
        (HERE / "demo.png").write_bytes(b64decode(shot["data"]))


if __name__ == "__main__":
    main()
