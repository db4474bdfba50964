"""Who is referred, by whom, from where, and who looks after the referral."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from contracts.envelope import Data, Text

OrganisationCode = Annotated[str, StringConstraints(pattern=r"^[A-Z0-9]{3,12}$")]
"""An ODS code: 3 to 12 capital letters and digits."""

Gender = Literal["female", "male", "indeterminate", "unknown"]
NhsNumber = Annotated[str, StringConstraints(pattern=r"^[0-9]{10}$")]
Telephone = Annotated[str, StringConstraints(pattern=r"^\+?[0-9 ()-]{3,24}$")]


class Position(Data):
    """Where the patient is, in degrees (WGS 84)."""

    latitude: float = Field(ge=-90, le=90)
    longitude: float = Field(ge=-180, le=180)


class Age(Data):
    """An age in its unit. A month is 30.4375 days and a year 365.25 (Directory of Services)."""

    value: int = Field(ge=0, le=60_000)
    unit: Literal["days", "months", "years"] = "years"

    @property
    def in_days(self) -> float:
        """The age in days."""
        return self.value * {"days": 1.0, "months": 30.4375, "years": 365.25}[self.unit]

    @property
    def in_years(self) -> float:
        """The age in years."""
        return self.in_days / 365.25


class Contact(Data):
    """How the patient may be told. Empty where no channel is known."""

    mobile: Telephone | None = None
    email: Annotated[str, StringConstraints(pattern=r"^[^@\s\x00]{1,64}@[^@\s\x00]{1,190}$")] | None = None
    prefers: Literal["sms", "email", "none"] | None = None


class PatientIdentity(Data):
    """What travels of the patient beyond triage: a number and a way to be told."""

    nhs_number: NhsNumber | None = None
    contact: Contact = Contact()


class Patient(PatientIdentity):
    """The patient as the referrer describes them. An unknown age or gender is said, never guessed."""

    name: Annotated[Text, StringConstraints(max_length=200)] | None = None
    age: Age | None = None
    gender: Gender = "unknown"
    pregnant: bool | None = None
    surgery: OrganisationCode | None = Field(default=None, description="registered GP practice")


class Desk(Data):
    """An organisation's desk: who owns a referral, and the telephone where someone answers."""

    organisation: OrganisationCode
    name: Annotated[Text, StringConstraints(min_length=1, max_length=200)]
    telephone: Telephone
    hours: Annotated[Text, StringConstraints(max_length=200)] = "always"


class Referrer(Data):
    """Who refers, or acts on a referral: taken from the verified token, never from the body."""

    organisation: OrganisationCode
    practitioner: Annotated[Text, StringConstraints(min_length=1, max_length=100)]
    role: Annotated[Text, StringConstraints(min_length=1, max_length=100)]
