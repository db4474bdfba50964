"""A second rule pack that decides too, and is told nowhere: how often it differs is counted, and that is all."""

import asyncio
from collections import Counter as Counted
from collections import deque
from collections.abc import Sequence
from typing import get_args

from contracts.brief import Brief
from contracts.submissions import ReferralSubmitted
from services.chassis.log import logger
from services.chassis.metrics import SHADOWED
from services.triage.comparison import Difference, Outcome, difference
from services.triage.decision import decide
from services.triage.precedence import Rules
from services.triage.replay import outcome_of

WAITING = 2_000
"""Submissions that may wait for the shadow. What comes when so many wait is counted as missed."""

AT_ONCE = 8
"""Decisions before everything else in the process has its turn again."""


class Shadow:
    """Decides in its own time what was decided already. It never delays and never fails a decision."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._waiting: deque[tuple[ReferralSubmitted, Brief]] = deque()
        self._came = asyncio.Event()
        self._log = logger("triage")
        for kind in (*get_args(Difference), "missed"):  # counted from zero
            SHADOWED.labels(kind)

    def see(self, decided: Sequence[tuple[ReferralSubmitted, Brief]]) -> None:
        """Take note of decisions, to be decided again later."""
        free = WAITING - len(self._waiting)
        self._waiting.extend(decided[:free])
        if len(decided) > free:
            SHADOWED.labels("missed").inc(len(decided) - free)
        self._came.set()

    @property
    def waits(self) -> int:
        """How many submissions wait for it."""
        return len(self._waiting)

    async def run(self) -> None:
        """Decide what waits, a few at a time, without end."""
        while True:
            await self._came.wait()
            self._came.clear()
            counted: Counted[str] = Counted()
            while self._waiting:
                for _ in range(min(AT_ONCE, len(self._waiting))):
                    counted[self._compared(*self._waiting.popleft())] += 1
                await asyncio.sleep(0)
            for kind, count in counted.items():
                if kind != "same":
                    self._log.info("shadow_differs", status=kind, count=count, version=self._rules.pack.full_name)

    def _compared(self, submitted: ReferralSubmitted, brief: Brief) -> str:
        told = Outcome(
            brief.acuity,
            brief.disposition,
            brief.service_types,
            brief.to_clinician,
            tuple(reason.rule for reason in brief.reasons),
        )
        try:
            decision = decide(submitted.data.submission, self._rules, submitted.time)
            kind: str = difference(told, outcome_of(decision))
        except Exception:  # whatever is wrong with the shadow is the shadow's alone
            kind = "failed"
        SHADOWED.labels(kind).inc()
        return kind
