"""Too much at once, and a database in trouble: refused with a time to come back, never hung, nothing acknowledged."""

import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from django.conf import settings as project
from django.db import connection, connections
from django.http import HttpResponse

from accounting.agent.wire import decode_reply
from accounting.api.gate import Gate
from accounting.api.problem import Problem
from accounting.models import DeviceSample

Post = Callable[..., HttpResponse]
Batch = Callable[..., bytes]


def refused(response: HttpResponse, code: str) -> None:
    assert (response.status_code, json.loads(response.content)["code"]) == (503, code)
    assert 1 <= int(response["Retry-After"]) <= 10


class TestGate:
    def test_lets_no_more_in_than_it_says_and_the_rest_come_back_later(self) -> None:
        gate, inside, most, outcomes = Gate(at_once=3, waiting=2, patience_s=5.0), [], [], []

        def work(_: int) -> None:
            try:
                with gate.slot():
                    inside.append(1)
                    most.append(len(inside))
                    time.sleep(0.3)
                    inside.pop()
                outcomes.append("stored")
            except Problem as problem:
                outcomes.append(f"{problem.status} {problem.code}")

        with ThreadPoolExecutor(12) as pool:
            list(pool.map(work, range(12)))
        assert max(most) == 3
        # 3 at once, 2 wait for them, 7 find both full
        assert sorted(outcomes) == ["503 busy"] * 7 + ["stored"] * 5

    def test_waits_no_longer_than_its_patience(self) -> None:
        gate = Gate(at_once=1, waiting=1, patience_s=0.1)
        with gate.slot():
            started = time.monotonic()
            with pytest.raises(Problem) as problem, gate.slot():
                pass
            assert 0.05 < time.monotonic() - started < 2.0
        assert problem.value.code == "busy"
        with gate.slot():  # and what was refused holds nothing
            pass

    def test_is_free_again_after_a_failure(self) -> None:
        gate = Gate(at_once=1, waiting=0)
        for _ in range(3):
            with pytest.raises(ValueError), gate.slot():
                raise ValueError

    def test_sends_those_it_turned_away_back_at_different_times(self) -> None:
        gate, times = Gate(at_once=0, waiting=0), set()
        for _ in range(60):
            with pytest.raises(Problem) as problem, gate.slot():
                pass
            times.add(problem.value.headers["Retry-After"])
        assert len(times) > 2

    def test_stands_before_telemetry(self, post: Post, batch: Batch, monkeypatch: pytest.MonkeyPatch) -> None:
        gate = Gate(at_once=1, waiting=0)
        monkeypatch.setattr("accounting.api.telemetry.ingest_gate", lambda: gate)
        with gate.slot():
            refused(post(batch({})), "busy")
        assert not DeviceSample.objects.exists()
        assert decode_reply(post(batch({})).content).accepted == 1


if not project.SQLITE:

    def other_connection() -> psycopg.Connection:
        told = connection.settings_dict
        return psycopg.connect(
            host=told["HOST"], port=told["PORT"], user=told["USER"], password=told["PASSWORD"], dbname=told["NAME"]
        )

    @pytest.mark.django_db(transaction=True)
    class TestDatabaseInTrouble:
        """Real trouble of a real server; after it the same post is taken."""

        def test_locked_for_long_is_answered_in_time(self, post: Post, batch: Batch) -> None:
            assert post(batch({})).status_code == 200
            with other_connection() as other:
                other.execute("LOCK TABLE accounting_dirtyhour IN ACCESS EXCLUSIVE MODE")
                with connection.cursor() as cursor:
                    cursor.execute("SET lock_timeout = 300")
                started = time.monotonic()
                refused(post(batch({"device": "gpu-7"})), "try_again")
                assert time.monotonic() - started < 5.0
                other.rollback()
            assert DeviceSample.objects.count() == 1
            assert decode_reply(post(batch({"device": "gpu-7"})).content).accepted == 1
            connections.close_all()

        def test_read_only(self, post: Post, batch: Batch) -> None:
            with connection.cursor() as cursor:
                cursor.execute("SET default_transaction_read_only = on")
            refused(post(batch({})), "try_again")
            with connection.cursor() as cursor:
                cursor.execute("SET default_transaction_read_only = off")
            assert decode_reply(post(batch({})).content).accepted == 1

        def test_full(self, post: Post, batch: Batch) -> None:
            """The server's own error class for a full disk, raised by the server at the last write of a batch."""
            with other_connection() as other:
                other.execute(
                    "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS "
                    "$$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = 'disk_full'; END $$"
                )
                other.execute(
                    "CREATE TRIGGER full_disk BEFORE INSERT ON accounting_dirtyhour EXECUTE FUNCTION full_disk()"
                )
            try:
                refused(post(batch({})), "try_again")
                assert not DeviceSample.objects.exists()
            finally:
                with other_connection() as other:
                    other.execute("DROP FUNCTION full_disk() CASCADE")
            assert decode_reply(post(batch({})).content).accepted == 1

        def test_that_ends_the_connection_in_the_middle(self, post: Post, batch: Batch) -> None:
            assert post(batch({})).status_code == 200
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_backend_pid()")
                pid = cursor.fetchone()[0]
            with other_connection() as other:
                other.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
            refused(post(batch({"device": "gpu-7"})), "try_again")
            connections.close_all()
            assert decode_reply(post(batch({"device": "gpu-7"})).content).accepted == 1

        def test_many_at_once_store_each_batch_once(self, post: Post, batch: Batch, monkeypatch) -> None:
            gate = Gate(at_once=2, waiting=1, patience_s=0.2)
            monkeypatch.setattr("accounting.api.telemetry.ingest_gate", lambda: gate)
            bodies = [batch({"device": f"gpu-{k}"}) for k in range(24)]
            accepted, lock = [], threading.Lock()

            def deliver(body: bytes) -> None:
                try:
                    while (response := post(body)).status_code == 503:
                        time.sleep(0.05)
                    with lock:
                        accepted.append(decode_reply(response.content).accepted)
                finally:
                    connections.close_all()

            with ThreadPoolExecutor(12) as pool:
                list(pool.map(deliver, bodies))
            assert accepted == [1] * 24 and DeviceSample.objects.count() == 24
