"""`onward watch`: it goes on where it was, and shows facts as a table, as lines, or as JSON."""

import json
from collections.abc import AsyncGenerator
from typing import Any
from uuid import UUID

import httpx
import pytest
from rich.console import Console

from services.cli import watching
from services.cli.connection import Connection
from services.cli.facts import DECIDED, Fact, line_of
from services.cli.speaking import Refused
from services.cli.watching import Board, Filters, follow, show
from tests.contracts.golden_examples import VALID

REFERRAL = "3eb89e95-0000-4000-8000-000000000001"
DESK = {"name": "Clinical hub", "telephone": "01632 960010"}
CONFIRMED: dict[str, Any] = {
    "outcome": "place_held",
    "service": {"name": "Elver Vale [Urgent] Response"},
    "acceptance_due": "2026-07-02T17:40:00Z",
    "reference": "100000000047",
    "brief": {"acuity": "very_urgent"},
}
TOLD = {"audience": "patient", "channel": "sms", "template": "patient.place-held.v1"}


def event(number: int, data: dict[str, Any]) -> dict[str, Any]:
    """An event as the feed has it."""
    return {"id": str(number), "subject": REFERRAL, "time": "2026-07-02T17:00:00Z", "data": data}


def fact(number: int, type: str = "booking.confirmed", data: dict[str, Any] = CONFIRMED) -> Fact:
    """A fact of the feed."""
    return Fact(f"1-{number}", type, event(number, data))


def block(number: int, type: str = "booking.confirmed") -> str:
    """A fact on the wire."""
    return f"id: 1-{number}\nevent: {type}\ndata: {json.dumps(event(number, CONFIRMED))}\n\n"


