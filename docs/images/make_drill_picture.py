"""Takes the picture of a report for docs/drills.md, from the report.html that is named.

`.venv/bin/python docs/images/make_drill_picture.py REPORT.html` writes drill.png beside itself: the
page down to the end of its timeline.
"""

from __future__ import annotations

import sys
import tempfile
from base64 import b64decode
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "tests"))

from browser.chromium import chromium  # noqa: E402 - found through the line above

WIDTH = 1000
END = "return Math.ceil(document.querySelector('.key').getBoundingClientRect().bottom) + 16"


def main(report: Path) -> None:
    with (
        tempfile.TemporaryDirectory() as directory,
        chromium(Path(directory), size=(WIDTH, 1000)) as driver,
    ):
        size = {"width": WIDTH, "height": 1000, "deviceScaleFactor": 1, "mobile": False}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        driver.get(report.resolve().as_uri())
        clip = {"x": 0, "y": 0, "width": WIDTH, "height": driver.execute_script(END), "scale": 1}
        options = {"format": "png", "clip": clip, "captureBeyondViewport": True}
        shot = driver.execute_cdp_cmd("Page.captureScreenshot", options)
        (HERE / "drill.png").write_bytes(b64decode(shot["data"]))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
