"""Shared by every test: the running product for flows and browser tests, and plain static files."""

from collections.abc import Iterator
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
