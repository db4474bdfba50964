"""`onward act`: something done with a referral by its receiver or its referrer, and where it stands then."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args, get_origin
from uuid import UUID, uuid4

import httpx
import typer
from pydantic.fields import FieldInfo

from contracts.actions import Action, ActionName
from contracts.envelope import Data
from services.cli import local
from services.cli.connection import TRUST, AsJson, Connection, Folder, Token, Url, answered, connect
from services.cli.refer import accepted, uuid_in
from services.cli.speaking import Refused, print_json, say
from services.cli.standing import lines_of_place, standing_lines
from services.referrals.lifecycle import TABLE

SECONDS = 60.0

_UNION, *_ = get_args(Action)
CONTRACTS: Mapping[str, type[Data]] = {
    get_args(contract.model_fields["action"].annotation)[0]: contract for contract in get_args(_UNION)
}
"""What each action says, by its name."""

RECEIVERS = frozenset(row.trigger for row in TABLE if row.who == "receiver")
"""Actions that only the receiving service's organisation may ask for."""

OPTIONS = {"documents": "document"}
"""Options that are not called as what they fill."""

Referral = Annotated[UUID, typer.Argument(help="The referral's id.")]
Speaking = Annotated[
    str,
    typer.Option(
        help="For whom to speak, when the local system signs the token; if not given, the receiving service's "
        f"organisation for what only that may do, otherwise {TRUST}."
    ),
]


def act(
    referral: Referral,
    action: Annotated[str, typer.Argument(help=f"What to do: {', '.join(CONTRACTS).replace('_', '-')}.")],
    words: Annotated[str | None, typer.Option(help="What you say to the other desk.")] = None,
    reason: Annotated[str | None, typer.Option(help="Why: for reject and cancel.")] = None,
    kind: Annotated[str | None, typer.Option(help="What came of it: for give-outcome.")] = None,
    document: Annotated[
        list[UUID] | None, typer.Option(help="A document that is attached: for give-outcome. Repeated.")
    ] = None,
    reached: Annotated[
        bool | None,
        typer.Option("--reached/--not-reached", help="Whether the patient was: for record-contact."),
    ] = None,
    accept: Annotated[
        list[str] | None,
        typer.Option(help="A service by its id, type:135, or any: for redirect and rebook. Repeated: in this order."),
    ] = None,
    agreed: Annotated[
        bool | None, typer.Option("--agreed", help="The patient has agreed to go there: for redirect.")
    ] = None,
    service: Annotated[str | None, typer.Option(help="Whose waiting list: for wait.")] = None,
    until: Annotated[str | None, typer.Option(help="Until when, such as 2026-03-02T16:40:00Z: for wait.")] = None,
    other: Annotated[UUID | None, typer.Option(help="The other referral: for not-duplicate.")] = None,
    seen: Annotated[
        int | None,
        typer.Option(min=1, help="The version that you saw: nothing is done if the referral has moved on since."),
    ] = None,
    key: Annotated[str, typer.Option(help="The key of an attempt that got no answer; a new one if not given.")] = "",
    organisation: Speaking = "",
    url: Url = "",
    token: Token = "",
    folder: Folder = local.DEFAULT_FOLDER,
    as_json: AsJson = False,
) -> None:
    """Do something with a referral, for its receiver or its referrer, and show where it stands then.

    Exit code 1: it was not done, or it is not decided yet.
    """
    body = body_of(
        action,
        words=words,
        reason=reason,
        kind=kind,
        documents=[str(one) for one in document] if document else None,
        reached=reached,
        accept=accepted(accept) if accept else None,
        agreed=agreed,
        service=service,
        until=until,
        other=str(other) if other else None,
    )
    attempt = uuid_in(key) if key else uuid4()
    connection = connect(folder, url, token, organisation=TRUST, role="clinical-hub", practitioner="onward")
    if not token:
        own = organisation or _who_may(body["action"], referral, connection)
        connection = connect(folder, url, token, organisation=own, role="desk", practitioner="onward")
    say(f"Idempotency-Key {attempt}: if no answer comes, ask again with --key {attempt}")
    headers = {**connection.headers, "Idempotency-Key": str(attempt)}
    if seen is not None:
        headers["If-Match"] = f'"{seen}"'
    response = httpx.post(f"{connection.url}/referrals/{referral}/actions", json=body, headers=headers, timeout=SECONDS)
    answer = done(response)
    if as_json:
        print_json(answer)
    elif response.status_code == httpx.codes.OK:
        print("\n".join(answer_lines(answer)))
    else:
        print(answer["next_step"])
    if response.status_code != httpx.codes.OK:
        raise typer.Exit(1)


def body_of(action: str, **said: Any) -> dict[str, Any]:
    """The body of an action, from its options. Raises Refused with what the action needs, or does not take."""
    name = action.replace("-", "_")
    contract = CONTRACTS.get(name)
    if contract is None:
        raise Refused(f"there is no action {action}; there are {', '.join(CONTRACTS).replace('_', '-')}")
    fields = {field: info for field, info in contract.model_fields.items() if field != "action"}
    given = {field: value for field, value in said.items() if value is not None}
    takes = ", ".join(map(_option, fields)) or "no options of its own"
    if surplus := given.keys() - fields.keys():
        raise Refused(f"{action} takes no {', '.join(map(_option, sorted(surplus)))}; it takes {takes}")
    missing = [field for field, info in fields.items() if info.is_required() and field not in given]
    if missing:
        needs = "; ".join(_option(field) + _choice(fields[field]) for field in missing)
        raise Refused(f"{action} needs {needs}")
    return {"action": name, **given}


def _option(field: str) -> str:
    return f"--{OPTIONS.get(field, field)}"


def _choice(field: FieldInfo) -> str:
    """What the option may be, where it is one of a few words."""
    kind: Any = field.annotation
    words = get_args(kind) if get_origin(kind) is Literal else ()
    return f", one of {', '.join(words)}" if len(words) > 1 and all(isinstance(one, str) for one in words) else ""


def _who_may(action: ActionName, referral: UUID, connection: Connection) -> str:
    """For whom the local system signs: the receiving service's organisation where only that may do it."""
    if action not in RECEIVERS:
        return TRUST
    response = httpx.get(f"{connection.url}/referrals/{referral}", headers=connection.headers, timeout=SECONDS)
    service = answered(response)["service"]
    if service is None:
        raise Refused(f"no service has the patient, and only the one that has may {action.replace('_', ' ')}")
    return str(service["organisation"])


def done(response: httpx.Response) -> dict[str, Any]:
    """The body of what was done, or is not decided yet. Raises Refused with why not, and where the referral stands."""
    if not response.is_success and response.headers.get("content-type", "").endswith("problem+json"):
        problem = response.json()
        if "refusal" in problem:
            raise Refused("\n".join(refusal_lines(problem)))
    answer: dict[str, Any] = answered(response)
    return answer


def refusal_lines(problem: Mapping[str, Any]) -> list[str]:
    """Why an action was not done, and to one on the referral where it stands."""
    lines = [f"{problem['title']}. {problem['detail']}"]
    stands = standing_lines(problem) if "version" in problem else []
    return lines + [one for one in stands if not one.endswith(problem["next_step"])]  # which the detail has said


def answer_lines(answer: Mapping[str, Any]) -> list[str]:
    """What was done, and where the referral stands."""
    lines = [answer["done"].removeprefix("referral.").replace("-", " ")]
    lines += standing_lines(answer)
    if answer["place"]:
        lines += lines_of_place(answer["place"], "where")
    if answer["given_back"]:
        lines += lines_of_place(answer["given_back"], "freed")
    return lines
