"""Codes: what a presentation is called in the codes by which services are found.

The published search asks for a symptom group, discriminators and a disposition. NHS Pathways' own codes may need a
licence, so the table that comes with Onward has invented ones, and a site names its own.
"""

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError, ValidationError

from contracts.directory import Code
from contracts.submissions import Presentation
from services.chassis.versioned_table import VersionedTable
from services.pathways.request import Needs

Name = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class _Written(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SymptomGroupEntry(_Written):
    """A symptom group, and the discriminators that belong to it, each with its name."""

    name: Name
    discriminators: dict[Code, Name] = Field(default={})


class DispositionEntry(_Written):
    """A disposition of the directory, and those of triage that it stands for besides one of the same code."""

    name: Name
    minutes: int = Field(ge=0, le=100_000)
    of_triage: tuple[str, ...] = ()


class Mapped(_Written):
    """What a presentation, or a rule that decided in its place, is in codes.

    The disposition counts where the table knows none for what triage decided.
    """

    symptom_group: Code
    discriminators: tuple[Code, ...] = ()
    disposition: Code

    def faults(self, table: "CodeTable") -> Iterator[tuple[str, str]]:
        """Codes that the table does not have, by attribute."""
        group = table.symptom_groups.get(self.symptom_group)
        if group is None:
            yield "symptom_group", f"the table has no symptom group {self.symptom_group}"
        for code in self.discriminators:
            if group is not None and code not in group.discriminators:
                yield "discriminators", f"{code} is no discriminator of {self.symptom_group}"
        if self.disposition not in table.dispositions:
            yield "disposition", f"the table has no disposition {self.disposition}"


class CodeTable(VersionedTable):
    """Which codes stand for what the crew found and what triage decided."""

    symptom_groups: dict[Code, SymptomGroupEntry]
    dispositions: dict[Code, DispositionEntry]
    presentations: dict[Presentation, Mapped]
    rules: dict[str, Mapped] = Field(default={})
    """By a rule of triage that may decide whatever the presentation is: a red flag."""
    referral_roles: dict[Code, tuple[str, ...]] = Field(default={})
    """The directory's roles, with the roles of callers that each stands for besides its own name."""

    @model_validator(mode="after")
    def _holds(self) -> Self:
        faults: list[tuple[tuple[str, ...], str]] = []
        for kind, entries in (("presentations", self.presentations), ("rules", self.rules)):
            for name, mapped in entries.items():
                faults += [((kind, name, attribute), why) for attribute, why in mapped.faults(self)]
        faults += _named_twice("dispositions", {code: one.of_triage for code, one in self.dispositions.items()})
        faults += _named_twice("referral_roles", self.referral_roles)
        if faults:
            raise ValidationError.from_exception_data(
                type(self).__name__,
                [
                    InitErrorDetails(type=PydanticCustomError("code", "{why}", {"why": why}), loc=where, input=None)
                    for where, why in faults
                ],
            )
        return self

    def needs(self, presentation: str, *, decided_by: str | None, disposition: str) -> Needs | None:
        """What to search for; None where the table does not map the presentation, nor the rule that decided."""
        mapped = self.rules.get(decided_by or "") or self.presentations.get(presentation)
        if mapped is None:
            return None
        return Needs(
            mapped.symptom_group, mapped.discriminators, self._disposition_of.get(disposition, mapped.disposition)
        )

    def belonging(self, symptom_group: str | None, discriminators: Sequence[str]) -> tuple[str, ...]:
        """Those discriminators that belong to a symptom group, each once; the others are dropped from a request."""
        group = self.symptom_groups.get(symptom_group or "")
        return tuple(
            code for code in dict.fromkeys(discriminators) if group is not None and code in group.discriminators
        )

    def unknown(self, needs: Needs) -> list[str]:
        """What is asked for and not in the table, each in words."""
        known = {code for group in self.symptom_groups.values() for code in group.discriminators}
        words = [f"discriminator {code}" for code in needs.discriminators if code not in known]
        if needs.symptom_group is not None and needs.symptom_group not in self.symptom_groups:
            words.insert(0, f"symptom group {needs.symptom_group}")
        if needs.disposition is not None and needs.disposition not in self.dispositions:
            words.append(f"disposition {needs.disposition}")
        return words

    def referral_role(self, role: str) -> str:
        """What the directory calls the role of a caller: its own name where the table says nothing."""
        return self._role_of.get(role, role)

    @cached_property
    def _disposition_of(self) -> dict[str, str]:
        own = {code: code for code in self.dispositions}
        return own | {name: code for code, one in self.dispositions.items() for name in one.of_triage}

    @cached_property
    def _role_of(self) -> dict[str, str]:
        return {name: code for code, names in self.referral_roles.items() for name in names}


def _named_twice(kind: str, names: dict[str, tuple[str, ...]]) -> list[tuple[tuple[str, ...], str]]:
    """Names that two entries claim, so that neither could be chosen."""
    first: dict[str, str] = {}
    faults: list[tuple[tuple[str, ...], str]] = []
    for code, claimed in names.items():
        for name in claimed:
            first.setdefault(name, code)
        faults += [
            ((kind, code), f"{name} is claimed by {first[name]} already") for name in claimed if first[name] != code
        ]
    return faults
