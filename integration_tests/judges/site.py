"""Reads the built site in Chromium at two widths, in light and dark.

    CHROMIUM=/usr/bin/chromium python integration_tests/judges/site.py .cache/pages

No page is wider than the window, every picture appears, and nothing is loaded from another host. The search finds a page by a user's word.
"""

import os
import sys
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from playwright.sync_api import sync_playwright

WIDTHS = {400: "light", 1400: "dark"}
# What a reader types, and the page that must be among the results.
SEARCHES = {"excel": "export", "time zone": "configuration", "holes": "state"}


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def problems_of(page, path):
    """What is wrong with the opened page."""
    width, inner = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    if width > inner:
        yield f"{path} is {width} pixels wide in a window of {inner}"
    broken = page.evaluate("[...document.images].filter(image => image.complete && !image.naturalWidth).map(image => image.src)")
    if broken:
        yield f"{path} lacks {broken}"
    if page.evaluate("!document.querySelector('article h1') || document.querySelectorAll('h1').length != 1"):
        yield f"{path} has no heading, or several"


def main():
    folder = Path(sys.argv[1])
    shots = os.environ.get("SHOTS")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder))
    Thread(target=server.serve_forever, daemon=True).start()
    root = f"http://127.0.0.1:{server.server_port}/"
    pages = sorted(str(path.parent.relative_to(folder)) for path in folder.glob("**/index.html"))
    problems = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=os.environ["CHROMIUM"], args=["--no-sandbox"])
        page = browser.new_page()
        page.on("request", lambda request: request.url.startswith((root, "data:", "blob:")) or problems.append(f"loads {request.url}"))
        page.on("response", lambda response: response.status < 400 or problems.append(f"{response.status} {response.url}"))
        page.on("pageerror", lambda error: problems.append(f"{page.url}: {error}"))
        for path in pages:
            page.goto(f"{root}{path}/")
            # A menu that still slides after a change of width would count.
            page.add_style_tag(content="* { transition: none !important }")
            for width, scheme in WIDTHS.items():
                page.set_viewport_size({"width": width, "height": 900})
                page.emulate_media(color_scheme=scheme)
                problems += problems_of(page, f"{path} at {width}")
                if shots:
                    page.screenshot(path=f"{shots}/{path.replace('.', 'index')}-{width}.png", full_page=len(page.content()) < 120_000)
        page.goto(root)
        for words, expected in SEARCHES.items():
            page.fill(".md-search__input", "")
            page.locator(".md-search__input").press_sequentially(words)
            page.wait_for_selector(f'.md-search-result__link[href*="{expected}"]', state="attached", timeout=20_000)
        browser.close()
    assert len(pages) > 25, pages
    assert not problems, "\n".join(dict.fromkeys(problems))
    print(f"site: {len(pages)} pages at {len(WIDTHS)} widths, nothing from other hosts, {len(SEARCHES)} searches")


if __name__ == "__main__":
    main()
