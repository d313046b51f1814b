"""Networks of hundreds of nodes: documents of megabytes, from the gateway to the application."""

import trio

from tests.support.world import world


async def test_a_network_of_nine_hundred_nodes_is_joined_and_its_document_told_whole(
    autojump_clock: trio.abc.Clock,
) -> None:
    async with world(nodes=900, gateways=3, lambda_p=0.01, lambda_l=0.001) as here:
        app = await here.app()
        document = app.client.document
        assert document is not None
        assert len(list(document.mix_descriptors())) == 900
        ids = [number.to_bytes(16, "big") for number in range(20)]
        for surb_id in ids:
            await app.send(here.service(), b"through many mixes", surb_id)
        await here.until(lambda: not app.unanswered(ids), 120)


async def test_a_gateway_that_stops_is_replaced_by_another(autojump_clock: trio.abc.Clock) -> None:
    async with world(gateways=3, lambda_p=0.01, lambda_l=0.001) as here:
        name = here.daemon.status().link.gateway
        assert name is not None
        gateway = here.network.find_gateway(name)
        assert gateway is not None
        gateway.stop()
        await here.until(lambda: here.daemon.status().link.gateway not in (None, name), 300)
        app = await here.app()
        await app.send(here.service(), b"by another way", b"w" * 16)
        await here.until(lambda: not app.unanswered([b"w" * 16]), 120)
