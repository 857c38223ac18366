"""Packs the agent into one file, greenai-agent.pyz, that runs wherever Python 3.11 does. Same input, same bytes.

Where this Python has NVIDIA's binding (pynvml, BSD licence in its header), it goes along, so that a GPU host needs no
pip; one installed on the host is taken first, for it matches the driver there.
"""

import hashlib
import importlib.util
import io
import os
import tempfile
import zipfile
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
SHEBANG = b"#!/usr/bin/env python3\n"
EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest a zip can say
LEFT_OUT = {"build.py"}
MAIN = '''\
"""greenai-agent: measures this host and posts it to GreenAI."""

import os
import sys

if sys.version_info < (3, 11):
    sys.exit("greenai-agent needs Python 3.11 or newer, this is " + sys.version.split()[0])
sys.path.append(os.path.join(os.path.dirname(__file__), "bundled"))

from accounting.agent.cli import main

sys.exit(main())
'''


def build(path: Path) -> str:
    """Write the archive to `path`, whole or not at all. Returns its SHA-256 in hexadecimal."""
    archive = pack(_sources())
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, unfinished = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    with os.fdopen(handle, "wb") as file:
        file.write(archive)
    os.chmod(unfinished, 0o755)
    os.replace(unfinished, path)
    return hashlib.sha256(archive).hexdigest()


def pack(sources: dict[str, bytes]) -> bytes:
    """A zip with a shebang: sorted, stored rather than deflated (zlib's bytes differ by release), all of one date."""
    body = io.BytesIO(SHEBANG)
    body.seek(0, io.SEEK_END)
    with zipfile.ZipFile(body, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(sources):
            entry = zipfile.ZipInfo(name, date_time=EPOCH)
            entry.create_system, entry.external_attr = 3, 0o644 << 16
            archive.writestr(entry, sources[name])
    return body.getvalue()


def _sources() -> dict[str, bytes]:
    sources = {"__main__.py": MAIN.encode(), "accounting/__init__.py": b""}
    for file in PACKAGE.rglob("*.py"):
        if file.name not in LEFT_OUT:
            sources[f"accounting/agent/{file.relative_to(PACKAGE).as_posix()}"] = file.read_bytes()
    binding = importlib.util.find_spec("pynvml")
    if binding and binding.origin and binding.origin.endswith("pynvml.py"):
        sources["bundled/pynvml.py"] = Path(binding.origin).read_bytes()
    return sources
