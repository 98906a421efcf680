r"""Foreign texts, whose control characters are written out as ``\x1b`` before anybody sees them."""

from __future__ import annotations

import re

# Control characters but the newline; what turns the direction of text or breaks lines; halves of
# characters, which stand for bytes of file names that are no text.
_UNSAFE = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def make_encodable(text: str) -> str:
    r"""Return a text with halves of characters written out: no file could hold them.

    >>> print(make_encodable("gr\udcfcn.onnx"))
    gr\udcfcn.onnx
    """
    return text.encode(errors="backslashreplace").decode()


def escape(text: str) -> str:
    r"""Return a text with its control characters written out; newlines stay.

    >>> print(escape("red\x1b[31m panda"))
    red\x1b[31m panda
    """
    return _UNSAFE.sub(lambda found: ascii(found[0])[1:-1], text)
