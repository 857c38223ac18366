"""docker-compose.yml: what it runs exists, waits for what it needs, and can be seen to be healthy."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import get_commands

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]


class TestCompose:
    def test_has_web_worker_beat_postgresql_and_redis(self, services: dict[str, Any]) -> None:
        assert {"web", "worker", "beat", "postgres", "redis"} <= set(services)

    def test_every_lasting_service_has_a_health_check(self, services: dict[str, Any]) -> None:
        lasting = {name for name, s in services.items() if s.get("restart") != "no" and "profiles" not in s}
        assert {name for name in lasting if "healthcheck" not in services[name]} == set()

    def test_runs_only_management_commands_that_exist(self, services: dict[str, Any]) -> None:
        commands = [s["command"] for s in services.values() if s.get("command", [""])[:2] == ["python", "manage.py"]]
        assert commands and all(command[2] in get_commands() for command in commands)

    def test_keeps_data_on_named_volumes(self, services: dict[str, Any]) -> None:
        assert all(":" in volume for name in ("postgres", "redis", "web") for volume in services[name]["volumes"])
