"""The one command that puts an agent on a machine."""

import shlex
from ipaddress import ip_address
from urllib.parse import urlsplit

from django.urls import reverse


def agent_command(secret: str, *, server: str) -> str:
    """Fetch the agent, check it against the server's SHA-256, keep the token in a file only its owner reads, run.

    The token never stands in a process list: `printf` is built into the shell.
    """
    archive, checksum = (server + reverse(name) for name in ("agent-archive", "agent-sha256"))
    file = archive.rpartition("/")[2]
    return " && \\\n".join(
        [
            "mkdir -p ~/.greenai && cd ~/.greenai",
            f"curl -fsSO {shlex.quote(archive)}",
            f"curl -fsS {shlex.quote(checksum)} | sha256sum -c -",
            f"(umask 077 && printf '%s\\n' {shlex.quote(secret)} > token)",
            f"python3 {file} run --server {shlex.quote(server)} --token-file token",
        ]
    )


def only_this_machine(server: str) -> bool:
    """Whether the address is one that no other machine can reach."""
    host = urlsplit(server).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
