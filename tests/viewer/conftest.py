"""A real Chromium for the tests that look at pages; they are skipped where there is none."""

import shutil
from contextlib import contextmanager

import pytest


@pytest.fixture(scope="session")
def chromium():
    """Opens tabs: `with chromium() as tab`; on leaving, nothing may have been logged and nobody else been asked."""
    playwright = pytest.importorskip("playwright.sync_api")
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        pytest.skip("no Chromium")
    with playwright.sync_playwright() as driver:
        arguments = ["--no-sandbox", "--enable-unsafe-swiftshader"]
        browser = driver.chromium.launch(executable_path=program, args=arguments)

        @contextmanager
        def opened(address, **options):
            said, asked = [], []
            context = browser.new_context(viewport={"width": 1200, "height": 900}, accept_downloads=True, **options)
            tab = context.new_page()
            tab.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
            tab.on("pageerror", lambda error: said.append(str(error)))
            tab.on("request", lambda request: asked.append(request.url))
            try:
                tab.goto(address, wait_until="domcontentloaded")
                yield tab
            finally:
                context.close()
            home = address.rpartition("/")[0] if address.startswith("file:") else address.rstrip("/")
            assert not said
            assert not [url for url in asked if not url.startswith((f"{home}/", "blob:", "data:"))]

        yield opened
        browser.close()
