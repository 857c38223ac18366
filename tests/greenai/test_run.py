"""`make test`: what did not run is named, in CI it is a failure, and a pass that a signal ended is one too."""

from contextlib import contextmanager

import pytest

from tests import run


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch):
    """What would have been run: (title, markers); `codes` are the exit codes it answers with."""
    ran: list[tuple[str, list[str]]] = []
    codes: list[int] = []

    @contextmanager
    def pair(folder):
        yield {"DATABASE_URL": "postgres://…"}

    def answer(title, *, env, markers, arguments):
        ran.append((title, list(markers)))
        return codes.pop(0) if codes else 0

    monkeypatch.setattr(run, "second_pair", pair)
    monkeypatch.setattr(run, "run_pytest", answer)
    monkeypatch.setattr(run, "install", lambda names: None)
    monkeypatch.delenv("CI", raising=False)
    return ran, codes


def without(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    monkeypatch.setattr(run, "missing_programs", lambda: list(names))


class TestMain:
    def test_runs_both_pairs_of_database_and_broker(self, passes, monkeypatch) -> None:
        without(monkeypatch)
        assert run.main([]) == 0
        assert [title for title, _ in passes[0]] == ["SQLite and filesystem transport", "PostgreSQL and Redis"]

    def test_names_what_did_not_run_and_how_to_get_it(self, passes, monkeypatch, capsys) -> None:
        without(monkeypatch, "Redis", "Chromium")
        assert run.main([]) == 0
        assert len(passes[0]) == 1 and "not browser" in passes[0][0][1]
        last = capsys.readouterr().out.splitlines()[-2:]
        assert last[0].startswith("NOT RUN: the pass on PostgreSQL and Redis") and "redis-server" in last[0]
        assert last[1].startswith("NOT RUN: the browser tests") and "apt-get install chromium" in last[1]

    def test_in_ci_anything_not_run_is_a_failure(self, passes, monkeypatch) -> None:
        without(monkeypatch, "Chromium")
        monkeypatch.setenv("CI", "true")
        assert run.main([]) == 1

    @pytest.mark.parametrize("codes", [[1, 0], [0, 2], [-9, 0], [0, -11]])
    def test_one_failing_pass_fails_the_whole_also_where_a_signal_ended_it(self, passes, monkeypatch, codes) -> None:
        without(monkeypatch)
        passes[1].extend(codes)
        assert run.main([]) == 1
