"""The document: order kept, a bad run refused in its place, and only what cannot be read refused whole."""

import json
from typing import Any

import pytest

from accounting.estimates.answer import MOST_RUNS, TooMany, Unreadable, answer, read_document, refused_count
from accounting.estimates.run import QUANTITIES
from accounting.factors.catalog import load_packaged

CATALOG = load_packaged()


def ask(text: str) -> list[dict[str, Any]]:
    return answer(CATALOG, read_document(text.encode()), currency="EUR")["runs"]


class TestRuns:
    def test_are_answered_in_their_order_and_a_bad_one_in_its_place(self) -> None:
        runs = [{"id": "b", "it_energy_kwh": 1}, {"id": "x", "pue": 0.5}, 3, {"id": 7, "it_energy_kwh": 2}]
        got = answer(CATALOG, runs, currency="EUR")
        assert [run["id"] for run in got["runs"]] == ["b", "x", None, 7] and refused_count(got) == 2
        refused = got["runs"][1]
        assert (refused["error"]["code"], refused["error"]["field"]) == ("out_of_range", "pue")
        assert refused["error"]["detail"].startswith("pue: 0.5 is out of range: give a number from 1 to 10")
        assert all(refused[name] is None for name in QUANTITIES)
        assert "error" not in got["runs"][0] and got["runs"][3]["it_energy_kwh"]["mid"] == 2

    def test_may_be_none(self) -> None:
        assert ask('{"runs": []}') == []

    @pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e999", "9" * 5000])
    def test_a_number_that_is_none_refuses_its_own_run_only(self, value: str) -> None:
        bad, good = ask(f'{{"runs": [{{"it_energy_kwh": {value}}}, {{"it_energy_kwh": 1}}]}}')
        assert bad["error"]["code"] == "not_finite" and good["it_energy_kwh"]["mid"] == 1

    def test_a_key_that_stands_twice_refuses_its_own_run_only(self) -> None:
        bad, good = ask('{"runs": [{"it_energy_kwh": 1, "pue": 1, "pue": 2}, {"it_energy_kwh": 1}]}')
        assert (bad["error"]["code"], bad["error"]["field"]) == ("repeated_key", "pue") and "error" not in good

    def test_an_answer_is_plain_json(self) -> None:
        got = answer(CATALOG, [{"id": "é", "device": "H100", "count": 8, "hours": 1, "zone": "FR"}], currency="EUR")
        assert json.loads(json.dumps(got, allow_nan=False)) == got


class TestDocument:
    @pytest.mark.parametrize(
        ("body", "says"),
        [
            (b"", "not JSON"),
            (b"{", "not JSON"),
            (b"\xff\xfe", "not UTF-8"),
            (b"[]", "is no object"),
            (b"{}", "runs is missing"),
            (b'{"run": []}', "did you mean 'runs'"),
            (b'{"runs": {}}', "write {"),
            (b'{"runs": [], "runs": []}', "stands twice"),
            (b'{"runs": ' + b"[" * 40 + b"]" * 40 + b"}", "deeper than 32"),
            (b'{"runs": ' + b"[" * 100_000, "deeper than 32"),
        ],
    )
    def test_that_cannot_be_read_is_refused_with_the_reason(self, body: bytes, says: str) -> None:
        with pytest.raises(Unreadable, match=says):
            read_document(body)

    def test_holds_a_thousand_runs_and_no_more(self) -> None:
        assert len(read_document(json.dumps({"runs": [{}] * MOST_RUNS}).encode())) == 1000
        with pytest.raises(TooMany, match="1001 runs: at most 1000"):
            read_document(json.dumps({"runs": [{}] * (MOST_RUNS + 1)}).encode())

    def test_may_begin_with_a_byte_order_mark(self) -> None:
        assert read_document(b'\xef\xbb\xbf{"runs": []}') == []
