"""`onward`: the command line. With the composition root, the only place that knows every service."""

import sys

from services.cli.speaking import explain


def main() -> None:
    """Run the command line; an error is a sentence and an exit code, never a traceback."""
    from services.cli.commands import app

    try:
        app()
    except Exception as error:
        sys.exit(explain(error))
