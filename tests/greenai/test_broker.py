"""The embedded broker under several writers and readers at once: every message once, none half read."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
from kombu import Connection

from greenai import broker

WRITER = """
import sys
from kombu import Connection
from greenai import broker
broker.register()
folder, writer = sys.argv[1:]
options = {"data_folder_in": folder, "data_folder_out": folder, "control_folder": folder + "/control"}
with Connection("files://localhost/", transport_options=options) as connection:
    queue = connection.SimpleQueue("jobs")
    for number in range(100):
        queue.put({"writer": writer, "number": number, "padding": "x" * 5000})
"""


@pytest.fixture
def options(tmp_path: Path) -> dict[str, str]:
    broker.register()
    (tmp_path / "control").mkdir()
    folder = str(tmp_path)
    return {"data_folder_in": folder, "data_folder_out": folder, "control_folder": f"{folder}/control"}


class TestEmbeddedBroker:
    def test_hands_over_every_message_once_and_whole(self, options: dict[str, str]) -> None:
        writers = [
            subprocess.Popen([sys.executable, "-c", WRITER, options["data_folder_in"], str(number)])
            for number in range(3)
        ]
        taken: list[tuple[str, int]] = []
        deadline = time.monotonic() + 60
        with Connection("files://localhost/", transport_options=options) as connection:
            queue = connection.SimpleQueue("jobs")
            while len(taken) < 300 and time.monotonic() < deadline:
                try:
                    message = queue.get(timeout=0.2)
                except queue.Empty:
                    continue
                taken.append((message.payload["writer"], message.payload["number"]))
                message.ack()
        assert [writer.wait(10) for writer in writers] == [0, 0, 0]
        assert sorted(taken) == sorted((str(writer), number) for writer in range(3) for number in range(100))
