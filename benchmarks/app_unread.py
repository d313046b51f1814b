"""An application that never reads its replies: `python -m benchmarks.app_unread ADDRESS TOKEN NUMBER`.

It sends that many messages, says so, and waits for its input to end.
"""

import sys
from typing import Final

from benchmarks.app_thin import ID_LENGTH, App

SENT: Final = "sent"


def surb_id(number: int) -> bytes:
    """The SURB id of a message."""
    return number.to_bytes(ID_LENGTH, "big")


if __name__ == "__main__":
    application = App(sys.argv[1], bytes.fromhex(sys.argv[2]))
    echo = application.echo
    for place in range(int(sys.argv[3])):
        application.send_message(echo, b"", surb_id(place + 1))
    print(SENT, flush=True)
    sys.stdin.read()
