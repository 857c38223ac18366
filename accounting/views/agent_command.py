"""The one command that puts an agent on a machine."""

import shlex

PYZ = "greenai-agent.pyz"


def agent_command(secret: str, *, server: str) -> str:
    """Fetch the agent, check it against the server's SHA-256, keep the token in a file only its owner reads, run.

    The token never stands in a process list: `printf` is built into the shell.
    """
    address = shlex.quote(f"{server}/agent/{PYZ}")
    return " && \\\n".join(
        [
            "mkdir -p ~/.greenai && cd ~/.greenai",
            f"curl -fsSO {address}",
            f"curl -fsS {shlex.quote(f'{server}/agent/{PYZ}.sha256')} | sha256sum -c -",
            f"(umask 077 && printf '%s\\n' {shlex.quote(secret)} > token)",
            f"python3 {PYZ} run --server {shlex.quote(server)} --token-file token",
        ]
    )
