"""docs/lifecycle.md, written from the table of the lifecycle."""

from collections import defaultdict
from collections.abc import Iterator, Mapping

from contracts.referrals import FINISHED, State
from services.referrals.escalating import MISSED
from services.referrals.lifecycle import (
    EXPECTED,
    IN_FLOW,
    STATES,
    TABLE,
    UNFINISHED,
    WITHOUT_PLACE,
    Due,
    Transition,
    in_words,
)
from services.referrals.worklists import WORKLISTS, worklist_of

_HEAD = """# The life of a referral

Written by `make docs` from the table in `services/referrals/lifecycle.py`. Where a referral stands, who owns it and by
when somebody must look again is decided by this table alone, under the lock of the referral's row.

The *receiver* is the organisation of the service that has the patient, the *referrer* the one that refers; one
organisation may be both. The referrer's desk owns the patient until a receiver accepts, and again when the receiver
cannot take the patient. Where the receiver's organisation has no desk, the referrer's owns the patient all along.

A version that somebody has seen (`If-Match`) is checked for whatever moves a referral or looks for another place. An
action that comes again answers as it did, before anything else is looked at. Where somebody asks for another place
(rebook, redirect, withdraw) the answer is what comes of the search; what is held is kept until then.

```mermaid
stateDiagram-v2
"""

_GROUPS: Mapping[str, tuple[State, ...]] = {
    "flow": IN_FLOW,
    "expected": EXPECTED,
    "undecided": WITHOUT_PLACE,
}
"""States that are drawn in one box: what leaves all of them is drawn once."""

_DUES: Mapping[Due, str] = {
    "as before": "what it was",
    "as told": "what the fact says; of a place, when it must be acknowledged, where that is sooner",
    "answer": "the clock of the answer, or the end of the slot",
    "information": "the desk's time to answer a question",
    "outcome": "the end of the slot, or the clock of the outcome",
    "decision": "the desk's time to decide where the patient goes",
    "end of the wait": "the time until which the patient waits",
    "at once": "when it was finished",
}


def page() -> str:
    """The page."""
    return "".join((_HEAD, *_diagram(), "```\n\n", *_table(), "\n", *_dues(), "\n", *_states()))


def _diagram() -> Iterator[str]:
    for group, states in _GROUPS.items():
        yield f"    state {group} {{\n{''.join(f'        {state}{chr(10)}' for state in states)}    }}\n"
    yield '    state "any that is not finished" as any\n    state "any after the first outcome" as after\n'
    edges: dict[tuple[str, str], list[str]] = defaultdict(list)
    for row in TABLE:
        if row.to is not None:
            for before in _drawn_from(row):
                edges[before, row.to].append(in_words(row.trigger))
    for (before, after), triggers in edges.items():
        yield f"    {before} --> {after}: {', '.join(dict.fromkeys(triggers))}\n"
    for state in STATES:
        if state in FINISHED:
            yield f"    {state} --> [*]\n"


def _drawn_from(row: Transition) -> list[str]:
    if not row.states:
        return ["[*]"]
    if set(row.states) >= set(UNFINISHED) - set(IN_FLOW):
        return ["any" if row.states == UNFINISHED else "after"]
    left, boxes = list(row.states), []
    for group, states in _GROUPS.items():
        if set(states) <= set(left):
            boxes.append(group)
            left = [state for state in left if state not in states]
    return [*boxes, *left]


def _table() -> Iterator[str]:
    yield (
        "| what happens | who asks | from | to | needs | tells | undoes | owner after | due |\n"
        "|---|---|---|---|---|---|---|---|---|\n"
    )
    for row in TABLE:
        cells = (
            in_words(row.trigger),
            "–" if row.who == "nobody" else row.who,
            _from(row),
            "stays" if row.to is None else in_words(row.to),
            ", ".join(row.needs) or "–",
            ", ".join(f"`{contract.TYPE}`" for contract in row.tells),
            _undoes(row),
            row.owner,
            row.due,
        )
        yield f"| {' | '.join(cells)} |\n"


def _from(row: Transition) -> str:
    if row.states == STATES:
        return "any"
    if row.states == UNFINISHED:
        return "any that is not finished"
    if set(row.states) == set(UNFINISHED) - set(IN_FLOW):
        return "any after the first outcome that is not finished"
    return ", ".join(map(in_words, row.states)) or "–"


def _undoes(row: Transition) -> str:
    undone = [f"what is held is given back ({row.gives_back})"] if row.gives_back else []
    if row.closes:
        undone.append("a search under way is closed")
    return "; ".join(undone) or "–"


def _dues() -> Iterator[str]:
    yield "| due | when the owner must look again: never before now |\n|---|---|\n"
    for due, meaning in _DUES.items():
        yield f"| {due} | {meaning} |\n"


def _states() -> Iterator[str]:
    yield "| state | worklist | whose | when its due time passes, what was missed |\n|---|---|---|---|\n"
    for state in STATES:
        name = worklist_of(state, escalated=False)
        if name is None:
            yield f"| {in_words(state)} | none: it is finished, and nothing is held | | |\n"
            continue
        kind = WORKLISTS[name]
        yield f"| {in_words(state)} | `{name}` | {kind.side}: {kind.role} | {' or '.join(MISSED[state])} |\n"
    yield (
        "\nOne whose due time has passed is on `unanswered`, of the referrer's clinical hub, until something is "
        "done; one that is unplaced because triage said so is on `awaiting-clinician`.\n\n"
        "One that may be of a patient whom somebody else has referred is on `possible-duplicates` of the referrer's "
        "clinical hub as well, until its desk says that it is no duplicate, or one of the two is finished.\n"
    )
