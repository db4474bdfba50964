"""What another rule pack would have decided on past submissions. It holds no patient data: ids, words and counts."""

from collections import Counter

from contracts.brief import Acuity
from contracts.envelope import Data
from contracts.submissions import ReferralSubmitted
from services.triage.comparison import DIFFERENCES, Difference, Outcome, difference
from services.triage.decision import Decision, decide
from services.triage.precedence import Rules


class LessUrgent(Data):
    """A referral that would have waited longer."""

    referral: str
    presentation: str
    before: Acuity
    after: Acuity
    minutes_before: int
    minutes_after: int
    rule_before: str
    rule_after: str


class Moved(Data):
    """How many went from one outcome to another."""

    before: str
    after: str
    count: int


class Replayed(Data):
    """What changes, and every case that became less urgent."""

    before: str
    """The pack that decides."""
    after: str
    """The pack that would."""
    submissions: int
    unreadable: int
    differences: dict[Difference, int]
    acuity: tuple[Moved, ...]
    disposition: tuple[Moved, ...]
    less_urgent: tuple[LessUrgent, ...]


def outcome_of(decision: Decision) -> Outcome:
    """What matters of a decision when two are compared."""
    return Outcome(
        decision.acuity,
        decision.disposition,
        decision.service_types,
        decision.to_clinician,
        tuple(reason.rule for reason in decision.reasons),
    )


class Replay:
    """Decides each submission by both packs, as it would have been decided when it was received."""

    def __init__(self, before: Rules, after: Rules) -> None:
        self._before = before
        self._after = after
        self._submissions = 0
        self._unreadable = 0
        self._differences: Counter[Difference] = Counter()
        self._acuity: Counter[tuple[str, str]] = Counter()
        self._disposition: Counter[tuple[str, str]] = Counter()
        self._less_urgent: list[LessUrgent] = []

    def unreadable(self) -> None:
        """Count a record that is no submission."""
        self._unreadable += 1

    def see(self, submitted: ReferralSubmitted) -> None:
        """Decide a past submission by both packs."""
        submission = submitted.data.submission
        before = outcome_of(decide(submission, self._before, submitted.time))
        after = outcome_of(decide(submission, self._after, submitted.time))
        self._submissions += 1
        kind = difference(before, after)
        self._differences[kind] += 1
        self._acuity[before.acuity, after.acuity] += 1
        self._disposition[before.disposition.code, after.disposition.code] += 1
        if kind == "less-urgent":
            self._less_urgent.append(
                LessUrgent(
                    referral=submitted.subject,
                    presentation=_known(submission.presentation, self._before, self._after),
                    before=before.acuity,
                    after=after.acuity,
                    minutes_before=before.disposition.minutes,
                    minutes_after=after.disposition.minutes,
                    rule_before=before.rules[0],
                    rule_after=after.rules[0],
                )
            )

    def result(self) -> Replayed:
        """What changed so far."""
        return Replayed(
            before=self._before.pack.full_name,
            after=self._after.pack.full_name,
            submissions=self._submissions,
            unreadable=self._unreadable,
            differences={kind: self._differences[kind] for kind in DIFFERENCES},
            acuity=_moved(self._acuity),
            disposition=_moved(self._disposition),
            less_urgent=tuple(self._less_urgent),
        )


def _known(presentation: str, *packs: Rules) -> str:
    """A presentation's name, where a pack has it: what else a sender wrote is not repeated."""
    return presentation if any(presentation in rules.tried for rules in packs) else "not-in-the-pack"


def _moved(counts: Counter[tuple[str, str]]) -> tuple[Moved, ...]:
    """The commonest change first; what stays as it is, last."""
    order = sorted(counts.items(), key=lambda one: (one[0][0] == one[0][1], -one[1], one[0]))
    return tuple(Moved(before=before, after=after, count=count) for (before, after), count in order)
