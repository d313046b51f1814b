"""Looks for time that depends on secrets: `python -m benchmarks.timing_leaks [--samples N]`.

After Reparaz, Balasch and Verbauwhede, "Dude, is my code constant time?" (2017): each work is timed on two classes of
inputs, drawn at random for each call, and Welch's t compares the classes' means. Without a leak |t| wanders below
some 4.5 however many samples there are; a leak makes it grow with their square root. The slowest tenth of all times,
where interrupts are, does not count.

The first work leaks on purpose: where it is not found, the measurement is worth nothing. The engine "python" promises
nothing, and is measured all the same.
"""

import argparse
import gc
import math
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from sphinx import Geometry, NodeId, PathHop, Recipient, RecipientId, Sphinx
from sphinx.crypto.mac import constant_time_equal
from sphinx.errors import PacketError, PayloadTagError
from sphinx.native import engine, engine_names
from sphinx.randomness import Randomness, seeded

THRESHOLD = 4.5
KEPT_SHARE = 0.9
SAMPLES = 40_000
SLOW_SHARE = 0.02
"""Of the samples, for the engine in Python."""

BATCH = 256
PARTS = 4
USER_PAYLOAD = 2000
HOPS = 5
MAC_LENGTH = 32
KEY_LENGTH = 32
MATERIAL_LENGTH = 64


@dataclass(frozen=True, slots=True)
class Work:
    """What is timed, on inputs of class 0 and 1.

    Attributes:
        name: for the table.
        make: returns an input of a class, at a fresh place in memory.
        run: takes one input; this is what is timed.
        share: of the samples that are taken of it.
    """

    name: str
    make: Callable[[int, random.Random], Any]
    run: Callable[[Any], object]
    share: float = 1.0


def copied(data: bytes) -> bytes:
    """The same bytes elsewhere: what was in use lately is fast, and must not tell the classes apart."""
    return bytes(bytearray(data))


def fixed_or_random(fixed: bytes) -> Callable[[int, random.Random], bytes]:
    return lambda kind, draws: copied(draws.randbytes(len(fixed)) if kind else fixed)


def changed(data: bytes, kind: int, last: int) -> bytes:
    """`data` with a bit changed in its first byte, or in the one at `last`."""
    corrupted = bytearray(data)
    corrupted[last if kind else 0] ^= 1
    return bytes(corrupted)


def early_exit(left: bytes, right: bytes) -> bool:
    return all(a == b for a, b in zip(left, right, strict=True))


def works() -> Iterator[Work]:
    mac = bytes(range(MAC_LENGTH))

    def differing(kind: int, draws: random.Random) -> bytes:
        return changed(mac, kind, MAC_LENGTH - 1)

    yield Work("control: a comparison that leaks", differing, lambda other: early_exit(mac, other))
    yield Work("MAC comparison: first or last byte differs", differing, lambda other: constant_time_equal(mac, other))
    for name in engine_names():
        yield from engine_works(name, SLOW_SHARE if name == "python" else 1.0)


def engine_works(name: str, share: float) -> Iterator[Work]:
    cipher, sphinx = engine(name), Sphinx(Geometry.nike("x25519", HOPS, USER_PAYLOAD), engine=name)
    geometry = sphinx.geometry
    payload = bytes(geometry.payload_tag_length + geometry.forward_payload_length)
    material = seeded(b"material").bytes(MATERIAL_LENGTH)
    for title, fixed in (
        ("a fixed key or random ones", material),
        ("a key of zeros or random ones", bytes(len(material))),
    ):
        yield Work(
            f"{name}: AEZ, {title}",
            fixed_or_random(fixed),
            lambda key: cipher.encipher(key, payload),
            share,
        )
    yield Work(
        f"{name}: AEZ, payload of zeros or random",
        fixed_or_random(payload),
        lambda data: cipher.encipher(material, data),
        share,
    )
    yield Work(
        f"{name}: AEZ deciphering, payload of zeros or random",
        fixed_or_random(payload),
        lambda data: cipher.decipher(material, data),
        share,
    )

    private = seeded(b"private").bytes(KEY_LENGTH)
    end = (Recipient(RecipientId(bytes(32))),)
    path = [PathHop(NodeId(bytes(32)), sphinx.nike.public_key(private), ())] * (HOPS - 1)
    path.append(PathHop(NodeId(bytes(32)), path[0].public_key, end))
    packet = sphinx.new_packet(path, bytes(geometry.forward_payload_length), seeded(b"packet"))
    header, rest = packet[: geometry.header_length], packet[geometry.header_length :]

    def refused(data: bytes) -> None:
        try:
            sphinx.unwrap(private, data)
        except PacketError:
            pass

    def with_wrong_mac(kind: int, draws: random.Random) -> bytes:
        return header[:-MAC_LENGTH] + changed(header[-MAC_LENGTH:], kind, MAC_LENGTH - 1) + rest

    yield Work(f"{name}: unwrap, first or last byte of the MAC wrong", with_wrong_mac, refused, share)

    def not_for(key: bytes) -> None:
        try:
            sphinx.unwrap(key, packet)
        except PacketError:
            pass

    other = seeded(b"other").bytes(KEY_LENGTH)
    yield Work(f"{name}: unwrap, a fixed private key or random ones", fixed_or_random(other), not_for, share)
    yield Work(
        f"{name}: packet, a fixed ephemeral key or random ones",
        fixed_or_random(other),
        partial(packet_by, sphinx, path, rest[MAC_LENGTH:]),
        share,
    )

    nodes = [seeded(bytes([number])).bytes(KEY_LENGTH) for number in range(HOPS)]
    keys = [sphinx.nike.public_key(node) for node in nodes]
    way = [PathHop(hop.node_id, key, hop.commands) for hop, key in zip(path, keys, strict=True)]
    for title, kept in (("tables", keys), ("tables for two hops", keys[1:3])) if sphinx.is_compiled else ():
        prepared = Sphinx(geometry, engine=name)
        prepared.keep_tables(kept)
        for scalars, fixed in (("a fixed ephemeral key", other), ("one of zeros", bytes(KEY_LENGTH))):
            yield Work(
                f"{name}: packet with {title}, {scalars} or random ones",
                fixed_or_random(fixed),
                partial(packet_by, prepared, way, rest[MAC_LENGTH:]),
                share,
            )

    def with_wrong_tag(kind: int, draws: random.Random) -> bytes:
        return cipher.encipher(material, changed(payload, kind, geometry.payload_tag_length - 1))

    def opened(delivered: bytes) -> None:
        try:
            sphinx.open_reply(material, delivered)
        except PayloadTagError:
            pass

    yield Work(f"{name}: reply, first or last byte of the tag wrong", with_wrong_tag, opened, share)


