"""Keys to partitions: as every other Kafka client chooses them."""

import pytest
from aiokafka.partitioner import DefaultPartitioner
from hypothesis import given
from hypothesis import strategies as st

from contracts.topics import PARTITIONS
from services.chassis.partitions import FEW, murmur2, murmur2_of_alike, partition_of, partitions_of

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


@given(st.integers(0, 50).flatmap(lambda size: st.lists(st.binary(min_size=size, max_size=size), min_size=1)))
def test_keys_of_one_length_have_the_same_hashes_together(keys: list[bytes]) -> None:
    """Whatever the length, and whatever the bytes."""
    assert list(map(murmur2, keys)) == murmur2_of_alike(keys)


@given(st.lists(st.text(max_size=4) | st.uuids().map(str), max_size=3 * FEW))
def test_many_keys_go_where_each_goes_alone(keys: list[str]) -> None:
    """Known before or not, few or many of a length, repeats included."""
    partitions = list(range(PARTITIONS))
    assert [DefaultPartitioner()(key.encode(), partitions, partitions) for key in keys] == partitions_of(keys)


@given(st.text(max_size=200))
def test_a_key_goes_where_another_client_sends_it(key: str) -> None:
    """aiokafka's own partitioner, a port of Java's, chooses the same partition for any text."""
    partitions = list(range(PARTITIONS))
    assert DefaultPartitioner()(key.encode(), partitions, partitions) == partition_of(key)
