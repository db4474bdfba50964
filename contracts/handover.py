"""The handover: what the crew tells those who take over. It travels in the submission and goes no further on the log:
the receiving service reads it from the referral, and no message on an open channel holds any of it."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from contracts.envelope import Data, Instant, Text
from contracts.people import Telephone

Note = Annotated[Text, StringConstraints(min_length=1, max_length=500)]
Passage = Annotated[Text, StringConstraints(min_length=1, max_length=2000)]
Name = Annotated[Text, StringConstraints(min_length=1, max_length=200)]


class MedicineTaken(Data):
    """A medicine that the patient takes by themselves."""

    name: Name
    dose: Annotated[Text, StringConstraints(max_length=100)] | None = None
    last_taken_at: Instant | None = None


class MedicineGiven(Data):
    """A medicine that the crew gave."""

    name: Name
    dose: Annotated[Text, StringConstraints(min_length=1, max_length=100)]
    route: Annotated[Text, StringConstraints(max_length=50)] | None = None
    given_at: Instant


class Allergy(Data):
    """What the patient reacts to, and how."""

    substance: Name
    reaction: Note | None = None


class Consent(Data):
    """Whether the patient agrees to this referral, or who decided for them and why."""

    decision: Literal["given", "refused", "best_interests", "held_by_another"] = Field(
        description="best_interests: the patient lacks capacity; held_by_another: a parent, an attorney or a deputy"
    )
    note: Note | None = None


class Safeguarding(Data):
    """A concern for the safety of somebody there."""

    about: Literal["adult", "child", "domestic_abuse", "self_neglect", "other"]
    note: Note
    reported_to: Name | None = Field(default=None, description="who was told of it already")


class SceneHazard(Data):
    """What those who come must know before they go in."""

    kind: Literal["violence", "weapon", "animal", "infection", "building", "substances", "other"]
    note: Note


class NextOfKin(Data):
    """Someone close to the patient."""

    name: Name
    relationship: Annotated[Text, StringConstraints(max_length=100)] | None = None
    telephone: Telephone | None = None
    knows: bool | None = Field(default=None, description="whether they know of this referral")


class Handover(Data):
    """Situation, background, assessment, recommendation (SBAR), and what those who take over must have at hand."""

    situation: Passage | None = None
    background: Passage | None = None
    assessment: Passage | None = None
    recommendation: Passage | None = None
    medicines_given: tuple[MedicineGiven, ...] = Field(default=(), max_length=30)
    medicines_taken: tuple[MedicineTaken, ...] = Field(default=(), max_length=60)
    allergies: tuple[Allergy, ...] = Field(default=(), max_length=30)
    no_known_allergies: bool | None = Field(default=None, description="true only where it was asked")
    consent: Consent | None = None
    safeguarding: tuple[Safeguarding, ...] = Field(default=(), max_length=10)
    scene: tuple[SceneHazard, ...] = Field(default=(), max_length=10)
    key_safe: Note | None = Field(default=None, description="where it is and how it opens")
    next_of_kin: tuple[NextOfKin, ...] = Field(default=(), max_length=5)
    resuscitation: Literal["for_resuscitation", "not_for_resuscitation", "plan_in_place", "not_known"] | None = Field(
        default=None, description="plan_in_place: a form is with the patient; read it"
    )
