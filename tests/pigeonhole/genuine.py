"""What was recorded of Pigeonhole on a running network of the reference; its keys were thrown away with it."""

from typing import Any

from tests.support.vectors import recorded

GENUINE: dict[str, Any] = recorded("pigeonhole_genuine.json")
DAEMON_WRITE: dict[str, Any] = GENUINE["daemon_write"]
DAEMON_READ: dict[str, Any] = GENUINE["daemon_read"]
EXCHANGES: dict[str, dict[str, Any]] = {exchange["name"]: exchange for exchange in GENUINE["exchanges"]}
EMBEDDED: list[str] = GENUINE["copy"]["success"]["embedded_envelopes"]
ELEMENTS: list[str] = GENUINE["daemon_copy_stream"]["elements"]
MAX_PLAINTEXT: int = GENUINE["network"]["MaxPlaintextPayloadLength"]

QUERIES = {
    "daemon write": DAEMON_WRITE["message_ciphertext"],
    "daemon read": DAEMON_READ["message_ciphertext"],
    "copy command": GENUINE["copy"]["success"]["query"],
    **{name: exchange["query"] for name, exchange in EXCHANGES.items()},
}
REPLIES = {
    "copied": GENUINE["copy"]["success"]["final_reply"],
    "conflict": GENUINE["copy"]["conflict"]["final_reply"],
    "in progress": GENUINE["copy"]["in_progress_reply"],
    **{
        f"{name} {number}": reply["wire"]
        for name, exchange in EXCHANGES.items()
        for number, reply in enumerate(exchange["replies"])
    },
}
INNER = {
    "daemon write": DAEMON_WRITE["parts"]["inner"],
    "daemon read": DAEMON_READ["parts"]["inner"],
    **{name: exchange["inner"] for name, exchange in EXCHANGES.items() if name != "inner type 2"},
}
INNER_REPLIES = {
    f"{name} {number}": reply["plain"]
    for name, exchange in EXCHANGES.items()
    for number, reply in enumerate(exchange["replies"])
    if "plain" in reply
}
