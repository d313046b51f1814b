"""Networks with other packets and other links than the usual: the same daemon, the same wire, other sizes."""

import pytest
import trio

from sphinx.geometry import Geometry
from tests.support.world import world

GEOMETRIES = {
    "x448": Geometry.nike("x448", 5, 2000),
    "six layers": Geometry.nike("x25519", 8, 500),
    "one layer": Geometry.nike("x25519", 3, 2000),
    "large payload": Geometry.nike("x25519", 5, 30_000),
    "X-Wing packets": Geometry.kem("XWING", 5, 2000),
    "ML-KEM packets": Geometry.kem("MLKEM768", 5, 2000),
}


@pytest.mark.parametrize("geometry", GEOMETRIES.values(), ids=GEOMETRIES)
async def test_messages_go_there_and_back_in_packets_of_any_scheme(
    geometry: Geometry, autojump_clock: trio.abc.Clock
) -> None:
    async with world(geometry=geometry, lambda_p=0.01, lambda_l=0.001) as here:
        app = await here.app()
        ids = [number.to_bytes(16, "big") for number in range(5)]
        payload = bytes(range(256)) * (geometry.user_forward_payload_length // 256)
        for surb_id in ids:
            await app.send(here.service(), payload, surb_id)
        await here.until(lambda: not app.unanswered(ids), 120)
        assert all(app.replies[surb_id][0].startswith(payload) for surb_id in ids)


@pytest.mark.parametrize("kem", ["Kyber768-X25519", "MLKEM768-X25519", "MLKEM768", "x25519"])
async def test_the_link_speaks_every_kem_that_networks_use(kem: str, autojump_clock: trio.abc.Clock) -> None:
    async with world(wire_kem=kem, lambda_p=0.01) as here:
        app = await here.app()
        await app.send(here.service(), b"over another link", b"k" * 16)
        await here.until(lambda: not app.unanswered([b"k" * 16]), 120)
