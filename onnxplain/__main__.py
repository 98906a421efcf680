"""``python -m onnxplain`` is the command ``onnxplain``."""

from onnxplain.cli import main

if __name__ == "__main__":
    main(prog_name="onnxplain")
