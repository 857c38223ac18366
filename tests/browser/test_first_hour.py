"""The first hour with the product: sign in, see this machine's energy, make a model smaller, decide on the advice."""

import re
import time

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.conftest import Watch
from tests.stack import Stack

pytestmark = [pytest.mark.browser, pytest.mark.stack]
EXPERIMENT_LIMIT_MS = 240_000


@pytest.fixture
def page(context: BrowserContext, watch: Watch, stack: Stack) -> Page:
    """Signed in as the first administrator through a one-time link."""
    page = context.new_page()
    page.goto(stack.manage("login_link").strip())
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Overview", level=1)).to_be_visible()
    return page


def optimize(page: Page, workload: str, *, goal: str, floor: str, minimum: str = "") -> None:
    page.goto("/workloads/")
    page.get_by_role("link", name=workload).first.click()
    page.get_by_label("Make this as small as possible").select_option(label=goal)
    page.get_by_label("Quality that may be lost").fill(floor)
    page.get_by_label("Quality it must keep").fill(minimum)
    page.get_by_label("Rounds").fill("8")
    page.get_by_role("button", name="Optimize").click()


class TestFirstHour:
    def test_the_first_link_from_the_log_signs_in_once(self, context: BrowserContext, stack: Stack) -> None:
        page = context.new_page()
        page.goto(stack.login_link)
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("heading", name="Overview", level=1)).to_be_visible()
        page.goto(stack.login_link)
        if page.get_by_role("button", name="Sign in").count():
            page.get_by_role("button", name="Sign in").click()
        assert "Overview" not in page.title()

    def test_within_a_minute_this_machine_shows_energy_carbon_water_and_cost(self, page: Page, watch: Watch) -> None:
        deadline = time.monotonic() + 60
        while not re.search(r"Energy at the wall\s+[\d.,]*[1-9]", page.locator("main").inner_text()):
            assert time.monotonic() < deadline, page.locator("main").inner_text()
            page.wait_for_timeout(2000)
            page.reload()
        text = page.locator("main").inner_text()
        for quantity in ("CO₂e", "Energy at the wall", "Water", "Cost"):
            assert re.search(rf"{quantity}[^\n]*\s+[\d.,]*[1-9]", text), f"{quantity} is zero or missing:\n{text}"
        assert re.search(r"\bmodelled\b|\bmeasured\b", text, re.IGNORECASE)
        expect(page.locator(".chart .main-svg").first).to_be_visible()
        watch.assert_clean()

    def test_size_at_a_one_point_floor_ends_in_advice_that_can_be_accepted(self, page: Page, watch: Watch) -> None:
        optimize(page, "Handwritten digits", goal="Size on disk", floor="1")
        expect(page.get_by_role("heading", name="A variant qualifies")).to_be_visible(timeout=EXPERIMENT_LIMIT_MS)
        page.reload()
        table = page.get_by_role("region", name="Before and after")
        for quantity in ("Energy", "Latency p50", "Latency p95", "Peak memory", "Size", "Quality"):
            expect(table.get_by_role("columnheader", name=re.compile(quantity, re.IGNORECASE)).first).to_be_visible()
        page.locator("section", has_text="A variant qualifies").get_by_role("link").first.click()
        expect(page.get_by_text("Energy saved per")).to_be_visible()
        page.get_by_role("button", name="Accept").click()
        expect(page.get_by_text(re.compile("Accepted by"))).to_be_visible()
        watch.assert_clean()

    def test_a_floor_that_no_variant_meets_ends_in_nothing_qualifies(self, page: Page, watch: Watch) -> None:
        optimize(page, "Handwritten digits", goal="Size on disk", floor="1", minimum="1")
        expect(page.get_by_role("heading", name="Nothing qualifies")).to_be_visible(timeout=EXPERIMENT_LIMIT_MS)
        watch.assert_clean()

    def test_no_page_breaks_the_policy_or_asks_another_host(self, page: Page, watch: Watch) -> None:
        seen: set[str] = set()
        todo = ["/"]
        while todo:
            path = todo.pop()
            if path in seen or len(seen) > 60:
                continue
            seen.add(path)
            page.goto(path)
            page.wait_for_load_state("networkidle") if path == "/" else page.wait_for_timeout(150)
            links = page.eval_on_selector_all("a[href]", "links => links.map(a => a.getAttribute('href'))")
            kept = [
                a for a in links if re.fullmatch(r"/[a-z0-9/-]*", a) and not re.search(r"^/(admin|agent|logout)", a)
            ]
            todo += [a for a in kept if not re.search(r"\.(csv|json)$", a)]
        assert len(seen) >= 12, seen
        watch.assert_clean()
