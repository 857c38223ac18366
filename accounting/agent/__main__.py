"""`python -m accounting.agent`, and the entry of greenai-agent.pyz."""

import sys

from accounting.agent.cli import main

if __name__ == "__main__":
    sys.exit(main())
