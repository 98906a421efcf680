"""The command ``onnxplain``, which is also ``python -m onnxplain``."""

from __future__ import annotations

import signal


def run() -> None:
    """Import the command line and run it; Ctrl-C during the imports ends the process silently."""
    ours = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if ours:  # it is not where a shell runs the command in the background
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from onnxplain.cli import main

    if ours:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    main(prog_name="onnxplain")


if __name__ == "__main__":
    run()
