"""The link protocol between a client and a gateway, sans-IO: a post-quantum Noise session that carries commands.

Theory of operation. `session.NoiseSession` is fed the bytes that arrived and returns events; it returns bytes to write
and never touches a socket or a clock. Below it, `handshake_driver` decides which message is sent when and whether the
peer is the right one; `handshake` composes and reads the four messages of the pattern pqXX over `noise`, the symmetric
state; `transport` seals and opens frames; `commands` turns their contents into values and back. Beside it, `consensus`
puts a document together from its chunks.
"""
