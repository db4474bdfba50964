"""Keys to partitions: as every other Kafka client chooses them."""

import pytest
from aiokafka.partitioner import DefaultPartitioner
from hypothesis import given
from hypothesis import strategies as st

from contracts.topics import PARTITIONS
from services.chassis.partitions import murmur2, partition_of

# Source: Apache Kafka, UtilsTest.testMurmur2, which states the hashes as signed 32-bit integers.
PUBLISHED = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}


@pytest.mark.parametrize(("key", "published"), PUBLISHED.items())
def test_the_hash_is_the_one_that_kafka_publishes(key: bytes, published: int) -> None:
    """Kafka's own test vectors hold."""
    assert published % 2**32 == murmur2(key)


@given(st.text(max_size=200))
def test_a_key_goes_where_another_client_sends_it(key: str) -> None:
    """aiokafka's own partitioner, a port of Java's, chooses the same partition for any text."""
    partitions = list(range(PARTITIONS))
    assert DefaultPartitioner()(key.encode(), partitions, partitions) == partition_of(key)
