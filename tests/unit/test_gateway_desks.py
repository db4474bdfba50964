"""The desks in memory."""

from contracts.people import Desk
from contracts.topics import Topic
from services.chassis.reader import Tombstone
from services.gateway.desks import Desks
from tests.gateway_examples import DESK, listed

MOVED = Desk(organisation="RX9", name="Trust clinical hub", telephone="01632 960002")


def test_an_organisation_without_a_desk_has_none() -> None:
    """Nothing is made up."""
    assert None is Desks().of("RX9")


def test_the_highest_version_stands_whatever_the_order() -> None:
    """A late repeat of an older listing changes nothing."""
    desks = Desks()
    desks.learn([listed(MOVED, version=2)])
    desks.learn([listed(DESK, version=1)])
    assert MOVED == desks.of("RX9")


def test_a_newer_listing_replaces_the_older() -> None:
    """A desk that moves is found where it is now."""
    desks = Desks()
    desks.learn([listed(DESK, version=1), listed(MOVED, version=2)])
    assert MOVED == desks.of("RX9")


def test_a_tombstone_takes_the_desk_away() -> None:
    """An organisation that gave up its desk cannot submit."""
    desks = Desks()
    desks.learn([listed(), Tombstone(Topic.DESKS, "RX9")])
    assert None is desks.of("RX9")
