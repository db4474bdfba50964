"""The partition that every other Kafka client would choose for a key."""

import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contracts.topics import PARTITIONS

_MASK = 0xFFFFFFFF
_M = 0x5BD1E995
_M32 = np.uint32(_M)

FEW = 16
"""So few keys are worked out one by one: columns have a price of their own."""

MOST_KNOWN = 65_536
_known: dict[str, int] = {}
"""Partitions of the latest keys: an event's effects have the same."""


def murmur2(key: bytes) -> int:
    """Kafka's 32-bit murmur2 (seed 0x9747b28c), as an unsigned integer. Source: Apache Kafka, Utils.murmur2."""
    length = len(key)
    whole = length >> 2
    h = 0x9747B28C ^ length
    for word in struct.unpack_from(f"<{whole}I", key):
        k = word * _M & _MASK
        h = (h * _M & _MASK) ^ ((k ^ k >> 24) * _M & _MASK)
    rest = length & 3
    if rest:
        h = (h ^ int.from_bytes(key[-rest:], "little")) * _M & _MASK
    h = (h ^ h >> 13) * _M & _MASK
    return h ^ h >> 15


def partition_of(key: str) -> int:
    """Partition of a key among the partitions that every topic of facts has."""
    return partitions_of([key])[0]


def partitions_of(keys: Sequence[str]) -> list[int]:
    """Partitions of many keys: those not known yet are worked out together, in a tenth of the time."""
    unknown = [key for key in dict.fromkeys(keys) if key not in _known]
    if unknown:
        if len(_known) > MOST_KNOWN:
            _known.clear()
            unknown = list(dict.fromkeys(keys))
        by_length: dict[int, list[bytes]] = {}
        for key in map(str.encode, unknown):
            by_length.setdefault(len(key), []).append(key)
        for alike in by_length.values():
            hashes = map(murmur2, alike) if len(alike) < FEW else murmur2_of_alike(alike)
            for key, value in zip(alike, hashes, strict=True):
                _known[key.decode()] = (value & 0x7FFFFFFF) % PARTITIONS
    return [_known[key] for key in keys]


def murmur2_of_alike(keys: Sequence[bytes]) -> list[int]:
    """murmur2 of keys that are all of one length."""
    length = len(keys[0])
    whole, rest = length & ~3, length & 3
    columns = np.frombuffer(b"".join(keys), np.uint8).reshape(len(keys), length)
    h: NDArray[Any] = np.full(len(keys), 0x9747B28C ^ length, np.uint32)
    for word in np.ascontiguousarray(columns[:, :whole]).view("<u4").T:
        k = word * _M32
        h = (h * _M32) ^ ((k ^ k >> 24) * _M32)
    if rest:
        last = np.zeros((len(keys), 4), np.uint8)
        last[:, :rest] = columns[:, whole:]
        h = (h ^ last.view("<u4")[:, 0]) * _M32
    h = (h ^ h >> 13) * _M32
    hashes: list[int] = (h ^ h >> 15).tolist()
    return hashes
