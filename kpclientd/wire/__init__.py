"""The link protocol between a client and a gateway, sans-IO: a post-quantum Noise session that carries commands.

Theory of operation. `session.Session` is fed the bytes that arrived and returns events; it returns bytes to write
and never touches a socket or a clock. Below it, `handshake` walks through the four messages of the pattern pqXX,
`noise` keeps the symmetric state, `transport` seals and opens frames; `commands` turns frames into values and back;
`consensus` puts a document together from its chunks.
"""
