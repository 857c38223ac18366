"""`manage.py up` before it starts anything: one on a data folder, a free port, and what a second start keeps."""

import os
import socket
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from django.core.management.base import CommandError

from accounting.access import authenticate, revoke_token
from accounting.models import ApiToken, Site, Team, User
from greenai.bootstrap import prepare
from greenai.management.commands.up import _check_port, _ledger_workers, _only_one
from optimizer.models import Workload

ROOT = Path(__file__).resolve().parents[2]
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


class TestASecondUp:
    def test_on_the_same_data_is_refused_and_told_what_to_do(self, tmp_path: Path) -> None:
        lock = _only_one(tmp_path)
        try:
            env = {**os.environ, "GREENAI_DATA_DIR": str(tmp_path)}
            env.pop("DATABASE_URL", None)
            command = [sys.executable, "manage.py", "up", "--port", "0"]
            run = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60, check=False)
        finally:
            lock.close()
        assert run.returncode == 1 and f"GreenAI already runs on {tmp_path}" in run.stderr
        assert "GREENAI_DATA_DIR" in run.stderr and "Traceback" not in run.stderr
        assert not (tmp_path / "greenai.sqlite3").exists()

    def test_may_follow_when_the_first_has_ended(self, tmp_path: Path) -> None:
        _only_one(tmp_path).close()
        _only_one(tmp_path).close()

    def test_on_a_port_in_use_is_refused_and_told_what_to_do(self) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            with pytest.raises(CommandError, match=rf"Cannot listen on 127\.0\.0\.1:{port} .*GREENAI_PORT"):
                _check_port("127.0.0.1", port)
        _check_port("127.0.0.1", port)


class TestLedgerWorkers:
    def test_are_as_many_as_the_setting_says_each_with_a_name_of_its_own(self, settings) -> None:
        assert _ledger_workers() == ["ledger"]
        settings.GREENAI = {**settings.GREENAI, "ledger_workers": 3}
        assert _ledger_workers() == ["ledger", "ledger-2", "ledger-3"]

    def test_are_one_on_sqlite_and_get_a_nudge_each_on_postgresql(self) -> None:
        code = (
            "from django.conf import settings as s; "
            "print(s.GREENAI['ledger_workers'], sum(k.startswith('ledger-') for k in s.CELERY_BEAT_SCHEDULE))"
        )
        env = {**os.environ, "DJANGO_SETTINGS_MODULE": "greenai.settings", "GREENAI_LEDGER_WORKERS": "3"}
        for url, told in (("sqlite:////tmp/none", "1 1"), ("postgres://nobody@127.0.0.1:1/none", "3 3")):
            run = subprocess.run(
                [sys.executable, "-c", code],
                cwd=ROOT,
                env={**env, "DATABASE_URL": url},
                capture_output=True,
                check=True,
            )
            assert run.stdout.decode().strip() == told


@pytest.mark.django_db
class TestPrepare:
    def test_makes_what_a_new_installation_needs(self, tmp_path: Path) -> None:
        made = prepare(data_dir=tmp_path, now=NOW)
        secret = made.token_file.read_text().strip()
        assert authenticate(f"Bearer {secret}", scope="ingest", now=NOW).site == made.site
        assert made.token_file.stat().st_mode & 0o777 == 0o600
        assert made.administrator.organisation_role == "administrator" and not made.administrator.has_usable_password()
        assert Workload.objects.filter(team=made.team).count() >= 2

    def test_a_second_start_keeps_all_of_it(self, tmp_path: Path) -> None:
        first = prepare(data_dir=tmp_path, now=NOW)
        secret = first.token_file.read_text()
        counts = [model.objects.count() for model in (Site, Team, User, ApiToken, Workload)]
        second = prepare(data_dir=tmp_path, now=NOW)
        assert (second, second.token_file.read_text()) == (first, secret)
        assert [model.objects.count() for model in (Site, Team, User, ApiToken, Workload)] == counts

    def test_a_token_that_was_revoked_is_replaced(self, tmp_path: Path) -> None:
        first = prepare(data_dir=tmp_path, now=NOW)
        revoke_token(ApiToken.objects.get(), by="test", now=NOW)
        second = prepare(data_dir=tmp_path, now=NOW).token_file.read_text().strip()
        assert authenticate(f"Bearer {second}", scope="ingest", now=NOW).site == first.site

    def test_takes_another_name_where_admin_is_somebody_else(self, tmp_path: Path) -> None:
        User.objects.create(username="admin")
        assert prepare(data_dir=tmp_path, now=NOW).administrator.username.startswith("admin-")
