"""Kombu's filesystem transport, safe for several processes on one folder.

Kombu writes a message under its final name, so that a worker may take it half written and end on it; and it empties an
exchange's table before it locks it. Here a message appears whole, and a table that reads empty is read again.
"""

import os
import time
import uuid
from typing import Any

from kombu.transport import TRANSPORT_ALIASES, filesystem
from kombu.utils.json import dumps

SCHEME = "files"
TABLE_TRIES, TABLE_PAUSE_S = 50, 0.02


class Channel(filesystem.Channel):
    def _put(self, queue: str, payload: Any, **kwargs: Any) -> None:
        name = f"{time.monotonic_ns() // 1_000_000}_{uuid.uuid4()}.{queue}.msg"
        unfinished = os.path.join(self.data_folder_out, f"unfinished_{name}.tmp")
        with open(unfinished, "w") as file:
            file.write(dumps(payload))
        os.replace(unfinished, os.path.join(self.data_folder_out, name))

    def get_table(self, exchange: str) -> list[Any]:
        for _ in range(TABLE_TRIES):
            try:
                return super().get_table(exchange)
            except ValueError:  # another process is just writing it
                time.sleep(TABLE_PAUSE_S)
        return super().get_table(exchange)


class Transport(filesystem.Transport):
    Channel = Channel


def register() -> None:
    """Make `files://` a broker address that every Celery process of this project understands."""
    TRANSPORT_ALIASES[SCHEME] = f"{__name__}:{Transport.__name__}"
