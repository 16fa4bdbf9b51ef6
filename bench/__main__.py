"""``python -m bench`` is ``kdbench``."""

from bench.cli.app import main

if __name__ == "__main__":
    main()
