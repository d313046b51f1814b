"""Well-known names on a D-Bus: which are any.

Source: the D-Bus specification, "Valid Names".
"""

import re
from typing import Final

EXAMPLE: Final = "network.katzenpost.kpclientd"
"""What katzenqt, a chat client, asks for."""

LONGEST_NAME: Final = 255

_ELEMENT: Final = r"[A-Za-z_-][A-Za-z0-9_-]*"
_WELL_KNOWN: Final = re.compile(rf"{_ELEMENT}(\.{_ELEMENT})+")


def fault_of_bus_name(name: str) -> str:
    """What is wrong with a name that is to be owned; empty if nothing is."""
    if len(name) <= LONGEST_NAME and _WELL_KNOWN.fullmatch(name):
        return ""
    return f'"{name}" is no well-known bus name: two or more parts between dots, such as {EXAMPLE}'
