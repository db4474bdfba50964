"""`python -m services.cli` is `onward`."""

from services.cli import main

main()
