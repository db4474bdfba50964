"""Two rule packs side by side: what is written differently, and what they decide differently of one submission."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple, get_args

from contracts.brief import Acuity, Disposition
from contracts.envelope import Data
from services.triage.rule_pack import RulePack, urgency

Difference = Literal["same", "less-urgent", "more-urgent", "elsewhere", "other-reasons"]
"""How a second decision differs from a first, by the first of these that holds: how soon, where to, by which rules."""

DIFFERENCES: tuple[Difference, ...] = get_args(Difference)


class Outcome(NamedTuple):
    """What matters of a decision when two are compared."""

    acuity: Acuity
    disposition: Disposition
    service_types: tuple[int, ...]
    to_clinician: bool
    rules: tuple[str, ...]


def difference(first: Outcome, second: Outcome) -> Difference:
    """How the second decision differs from the first. With one acuity, more minutes are less urgent."""
    soon = (urgency(first.acuity), first.disposition.minutes)
    sooner = (urgency(second.acuity), second.disposition.minutes)
    if sooner != soon:
        return "less-urgent" if sooner > soon else "more-urgent"
    if (first.service_types, first.to_clinician, first.disposition.code) != (
        second.service_types,
        second.to_clinician,
        second.disposition.code,
    ):
        return "elsewhere"
    return "same" if first.rules == second.rules else "other-reasons"


class Change(Data):
    """One thing that is written differently in another pack."""

    where: str
    """A rule, a presentation, a question or a section."""
    what: str
    """Its attribute; empty where the whole of it is new or gone."""
    before: Any = None
    after: Any = None

    def __str__(self) -> str:
        if not self.what:
            return f"{self.where}: {'is new' if self.before is None else 'is gone'}"
        if self.before is None:
            return f"{self.where}: {self.what} is now {_said(self.after)}"
        if self.after is None:
            return f"{self.where}: {self.what} was {_said(self.before)}, and is gone"
        return f"{self.where}: {self.what} was {_said(self.before)}, is {_said(self.after)}"


def changes(before: RulePack, after: RulePack) -> list[Change]:
    """Everything that differs between two packs, but for how their files are laid out."""
    old, new = dict(_parts(before)), dict(_parts(after))
    found = []
    for where in dict.fromkeys([*old, *new]):
        if where not in new:
            found.append(Change(where=where, what="", before=old[where]))
        elif where not in old:
            found.append(Change(where=where, what="", after=new[where]))
        else:
            one, other = old[where], new[where]
            found += [
                Change(where=where, what=what, before=one.get(what), after=other.get(what))
                for what in dict.fromkeys([*one, *other])
                if one.get(what) != other.get(what)
            ]
    return found


def _said(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_said, value)) or "nothing"
    if isinstance(value, dict):
        return "; ".join(f"{name} {_said(part)}" for name, part in value.items()) or "nothing"
    return str(value)


def _parts(pack: RulePack) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each rule, presentation, question and section by name, with its attributes flat."""
    written = pack.model_dump(mode="json")
    yield "the pack", {name: written[name] for name in ("name", "version", "asked_of_everyone")}
    yield "news2", _flat(written["news2"])
    yield "ages", written["ages"]
    for section in ("dispositions", "questions", "plausible"):
        for name, body in written[section].items():
            yield f"{section}.{name}", _flat(body)
    for name in ("not_scored", "unknown_presentation"):
        yield _rule(written[name], name)
    for band, body in written["bands"].items():
        yield _rule(body, f"band {band}")
    yield "red flags of the pack", {"order": [rule["id"] for rule in written["red_flags"]]}
    yield from _rules(written["red_flags"], "red flags of the pack")
    yield from _rules(written["oddities"], "oddities")
    for name, body in written["presentations"].items():
        flags, rules = body.pop("red_flags"), body.pop("rules")
        body["order of red flags"] = [flag["id"] for flag in flags]
        body["order of rules"] = [rule["id"] for rule in rules]
        yield f"presentation {name}", body
        yield from _rules(flags, f"red flags of {name}")
        yield from _rules(rules, f"rules of {name}")


def _rules(rules: list[dict[str, Any]], standing: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for rule in rules:
        yield _rule(rule, standing)


def _rule(rule: dict[str, Any], standing: str) -> tuple[str, dict[str, Any]]:
    return f"rule {rule.pop('id')}", {"standing": standing, **_flat(rule)}


def _flat(body: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in body.items():
        if isinstance(value, dict) and value and not isinstance(next(iter(value.values())), list):
            flat |= _flat(value, f"{before}{name}.")
        elif value not in (None, [], {}):
            flat[f"{before}{name}"] = value
    return flat
