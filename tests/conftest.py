"""Shared by every test: the running product for flows and browser tests, and plain static files."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from tests.stack import Stack, running_stack


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The whole product, as `make run` starts it, once for the session."""
    with running_stack(Path(tmp_path_factory.mktemp("stack"))) as running:
        yield running


@pytest.fixture(autouse=True)
def _static_files_without_a_manifest(settings) -> None:
    settings.STORAGES = {
        **settings.STORAGES,
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    }
    settings.WHITENOISE_AUTOREFRESH = True  # else it warns where collectstatic has not run


@pytest.fixture(autouse=True)
def _nobody_remembers_the_devices_of_another_test() -> None:
    from accounting.ingest import intake  # not before Django is set up

    intake.forget_devices()


@pytest.fixture(autouse=True)
def _days_for_samples_made_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests that write samples past `store` find their days on PostgreSQL, as `store` would have made them."""
    from django.db.models import QuerySet

    from accounting.ingest.partitions import US_PER_DAY, ensure
    from accounting.models import DeviceSample

    bulk_create, save = QuerySet.bulk_create, DeviceSample.save

    def bulk_create_in_days(rows: QuerySet, objs: Iterable, *args: object, **options: object) -> list:
        made = list(objs)
        if rows.model is DeviceSample:
            ensure({one.measured_at_us // US_PER_DAY for one in made}, most=10_000)
        return bulk_create(rows, made, *args, **options)

    def save_in_day(sample: DeviceSample, *args: object, **options: object) -> None:
        ensure({sample.measured_at_us // US_PER_DAY})
        save(sample, *args, **options)

    monkeypatch.setattr(QuerySet, "bulk_create", bulk_create_in_days)
    monkeypatch.setattr(DeviceSample, "save", save_in_day)