def packet_by(sphinx: Sphinx, path: Sequence[PathHop], payload: bytes, ephemeral: bytes) -> None:
    """Make a packet with that private key."""
    sphinx.new_packet(path, payload, Randomness(lambda length: ephemeral[:length]))


def measure(work: Work, samples: int, draws: random.Random) -> tuple[list[int], list[int]]:
    """Nanoseconds of each call, by class."""
    times: tuple[list[int], list[int]] = ([], [])
    clock, run = time.perf_counter_ns, work.run
    for _ in range(max(1, samples // BATCH)):
        kinds = [draws.randrange(2) for _ in range(BATCH)]
        inputs = [work.make(kind, draws) for kind in kinds]
        for kind, data in zip(kinds, inputs, strict=True):
            begin = clock()
            run(data)
            times[kind].append(clock() - begin)
    return times


def cropped(first: Sequence[float], second: Sequence[float]) -> tuple[list[float], list[float]]:
    """Both classes without what is above the quantile `KEPT_SHARE` of all."""
    pooled = sorted([*first, *second])
    limit = pooled[max(0, int(KEPT_SHARE * len(pooled)) - 1)]
    return [value for value in first if value <= limit], [value for value in second if value <= limit]


def welch_t(first: Sequence[float], second: Sequence[float]) -> float:
    """Welch's t of two samples; 0.0 where there are too few, or where neither varies and the means agree."""
    if min(len(first), len(second)) < 2:
        return 0.0
    means = [math.fsum(values) / len(values) for values in (first, second)]
    error = math.fsum(
        math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1) / len(values)
        for values, mean in zip((first, second), means, strict=True)
    )
    if error == 0:
        return 0.0 if means[0] == means[1] else math.copysign(math.inf, means[0] - means[1])
    return (means[0] - means[1]) / math.sqrt(error)


def growth(times: tuple[Sequence[float], Sequence[float]]) -> list[float]:
    """t over the first quarter of the samples, the first half, ..., all of them."""
    return [
        welch_t(*cropped(*(values[: len(values) * part // PARTS] for values in times))) for part in range(1, PARTS + 1)
    ]


def leaks(values: Sequence[float]) -> bool:
    """Whether t is beyond the threshold, and went on growing."""
    half, whole = abs(values[len(values) // 2 - 1]), abs(values[-1])
    return whole > THRESHOLD and half > THRESHOLD and whole > half


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.timing_leaks", description="time that tells secrets")
    parser.add_argument("--samples", type=int, default=SAMPLES)
    parser.add_argument("--only", default="", help="a part of the names of what to measure")
    options = parser.parse_args()
    print(f"{options.samples} samples each; |t| > {THRESHOLD} that keeps growing is a leak")
    print(f"{'work':<72} {'µs':>9} {'t: 1/4':>8} {'1/2':>8} {'3/4':>8} {'all':>8}")
    draws = random.Random()
    gc.disable()
    for work in works():
        if options.only not in work.name:
            continue
        times = measure(work, int(options.samples * work.share), draws)
        values = growth(times)
        middle = sorted([*times[0], *times[1]])[len(times[0] + times[1]) // 2] / 1e3
        columns = " ".join(f"{value:8.2f}" for value in values)
        print(f"{work.name:<72} {middle:9.2f} {columns}{'  LEAK' if leaks(values) else ''}", flush=True)
        gc.collect()


if __name__ == "__main__":
    main()
