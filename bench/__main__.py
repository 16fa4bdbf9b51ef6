"""``python -m bench`` is ``kdbench``, for a machine where nothing can be installed."""

from bench.cli import main

if __name__ == "__main__":
    main()
