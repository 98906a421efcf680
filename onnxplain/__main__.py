"""The command ``onnxplain``, which is also ``python -m onnxplain``."""

from __future__ import annotations

from onnxplain.core.interrupts import own_interrupts


def run() -> None:
    """Import the command line and run it, in a process that is ours."""
    own_interrupts()
    from onnxplain.cli import main

    main(prog_name="onnxplain")


if __name__ == "__main__":
    run()
