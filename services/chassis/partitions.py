"""The partition that every other Kafka client would choose for a key."""

import struct
from functools import lru_cache

from contracts.topics import PARTITIONS

_MASK = 0xFFFFFFFF
_M = 0x5BD1E995


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


@lru_cache(maxsize=65_536)
def partition_of(key: str) -> int:
    """Partition of a key among the partitions that every topic of facts has."""
    return (murmur2(key.encode()) & 0x7FFFFFFF) % PARTITIONS
