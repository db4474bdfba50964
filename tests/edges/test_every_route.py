"""Every documented route, given every kind of bad request that applies to it: refused as documented, and no more.

A new route needs one line in tests/edges/routes.py; what is bad for it is made of that line and of its documentation.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from jsonschema import Draft202012Validator

from services.chassis.problems import PROBLEM
from tests.edges.asking import Answer, Sender, endless_head
from tests.edges.bad_bodies import MANY_BYTES
from tests.edges.bad_requests import KINDS
from tests.edges.routes import DOCUMENT, OPERATIONS, ROUTES, Bad, Case
from tests.edges.whole_system import PATIENT, Whole

PROBLEMS = Draft202012Validator(DOCUMENT["components"]["schemas"]["Problem"])
OF_NO_ROUTE = {404, 405, 431}
"""What is refused before a route is found is documented of none."""

MANY_AT_ONCE = 20
MOST_BYTES = MANY_BYTES * 8 // 10
"""How much more memory the process may need for one request: less than the largest body, so none is ever held whole."""
MOST_BYTES_IN_THE_END = 64 * 1024 * 1024
"""How much more it may have after all of them."""


@pytest.fixture
def sender(whole: Whole) -> Iterator[Sender]:
    """Who asks."""
    with Sender(whole.url) as one:
        yield one


def test_every_documented_route_has_a_line() -> None:
    """And no line is of a route that is gone."""
    assert set(OPERATIONS) == set(ROUTES)


@pytest.mark.backing
@pytest.mark.parametrize("label", ROUTES)
def test_a_good_request_is_answered_well(label: str, whole: Whole, sender: Sender) -> None:
    """In every form that it may have: what is refused below is refused for what is bad about it."""
    case = Case(label, whole)
    for media_type in case.media_types or [""]:
        answer = sender.send(case.good(media_type))
        assert case.route.answers == answer.status, answer.body


@pytest.fixture(scope="module")
def warm(whole: Whole) -> int:
    """The memory of the process once it has answered everything once: what it loads when it first needs it is there."""
    with Sender(whole.url) as sender:
        for label in ROUTES:
            case = Case(label, whole)
            for media_type in case.media_types or [""]:
                sender.send(case.good(media_type))
    return whole.forget_peak()


@pytest.mark.backing
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("label", ROUTES)
def test_what_is_bad_is_refused_as_documented(label: str, kind: str, whole: Whole, sender: Sender, warm: int) -> None:
    """By a problem document that repeats nothing of the patient, in little memory; nobody is answered 500."""
    case = Case(label, whole)
    found = []
    for bad in KINDS[kind](case):
        before = whole.forget_peak()
        answer = sender.send(bad[1])
        grown = whole.peak_bytes() - before
        found += [f"{label}, {bad[0][:80]}: {fault}" for fault in faults_of(case, bad, answer, grown)]
    assert [] == found


def faults_of(case: Case, bad: Bad, answer: Answer, grown: int) -> Iterator[str]:
    """What is wrong with an answer."""
    _, ask, allowed = bad
    if answer.status not in allowed & (case.documented | OF_NO_ROUTE):
        yield f"answered {answer.status} {answer.body[:200]!r}"
    if grown > MOST_BYTES:
        yield f"needed {grown / 2**20:.1f} MB"
    if answer.status < 400 or ask.method == "HEAD":
        return
    if any(word.encode() in answer.body for word in PATIENT):
        yield f"repeats what was said of the patient: {answer.body[:200]!r}"
    if PROBLEM != answer.media_type or not PROBLEMS.is_valid(answer.document):
        yield f"no problem document: {answer.media_type} {answer.body[:200]!r}"
    elif answer.document["status"] != answer.status:
        yield f"says {answer.document['status']} and is {answer.status}"


@pytest.mark.backing
def test_heads_without_an_end_are_refused_while_they_come(whole: Whole, warm: int) -> None:
    """Also many at once: together they need less memory than one large body may."""
    before = whole.forget_peak()
    with ThreadPoolExecutor(MANY_AT_ONCE) as threads:
        statuses = list(threads.map(endless_head, [whole.url] * MANY_AT_ONCE))
    assert [431] * MANY_AT_ONCE == statuses
    assert whole.peak_bytes() - before < MOST_BYTES


@pytest.mark.backing
def test_nothing_is_left_of_all_that(whole: Whole, warm: int) -> None:
    """Neither in the memory, nor in the log; and no service has stopped."""
    assert whole.forget_peak() - warm < MOST_BYTES_IN_THE_END
    log = whole.log.read_text()
    assert [] == [word for word in PATIENT if word in log]
    assert [] == [line for line in log.splitlines() if '"level": "error"' in line]
    whole.system.wait_until_ready()
