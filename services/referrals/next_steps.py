"""What happens next, in a sentence, wherever a referral stands after its placement."""

from contracts.people import Desk
from contracts.referrals import Place, State


def next_step_of(state: State, *, desk: Desk, owner: Desk, place: Place | None) -> str:
    """The next step. `desk` is the referrer's, `owner` who looks after the referral, `place` the one that counts."""
    there = "The service" if place is None else place.service.name
    decides = (
        f"{desk.name} decides where the patient goes: rebook, wait for a place, or arrange it elsewhere; "
        f"telephone {desk.telephone}."
    )
    owned = f"{owner.name} looks after the referral: telephone {owner.telephone}."
    silent = "" if place is None else f" If nothing is heard in time, telephone {place.service.telephone}."
    match state:
        case "received":
            return f"{there} has the referral and has not decided yet.{silent} {owned}"
        case "information_wanted":
            return f"{there} asked a question: {desk.name} answers it, telephone {desk.telephone}. {owned}"
        case "accepted":
            return f"{there} sees the patient.{silent} {owned}"
        case "in_progress":
            return f"{there} is with the patient, or on the way, and says what comes of it. {owned}"
        case "seen":
            return f"The patient was seen. {there} says what came of it. {owned}"
        case "rejected":
            return f"The service will not see the patient. {decides}"
        case "not_attended":
            return f"The patient did not come. {decides}"
        case "withdrawn":
            return f"The service cannot take the patient any more, and no other was found. {decides}"
        case "waiting":
            return f"The patient waits for a place. {owned}"
        case "unplaced":
            return f"No place became free in time. {decides}"
        case "outcome_given":
            return f"Nothing: {there} said what came of it."
        case "cancelled":
            return "Nothing: the referral was taken back."
        case "arranged_elsewhere":
            return f"Nothing: {desk.name} arranged what the patient needs."
    raise ValueError(f"the next step of {state} is told by the flow")
