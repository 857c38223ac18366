"""The page Sources in a browser: it follows what comes in by itself, and fits a phone."""

import json
import urllib.request
from datetime import UTC, datetime

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.conftest import Watch
from tests.stack import Stack

pytestmark = [pytest.mark.browser, pytest.mark.stack]
ISSUE = (
    "from accounting.access import issue_token; from accounting.models import Team; "
    "team, _ = Team.objects.get_or_create(slug='browser', defaults={'name': 'Browser'}); "
    "print(issue_token(name='A new source', scopes=['ingest'], team=team)[1])"
)


@pytest.fixture
def page(context: BrowserContext, watch: Watch, stack: Stack) -> Page:
    """Signed in as the first administrator through a one-time link."""
    page = context.new_page()
    page.goto(stack.manage("login_link").strip())
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Overview", level=1)).to_be_visible()
    return page


def post_a_reading(stack: Stack, secret: str) -> None:
    sample = {"host": "rack-7", "device": "pdu-1", "power_w": 400.0, "measured_at": datetime.now(UTC).isoformat()}
    request = urllib.request.Request(
        f"{stack.url}/api/v1/telemetry",
        json.dumps({"device_samples": [sample]}).encode(),
        {"Authorization": f"Bearer {secret}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=20) as reply:
        assert json.load(reply)["accepted"] == 1


class TestSources:
    def test_wait_for_the_first_sample_and_turn_over_by_themselves(
        self, page: Page, watch: Watch, stack: Stack
    ) -> None:
        secret = stack.manage("shell", "-v", "0", "-c", ISSUE).strip().splitlines()[-1]
        page.goto("/sources/")
        row = page.get_by_role("row", name="A new source")
        expect(row).to_contain_text("Waiting for the first sample")
        post_a_reading(stack, secret)
        expect(row).to_contain_text("GreenAI telemetry", timeout=20_000)
        expect(row).to_contain_text("1 in 24 h")
        watch.assert_clean()

    @pytest.mark.parametrize("kind", ["agent", "codecarbon", "prometheus", "opentelemetry", "slurm", "track", "http"])
    def test_fit_a_phone_whatever_is_to_be_connected(self, page: Page, watch: Watch, kind: str) -> None:
        page.set_viewport_size({"width": 390, "height": 844})
        page.goto(f"/sources/?connect={kind}")
        expect(page.get_by_role("heading", name="Connect a source")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        watch.assert_clean()

    def test_of_files_lead_to_the_page_that_imports_them(self, page: Page, watch: Watch) -> None:
        page.goto("/sources/?connect=slurm#connect")
        page.get_by_role("link", name="Import a sacct file").click()
        expect(page.get_by_role("heading", name="Import runs", level=1)).to_be_visible()
        watch.assert_clean()

    @pytest.mark.parametrize("path", ["/imports/", "/imports/new", "/fleet/label-rules/", "/tokens/"])
    def test_and_the_pages_beside_them_fit_a_phone(self, page: Page, watch: Watch, path: str) -> None:
        page.set_viewport_size({"width": 390, "height": 844})
        page.goto(path)
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        watch.assert_clean()

    def test_stand_in_a_navigation_that_fits_900_pixels(self, page: Page) -> None:
        page.set_viewport_size({"width": 1440, "height": 900})
        page.goto("/fleet/label-rules/")
        current = page.locator("nav.side [aria-current=page]")
        expect(current).to_have_text("Label rules")
        assert page.locator("nav.side").evaluate("nav => nav.scrollHeight <= 900")
