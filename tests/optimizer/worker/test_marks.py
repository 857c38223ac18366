import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from accounting.agent.post import Kind, Outcome
from accounting.agent.wire import ItemError, TelemetryReply
from optimizer.worker import marks
from optimizer.worker.marks import Mark, Marker, refusal, send_left_over, write_note

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
MARK = Mark(
    job="experiment-1", name="Optimize Digits", kind="experiment", model="digits-classifier", team="vision",
    project=None, host="box-1", started_at=START.isoformat(), alive_at=START.isoformat(),
)  # fmt: skip
TAKEN = Outcome(Kind.DELIVERED, reply=TelemetryReply(0, 0, 0, 0))
AWAY = Outcome(Kind.BUSY, "no answer from http://server")


class Server:
    """Takes batches; answers from a list, then always takes."""

    def __init__(self, *answers):
        self.answers, self.marks = list(answers), []

    def post(self, batch):
        self.marks.append(batch.job_marks[0])
        return self.answers.pop(0) if self.answers else TAKEN


@pytest.fixture
def journal(tmp_path):
    return tmp_path / "notes" / "experiment-1.json"


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(marks, "RETRY_FIRST_S", 0.01)


class TestMarker:
    def test_posts_start_and_end_and_leaves_no_note(self, journal):
        server = Server()
        with Marker(MARK, post=server.post, journal=journal) as marker:
            assert journal.exists()
            marker.end(START + timedelta(seconds=30))
        assert [mark.ended_at for mark in server.marks][-1] == "2026-03-01T12:00:30+00:00"
        assert {mark.started_at for mark in server.marks} == {MARK.started_at}
        assert marker.problem == ""
        assert not journal.exists()

    def test_tries_again_until_the_server_answers(self, journal):
        server = Server(AWAY, AWAY, AWAY)
        with Marker(MARK, post=server.post, journal=journal) as marker:
            marker.end(START)
        assert marker.problem == ""
        assert not journal.exists()

    def test_keeps_the_note_and_says_so_where_the_server_stays_away(self, journal):
        with Marker(MARK, post=lambda _: AWAY, journal=journal) as marker:
            marker.end(START + timedelta(seconds=30), patience_s=0.1)
        assert "not marked in the ledger" in marker.problem
        assert json.loads(journal.read_text())["ended_at"] == "2026-03-01T12:00:30+00:00"

    def test_says_so_where_no_token_is_given(self, journal):
        with Marker(MARK, post=None, journal=journal) as marker:
            marker.end(START)
        assert "no GREENAI_TOKEN_FILE" in marker.problem
        assert not journal.exists()

    def test_an_item_that_the_server_rejects_is_a_problem(self):
        error = ItemError("job_marks", 0, "device", "no_devices", "host 'box-1' has no devices yet")
        reply = TelemetryReply(0, 0, 0, 1, [error])
        assert "host 'box-1' has no devices yet" in refusal(Outcome(Kind.DELIVERED, reply=reply))


class TestSendLeftOver:
    def test_closes_a_killed_workers_mark_at_its_last_sign_of_life(self, journal):
        write_note(journal, replace(MARK, process="killed", alive_at="2026-03-01T12:05:00+00:00"))
        server = Server()
        send_left_over(journal.parent, post=server.post)
        assert [mark.ended_at for mark in server.marks] == ["2026-03-01T12:05:00+00:00"]
        assert not journal.exists()

    def test_leaves_the_mark_of_the_running_attempt_alone(self, journal):
        write_note(journal, MARK)
        server = Server()
        send_left_over(journal.parent, post=server.post)
        assert server.marks == []
        assert journal.exists()

    def test_keeps_what_still_cannot_be_delivered(self, journal):
        write_note(journal, replace(MARK, ended_at="2026-03-01T12:00:30+00:00"))
        send_left_over(journal.parent, post=lambda _: AWAY)
        assert journal.exists()
        send_left_over(journal.parent, post=Server().post)
        assert not journal.exists()

    def test_drops_a_note_that_cannot_be_read(self, journal):
        journal.parent.mkdir()
        journal.write_text("{")
        send_left_over(journal.parent, post=Server().post)
        assert not journal.exists()

    def test_has_nothing_to_do_where_nothing_was_left(self, tmp_path):
        send_left_over(tmp_path / "none", post=Server().post)
