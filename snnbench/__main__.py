"""``python -m snnbench``, and the console script: quick to fail politely while it loads."""

from __future__ import annotations

import sys


def main() -> None:
    """Load the command line and run it; Ctrl-C is no traceback even before that."""
    try:
        from snnbench.cli.main import main as run

        run()
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
