"""``python -m snnbench``."""

from snnbench.cli import main

if __name__ == "__main__":
    main()
