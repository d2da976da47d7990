"""The page as a browser shows it: on a phone and on a wide screen, light and dark."""

from pathlib import Path

import pytest
import reports
from chromium import PROGRAM, Chromium

from profiles.device import DeviceProfile
from runtime.reporting import gathering, page

#: What reaches beyond the screen, unless whatever holds it scrolls or hides it.
OVERFLOWING = """
[...document.querySelectorAll('body *')].filter(one => {
  const box = one.getBoundingClientRect();
  if (!box.width || !box.height || one.closest('thead')) return false;
  return box.left < -0.5 || box.right > innerWidth + 0.5;
}).map(one => one.tagName + '.' + (one.className.baseVal ?? one.className) + ' ' + one.textContent.slice(0, 40))
"""
#: Text that is wider than the box it stands in.
SPILLED = """
[...document.querySelectorAll('li, dd, dt, p, td, th, h1, h2, h3, h4, pre, summary')].filter(one =>
  one.clientWidth && !one.closest('thead') && one.scrollWidth > one.clientWidth + 1
).map(one => one.tagName + ' ' + one.textContent.slice(0, 40))
"""
#: Text of a chart that lies outside it.
OUTSIDE = """
[...document.querySelectorAll('.chart > svg text')].filter(one => {
  const box = one.getBoundingClientRect(), all = one.closest('figure').getBoundingClientRect();
  return box.left < all.left || box.right > all.right || box.bottom > all.bottom;
}).map(one => one.textContent)
"""


@pytest.mark.long
@pytest.mark.skipif(PROGRAM is None, reason="chromium is not installed")
def test_the_page_is_whole_on_every_screen(tmp_path: Path, tiny_profile: DeviceProfile) -> None:
    long_name = reports.named(tiny_profile, "m" * 90, "block." * 12 + "conv", "a device of a very long name " * 4)
    reports.whole(tmp_path, long_name, data="package.module:" + "x" * 80)
    place = tmp_path / "report.html"
    place.write_bytes(page.rendered(gathering.gather(tmp_path)))
    with Chromium() as browser:
        for width in (400, 1400):
            for dark in (False, True):
                browser.open(place, width=width, dark=dark)
                browser.value("document.querySelectorAll('details').forEach(one => one.open = true)")
                assert browser.value("innerWidth") == width
                assert browser.value("document.scrollingElement.scrollWidth") <= width
                for found in (OVERFLOWING, SPILLED, OUTSIDE):
                    assert browser.value(found) == [], (width, dark)
                lit = browser.value("getComputedStyle(document.body).backgroundColor")
                assert lit == ("rgb(15, 18, 22)" if dark else "rgb(244, 245, 247)")
                assert browser.value("[...document.images].every(one => one.naturalWidth > 0)")
                said = [
                    one for one in browser.events if one["method"] in ("Log.entryAdded", "Runtime.consoleAPICalled")
                ]
                assert not said
                asked = [
                    one["params"]["request"]["url"]
                    for one in browser.events
                    if one["method"] == "Network.requestWillBeSent"
                ]
                assert [one for one in asked if not one.startswith("data:image/png")] == [place.resolve().as_uri()]
