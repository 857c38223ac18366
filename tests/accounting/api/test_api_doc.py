"""docs/api.md against the code: its example works as typed, and its tables name every code there is."""

import json
import re
from collections.abc import Callable
from pathlib import Path

from django.http import HttpResponse

from accounting.agent.wire import MAX_BODY_BYTES, MAX_DECODED_BYTES, MAX_SAMPLES
from accounting.ingest.dirty import MOST_HOURS
from accounting.ingest.validate import MAX_DEPTH

ROOT = Path(__file__).resolve().parents[3]
DOC = (ROOT / "docs/api.md").read_text()


def section(title: str) -> str:
    return re.split(r"\n#+ ", DOC.split(f"# {title}\n", 1)[1])[0]


def first_cells(text: str) -> set[str]:
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| ")]
    return {code for cell in rows for code in re.findall(r"`([a-z_]+)`", cell)}


def codes_of(pattern: str) -> set[str]:
    sources = [path.read_text() for room in ("ingest", "api") for path in (ROOT / "accounting" / room).glob("*.py")]
    return {code for source in sources for code in re.findall(pattern, source)}


class TestTables:
    def test_name_every_code_of_a_rejected_item(self) -> None:
        written = codes_of(r'Fault\(\s*"([a-z_]+)"') | codes_of(r'"device", "([a-z]+_[a-z]+)"')
        assert first_cells(section("Codes of rejected items")) == written

    def test_name_every_refusal_with_its_status(self) -> None:
        raised = set(re.findall(r'Problem\(\s*(\d{3}), "([a-z_]+)"', "".join(
            path.read_text()
            for room in ("accounting/api", "optimizer/api", "greenai")
            for path in (ROOT / room).glob("*.py")
        )))  # fmt: skip
        envelope = {
            ("413" if code == "too_many" else "400", code) for code in codes_of(r'EnvelopeError\(\s*"([a-z_]+)"')
        }
        told = set()
        for line in section("Refusals").splitlines():
            if match := re.match(r"\| (\d{3}) \| (.*?) \|", line):
                told |= {(match[1], code) for code in re.findall(r"`([a-z_]+)`", match[2])}
        assert told == raised | envelope

    def test_state_the_limits_that_hold(self) -> None:
        assert (MAX_BODY_BYTES, MAX_DECODED_BYTES, MAX_SAMPLES, MAX_DEPTH, MOST_HOURS) == (
            1 << 20, 8 << 20, 10_000, 32, 500_000,
        )  # fmt: skip
        for words in ("1 MiB", "8 MiB", "10 000 samples", "32 levels", "500 000 device-hours"):
            assert words in DOC.replace("\n", " ")


class TestExample:
    def test_is_answered_as_shown(self, post: Callable[..., HttpResponse], team_secret: str) -> None:
        sent = re.search(r"<<'JSON'\n(.*?)\nJSON", DOC, re.DOTALL)
        shown = re.search(r"```json\n(.*?)```", DOC, re.DOTALL)
        assert sent and shown
        assert json.loads(post(sent[1].encode(), secret=team_secret).content) == json.loads(shown[1])

    def test_of_shared_devices_is_taken_as_shown(self, post: Callable[..., HttpResponse], team_secret: str) -> None:
        sent = re.search(r"<<'JSON'\n(.*?)\nJSON", DOC, re.DOTALL)
        shown = re.search(r'```json\n(\{"device_uses".*?)```', DOC, re.DOTALL)
        assert sent and shown
        uses = json.loads(shown[1])
        assert all(use["mig_fraction"] <= 1 for use in uses["device_uses"])
        reply = json.loads(post(json.dumps(json.loads(sent[1]) | uses).encode(), secret=team_secret).content)
        assert (reply["accepted"], reply["rejected"]) == (3, 1)  # the sample and both uses; the sample below zero
