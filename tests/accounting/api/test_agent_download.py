import hashlib
import io
import zipfile
from pathlib import Path

import pytest
from django.test import Client

from accounting.agent.build import build
from accounting.api.agent_download import _built


@pytest.fixture(autouse=True)
def _own_folder(settings, tmp_path: Path) -> None:
    settings.DATA_DIR = tmp_path
    _built.cache_clear()


class TestAgentDownload:
    def test_serves_what_the_build_makes(self, client: Client, tmp_path: Path) -> None:
        response = client.get("/agent/greenai-agent.pyz")
        build(tmp_path / "again.pyz")
        assert response.content == (tmp_path / "again.pyz").read_bytes()
        assert "accounting/agent/wire.py" in zipfile.ZipFile(io.BytesIO(response.content)).namelist()
        assert 'filename="greenai-agent.pyz"' in response["Content-Disposition"]

    def test_names_its_sha256_as_sha256sum_reads_it(self, client: Client) -> None:
        archive = client.get("/agent/greenai-agent.pyz").content
        line = client.get("/agent/greenai-agent.pyz.sha256").content.decode()
        assert line == f"{hashlib.sha256(archive).hexdigest()}  greenai-agent.pyz\n"

    def test_is_read_only(self, client: Client) -> None:
        assert client.post("/agent/greenai-agent.pyz").status_code == 405