class Server:
    """Streams that break off, in turn; the last one says that it will not go on."""

    def __init__(self, *streams: str | httpx.Response) -> None:
        self._streams = iter(streams)
        self.asked: list[list[tuple[str, str]]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """The next stream."""
        self.asked.append(request.url.params.multi_items())
        stream = next(self._streams)
        if isinstance(stream, httpx.Response):
            return stream
        return httpx.Response(200, text=stream, headers={"content-type": "text/event-stream"})


GONE = httpx.Response(410, json={"title": "The cursor is of another epoch", "detail": "Begin again.", "resume": "2-0"})


async def followed(monkeypatch: pytest.MonkeyPatch, server: Server, filters: Filters) -> tuple[list[str], str]:
    """The cursors of the facts that were told, and how it ended."""
    monkeypatch.setattr(watching, "FIRST_PAUSE", 0.0)
    client = httpx.AsyncClient
    monkeypatch.setattr(
        watching.httpx, "AsyncClient", lambda **how: client(transport=httpx.MockTransport(server), **how)
    )
    cursors: list[str] = []

    async def read() -> None:
        async for one in follow(Connection("http://onward", "token"), filters, since="1-0"):
            cursors.append(one.cursor)  # noqa: PERF401 what came before the refusal is kept

    with pytest.raises(Refused) as refused:
        await read()
    return cursors, str(refused.value)


async def test_it_goes_on_behind_the_last_whole_fact(monkeypatch: pytest.MonkeyPatch) -> None:
    """Streams that end, also within a fact, or that are refused for now: no fact is lost and none comes twice."""
    cut = block(3)
    server = Server(
        "id: 1-0\n\n" + block(1) + block(2) + cut[: len(cut) - 9],
        httpx.Response(503),
        block(3) + "id: 1-7\n: nothing new\n\n",
        block(8),
        GONE,
    )

    cursors, ended = await followed(monkeypatch, server, Filters())

    assert ["1-1", "1-2", "1-3", "1-8"] == cursors
    assert ["1-0", "1-2", "1-2", "1-7", "1-8"] == [dict(query)["since"] for query in server.asked]
    assert "The cursor is of another epoch. Begin again. Go on with --since 2-0" == ended


async def test_filters_are_the_feeds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Types, service and referral are asked of the server, each time anew."""
    server = Server("", GONE)

    await followed(monkeypatch, server, Filters(["booking.confirmed", "notification.sent"], "S1", UUID(REFERRAL)))

    asked = [
        ("type", "booking.confirmed"),
        ("type", "notification.sent"),
        ("service", "S1"),
        ("referral", REFERRAL),
        ("since", "1-0"),
    ]
    assert [asked, asked] == server.asked


async def facts(*given: Fact) -> AsyncGenerator[Fact, None]:
    """A feed that ends."""
    for one in given:
        yield one


async def test_lines_and_json_are_for_pipes(capsys: pytest.CaptureFixture[str]) -> None:
    """A fact a line; as JSON each with its cursor; and it ends after as many as were asked for."""
    await show(facts(fact(1), fact(2, "notification.sent", TOLD), fact(3)), "lines", 2)
    lines = capsys.readouterr().out.splitlines()
    await show(facts(fact(1)), "json")

    assert [
        "3eb89e95  place held  Elver Vale [Urgent] Response to accept by 18:40 ref 100000000047",
        "3eb89e95  told        patient the patient by sms: patient.place-held.v1",
    ] == lines
    assert {"cursor": "1-1", "type": "booking.confirmed", "event": event(1, CONFIRMED)} == json.loads(
        capsys.readouterr().out
    )


def test_the_table_has_a_row_for_each_referral() -> None:
    """What is heard of one referral comes together in its row, brackets and all."""
    board = Board(most=5)
    for one in (fact(1), fact(2, "notification.sent", TOLD)):
        board.take(one)
    row = board.rows["3eb89e95"]

    assert ("very urgent", "place held", "to accept by 18:40", "patient by sms") == (
        row.acuity,
        row.outcome,
        row.when,
        row.told,
    )
    assert _drawn(board).count("Elver Vale [Urgent] Response") == 1
    assert "2 facts, up to 1-2" in _drawn(board)


def test_the_table_keeps_the_referrals_that_were_heard_of_last() -> None:
    """The oldest row leaves; one that is heard of again moves to the end."""
    board = Board(most=2)
    for number in (1, 2, 1, 3):
        one = fact(number)
        one.event["subject"] = f"{number:08d}-0000"
        board.take(one)

    assert ["00000001", "00000003"] == list(board.rows)


def _drawn(board: Board) -> str:
    console = Console(width=160)
    with console.capture() as drawn:
        console.print(board.table())
    return drawn.get()


async def test_the_feed_is_closed_when_enough_was_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """The connection is given back there and then, and not by whoever tidies up at the end."""
    closed = False

    async def feed() -> AsyncGenerator[Fact, None]:
        nonlocal closed
        try:
            yield fact(1)
            yield fact(2)
        finally:
            closed = True

    await show(feed(), "lines", 1)

    assert (1, True) == (len(capsys.readouterr().out.splitlines()), closed)


def standing(**changes: Any) -> dict[str, Any]:
    """Where a referral stands, as far as a line shows it."""
    place = {"service": {"name": "Riverside"}, "starts_at": "2026-07-02T17:40:00Z", "reference": "100000000048"}
    whole = {"state": "accepted", "acuity": "urgent", "owner": DESK, "due": "2026-07-02T18:00:00Z", "place": place}
    return whole | changes


@pytest.mark.parametrize(
    ("type", "data", "said"),
    [
        ("referral.accepted", {}, "accepted    Riverside; Clinical hub by 19:00"),
        (
            "referral.rejected",
            {"standing": standing(state="rejected", place=None), "place": standing()["place"], "reason": "other"},
            "rejected    Riverside; other; Clinical hub by 19:00",
        ),
        (
            "referral.rebooked",
            {"old": {"service": {"name": "Hill"}}},
            "rebooked    Riverside at 18:40 ref 100000000048, before Hill",
        ),
        ("referral.cancelled", {"reason": "patient-better"}, "cancelled   Riverside; patient-better; Clinical hub"),
        ("referral.outcome-given", {"kind": "admitted"}, "outcome given Riverside; admitted"),
        ("referral.withdrawn", {"why": "session withdrawn"}, "withdrawn   Riverside; session withdrawn; Clinical hub"),
        (
            "referral.escalated",
            {"missed": "answer", "was_due": "2026-07-02T17:30:00Z"},
            "escalated   no answer by 18:30; Clinical hub by 19:00",
        ),
        ("referral.contact-recorded", {"reached": False}, "contact recorded Riverside; the patient was not reached"),
        ("referral.message-left", {"by": {"organisation": "RX8"}, "words": "Ada Example"}, "message left by RX8"),
        (
            "referral.action-refused",
            {"action": "give_outcome", "by": {"organisation": "RX8"}, "why": "It is cancelled.", "standing": None},
            "action refused give outcome by RX8: It is cancelled.",
        ),
    ],
)
def test_what_became_of_a_referral_is_a_line(type: str, data: dict[str, Any], said: str) -> None:
    """Who owns it and until when; never what the desks say to each other."""
    line = line_of(fact(1, type, {"standing": standing()} | data))
    assert (True, False) == (line.startswith(f"3eb89e95  {said}"), "Ada" in line)


def test_every_fact_that_referrals_decides_has_a_line_and_cells() -> None:
    """From the golden examples: none breaks the table or the lines."""
    examples = {example.type: json.loads(example.value) for example in VALID if example.type in DECIDED}
    facts = [Fact("1-1", type_, event) for type_, event in examples.items()]
    board = Board(100)
    for one in facts:
        board.take(one)
    assert (set(DECIDED), []) == (set(examples), [one.type for one in facts if one.type in line_of(one)])


def test_the_table_shows_where_a_referral_stands_now() -> None:
    """A rejection takes the place away; the acuity stays."""
    board = Board(10)
    board.take(fact(1))
    board.take(fact(2, "referral.rejected", {"standing": standing(state="rejected", place=None)}))
    [row] = board.rows.values()
    assert ("rejected", "Clinical hub decides", "by 19:00", "urgent") == (row.outcome, row.where, row.when, row.acuity)
