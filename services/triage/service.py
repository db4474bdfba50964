"""Triage's wiring."""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial

from contracts.submissions import ReferralSubmitted
from contracts.topics import Topic
from services.chassis.service import Service
from services.chassis.settings import Settings
from services.triage.handlers import triage
from services.triage.http import routes
from services.triage.precedence import Rules
from services.triage.rule_pack import load
from services.triage.settings import TriageSettings


def build(settings: Settings, environ: Mapping[str, str]) -> Service:
    """Triage, deciding by the rule pack that its settings name. Raises UnsoundRulePack when that has faults."""
    rules = Rules(load(TriageSettings.read(environ).rule_pack))
    service = Service("triage", settings)
    service.reads(Topic.SUBMISSIONS, partial(triage, rules=rules, clock=_now), ReferralSubmitted)
    service.serves(routes(rules, clock=_now))
    return service


def _now() -> datetime:
    return datetime.now(UTC)
