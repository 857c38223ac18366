"""`make screenshots`: start the product in a folder of its own, run two experiments, picture its pages for the docs.

Everything shown is this machine's own: nothing is loaded, replayed or typed in but the site's grid zone.
"""

import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, Page, expect, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.servers import find_chromium  # noqa: E402
from tests.stack import Stack, running_stack  # noqa: E402

IMAGES = ROOT / "docs" / "img"
EXPERIMENT_LIMIT_MS = 900_000


def main() -> None:
    options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with (
        tempfile.TemporaryDirectory(prefix="greenai-screenshots-") as folder,
        running_stack(Path(folder)) as stack,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=str(find_chromium()), args=options)
        take(browser, stack, Path(folder) / "session.json")
        browser.close()


def take(browser: Browser, stack: Stack, session: Path) -> None:
    context = browser.new_context(base_url=stack.url, viewport={"width": 1280, "height": 860})
    page = context.new_page()
    page.goto(stack.login_link)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Overview", level=1)).to_be_visible()
    context.storage_state(path=session)
    place_the_site(page)
    optimize(page, "Handwritten digits", "Size on disk")
    page.wait_for_timeout(12_000)
    shoot(page, "progress")
    finished(page)
    optimize(page, "MiniLM sentence search", "Energy per unit of work")
    finished(page)
    page.reload()
    page.wait_for_timeout(2_000)
    shoot(page, "experiment", full=True)
    page.goto("/recommendations/")
    page.locator("main table a, main .rows a").first.click()
    shoot(page, "recommendation")
    page.goto("/tokens/")
    shoot(page, "tokens")
    for scheme, width in (("light", 1280), ("dark", 1280), ("dark", 390)):
        dressed = browser.new_context(
            base_url=stack.url,
            storage_state=session,
            color_scheme=scheme,  # type: ignore[arg-type]
            viewport={"width": width, "height": 860},
        )
        look = dressed.new_page()
        look.goto("/?period=1h")
        look.wait_for_timeout(3_000)
        shoot(look, f"landing-{scheme}" if width > 400 else "landing-phone")
        dressed.close()


def place_the_site(page: Page) -> None:
    page.get_by_role("link", name="Tell us where").first.click()
    page.get_by_label("Grid zone").first.select_option("FR")
    page.get_by_role("button", name="Save").first.click()


def optimize(page: Page, workload: str, goal: str) -> None:
    page.goto("/workloads/")
    page.get_by_role("link", name=workload).first.click()
    page.get_by_label("Make this as small as possible").select_option(label=goal)
    page.get_by_role("button", name="Optimize").click()


def finished(page: Page) -> None:
    outcome = page.get_by_role("heading", name="A variant qualifies").or_(
        page.get_by_role("heading", name="Nothing qualifies")
    )
    expect(outcome).to_be_visible(timeout=EXPERIMENT_LIMIT_MS)


def shoot(page: Page, name: str, *, full: bool = False) -> None:
    IMAGES.mkdir(exist_ok=True)
    page.screenshot(path=IMAGES / f"{name}.png", full_page=full)
    print(f"docs/img/{name}.png")


if __name__ == "__main__":
    main()
