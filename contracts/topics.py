"""The topics: each belongs to the one service that writes it."""

from enum import StrEnum


class Topic(StrEnum):
    """A Kafka topic, by its name. Partitions, retention and access are declared in deploy/topics.yaml."""

    SUBMISSIONS = "submissions"
    TRIAGE = "triage"
    PLACEMENTS = "placements"
    BOOKINGS = "bookings"
    REFERRALS = "referrals"
    NOTIFICATIONS = "notifications"
    SERVICES = "services"
    DESKS = "desks"
    CAPACITY = "capacity"
    DIARIES = "diaries"


PARTITIONS = 12
"""Partitions of every topic of facts: a referral has the same partition everywhere. Never changed."""

COMPACTED = frozenset((Topic.SERVICES, Topic.DESKS, Topic.CAPACITY, Topic.DIARIES))
"""Topics that keep the newest record of each key for good, and so may hold tombstones."""
