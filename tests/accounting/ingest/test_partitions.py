"""The sample table in days. PostgreSQL only: SQLite has one table."""

import threading
from datetime import UTC, datetime, timedelta

import pytest
from django.conf import settings
from django.db import connection, connections
from django.db.migrations.executor import MigrationExecutor

from accounting.access import issue_token
from accounting.agent.wire import DeviceSample, TelemetryBatch
from accounting.ingest import partitions
from accounting.ingest.dirty import TooWide
from accounting.ingest.store import store
from accounting.models import ApiToken, Device, Host, Site
from accounting.models import DeviceSample as StoredSample

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def number(at: datetime) -> int:
    return int(at.timestamp()) // 86_400


def post(token: ApiToken, *instants: datetime) -> int:
    samples = [DeviceSample("gpu-0", at.isoformat(), power_w=5.0, host="node-1") for at in instants]
    return store(TelemetryBatch(device_samples=samples), token=token, now=NOON).accepted


@pytest.fixture
def token(transactional_db: None) -> ApiToken:
    return issue_token(name="t", scopes=["ingest"], site=Site.objects.create(name="Paris", slug="paris"))[0]


def on_its_own(call) -> None:
    try:
        call()
    finally:
        connections.close_all()


if settings.SQLITE:

    class TestOneTable:
        def test_takes_any_day_and_has_none_to_make(self, token: ApiToken) -> None:
            assert post(token, *(NOON - DAY * k for k in range(100))) == 100
            assert partitions.ensure_ahead(now=NOON) == 0 and partitions.standing() == set()

else:

    @pytest.fixture(autouse=True)
    def days_of_its_own(transactional_db: None):
        """Days of 2011, which no other test writes to."""
        yield
        StoredSample.objects.all().delete()
        for day in partitions.made():
            if day < number(datetime(2012, 1, 1, tzinfo=UTC)):
                partitions.drop(day)

    OLD = datetime(2011, 5, 1, 23, 59, 59, tzinfo=UTC)

    class TestDays:
        def test_are_made_when_a_batch_needs_them_and_hold_its_samples(self, token: ApiToken) -> None:
            assert post(token, OLD, OLD + timedelta(seconds=1)) == 2
            with connection.cursor() as cursor:
                for at in (OLD, OLD + timedelta(seconds=1)):
                    cursor.execute(f"SELECT measured_at_us FROM {partitions.name_of(number(at))}")
                    assert cursor.fetchall() == [(int(at.timestamp()) * 1_000_000,)]

        def test_are_made_ahead(self, token: ApiToken) -> None:
            at = datetime(2011, 7, 1, tzinfo=UTC)
            assert partitions.ensure_ahead(now=at) == 4 and partitions.ensure_ahead(now=at) == 0
            assert {number(at) + k for k in range(4)} <= partitions.standing()

        def test_cost_no_query_once_known(self, token: ApiToken, django_assert_num_queries) -> None:
            post(token, OLD)
            with django_assert_num_queries(0):
                assert partitions.ensure({number(OLD)}) == 0

        def test_too_many_for_one_request_are_refused_and_nothing_is_made(self, token: ApiToken) -> None:
            before = partitions.standing()
            with pytest.raises(TooWide, match=r"33 days .* 32 at most"):
                post(token, *(OLD + DAY * k for k in range(33)))
            assert partitions.standing() == before
            assert post(token, *(OLD + DAY * k for k in range(32))) == 32

        def test_that_another_process_dropped_are_made_again(self, token: ApiToken) -> None:
            post(token, OLD)
            StoredSample.objects.all().delete()
            known = set(partitions._known[str(connection.settings_dict["NAME"])])
            partitions.drop(number(OLD))
            partitions._known[str(connection.settings_dict["NAME"])] = known
            assert post(token, OLD) == 1

        def test_are_made_once_by_many_at_once(self, token: ApiToken) -> None:
            failures: list[BaseException] = []
            barrier = threading.Barrier(6)

            def work() -> None:
                partitions._known.clear()
                barrier.wait()
                try:
                    for k in range(5):
                        post(token, OLD + DAY * k)
                except BaseException as error:
                    failures.append(error)

            threads = [threading.Thread(target=on_its_own, args=(work,)) for _ in range(6)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert failures == [] and StoredSample.objects.count() == 5

        def test_are_made_while_others_read_and_write(self, token: ApiToken) -> None:
            """A reader and a writer of the table with open transactions: making a day waits for neither."""
            post(token, NOON)
            opened, done = threading.Event(), threading.Event()

            def hold_open() -> None:
                with connection.cursor() as cursor:
                    cursor.execute("BEGIN")
                    cursor.execute("SELECT count(*) FROM accounting_devicesample")
                    cursor.execute("UPDATE accounting_devicesample SET power_w = 6")
                    opened.set()
                    done.wait(20)
                    cursor.execute("ROLLBACK")

            other = threading.Thread(target=on_its_own, args=(hold_open,))
            other.start()
            opened.wait(20)
            try:
                assert post(token, OLD) == 1
            finally:
                done.set()
                other.join()

        def test_are_dropped_while_others_read_other_days(self, token: ApiToken) -> None:
            post(token, OLD, NOON)
            partitions.drop(number(OLD))
            assert StoredSample.objects.count() == 1 and number(OLD) not in partitions.made()

        def test_a_drop_that_was_cut_off_is_finished(self, token: ApiToken) -> None:
            post(token, OLD)
            name = partitions.name_of(number(OLD))
            with connection.cursor() as cursor:
                cursor.execute(f"ALTER TABLE accounting_devicesample DETACH PARTITION {name} CONCURRENTLY")
            assert number(OLD) not in partitions.standing() and number(OLD) in partitions.made()
            partitions.drop(number(OLD))
            assert number(OLD) not in partitions.made()

    class TestMigration:
        def test_moves_every_row_there_and_back(self, token: ApiToken) -> None:
            host = Host.objects.create(name="h", site=token.site)
            device = Device.objects.create(host=host, key="d", acquired_at=OLD)
            post(token, *(OLD + DAY * k for k in range(20)))
            before = list(StoredSample.objects.order_by("pk").values())
            latest = [n for n in MigrationExecutor(connection).loader.graph.leaf_nodes() if n[0] == "accounting"]
            try:
                MigrationExecutor(connection).migrate([("accounting", "0008_intake")])
                with connection.cursor() as cursor:
                    cursor.execute("SELECT relkind FROM pg_class WHERE relname = 'accounting_devicesample'")
                    assert cursor.fetchone() == ("r",)
                assert list(StoredSample.objects.order_by("pk").values()) == before
            finally:
                MigrationExecutor(connection).migrate(latest)
            assert list(StoredSample.objects.order_by("pk").values()) == before and len(before) == 20
            assert {number(OLD) + k for k in range(20)} <= partitions.standing()
            with connection.cursor() as cursor:
                kinds = (
                    "SELECT contype, count(*) FROM pg_constraint WHERE conrelid = 'accounting_devicesample'::regclass"
                )
                cursor.execute(f"{kinds} GROUP BY 1 ORDER BY 1")
                assert cursor.fetchall() == [("f", 2), ("p", 1)], device
