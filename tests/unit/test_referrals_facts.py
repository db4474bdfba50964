"""What this service reads of each contract."""

from uuid import UUID

import pytest
from hypothesis import given, settings
from pydantic import ValidationError

from contracts.envelope import Event
from contracts.topics import Topic
from services.chassis.decoding import Record, Unreadable, decode
from services.referrals.cases import Case
from services.referrals.escalating import escalated
from services.referrals.facts import Confirmed, Exhausted, Fact, FactType, Requested, Submitted, Triaged, fact_in
from services.referrals.service import READS
from services.referrals.standing import standing_of
from tests.recording import read_again, record_of
from tests.referrals_examples import BEGAN, CLOCKS, placed, submitted, unplaced
from tests.unit.test_every_topic import mutated

REFERRAL = UUID(int=7, version=4)
EVENTS = {event.type: event for event in placed(REFERRAL) + unplaced(REFERRAL)}
READ_AS = {fact.TYPE: fact for facts in READS.values() for fact in facts}
FLOW = [one.TYPE for one in (Submitted, Triaged, Requested, Confirmed, Exhausted)]
"""Those that say where a referral stands, which is read of them again."""


@pytest.mark.parametrize("type", list(EVENTS))
def test_a_fact_keeps_the_bytes_it_was_read_from(type: str) -> None:
    """What is stored is what was told, to the byte, members that nobody here reads included."""
    value = EVENTS[type].to_json().replace(b'"specversion"', b'"unheard-of": [1, {"x": null}], "specversion"')
    assert value == fact_in(value, type).to_json()


@pytest.mark.parametrize("type", list(EVENTS))
def test_the_step_reads_each_fact_from_its_topic(type: str) -> None:
    """Every type is read from the topic that its contract names, as the fact that stands in for the contract."""
    event = EVENTS[type]
    types = {fact.TYPE: fact for fact in READS[EVENTS[type].TOPIC]}
    fact = decode(record_of(event), types)  # type: ignore[arg-type]
    assert isinstance(fact, Fact)
    assert (event.id, REFERRAL) == (fact.id, fact.subject)


def test_every_type_that_is_read_can_be_asked_for() -> None:
    """The filter of the feed knows exactly the types that are stored: those read, and those of the own topic."""
    stored = {fact.TYPE for facts in READS.values() for fact in facts}
    own = {type_ for type_, contract in Event.KNOWN.items() if contract.TOPIC is Topic.REFERRALS}
    assert stored | own == set(FactType.__args__)  # type: ignore[attr-defined]


def test_a_subject_that_is_no_referral_is_unreadable() -> None:
    """A fact of nobody's referral goes to the dead letters, where a person sees it."""
    event = submitted(REFERRAL).model_copy(update={"subject": "nobody"})
    with pytest.raises(Unreadable, match="/subject"):
        decode(record_of(event), {fact.TYPE: fact for fact in READS[type(event).TOPIC]})  # type: ignore[arg-type]


@settings(deadline=None, max_examples=300)
@given(mutated(FLOW))
def test_whatever_is_stored_can_be_given_back_to_its_desk(value: bytes) -> None:
    """However wrong a record is: one that is not buried is read again when its time has passed, and told of."""
    for type_ in FLOW:
        try:
            fact = decode(Record("flow", 0, 0, b"", value, (("type", type_.encode()),)), READ_AS)
        except Unreadable:
            continue
        assert isinstance(fact, Fact)
        standing = standing_of(fact_in(value, type_), version=1, asked=None, clocks=CLOCKS)
        _, told = escalated(Case(referral=fact.subject, standing=standing), now=BEGAN, clocks=CLOCKS)
        assert standing.desk == read_again(told).data.standing.owner


def test_a_fact_without_what_is_read_of_it_is_refused() -> None:
    """A submission without a desk would have no owner."""
    with pytest.raises(ValidationError, match="desk"):
        fact_in(submitted(REFERRAL).to_json().replace(b'"desk"', b'"disk"'), "referral.submitted")
