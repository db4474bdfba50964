"""Triage's wiring."""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from contracts.submissions import ReferralSubmitted
from contracts.topics import Topic
from services.chassis.lean import lean
from services.chassis.log import logger
from services.chassis.service import Service
from services.chassis.settings import Settings
from services.triage.handlers import triage
from services.triage.http import routes
from services.triage.precedence import Rules
from services.triage.rule_pack import UnsoundRulePack, load
from services.triage.settings import TriageSettings
from services.triage.shadow import Shadow


def build(settings: Settings, environ: Mapping[str, str]) -> Service:
    """Triage, deciding by the rule pack that its settings name. Raises UnsoundRulePack when that has faults."""
    own = TriageSettings.read(environ)
    rules = Rules(load(own.rule_pack))
    service = Service("triage", settings)
    shadow = _shadow(own.shadow_rule_pack)
    if shadow is not None:
        service.runs("shadow", shadow.run)
    service.reads(Topic.SUBMISSIONS, partial(triage, rules=rules, clock=_now, shadow=shadow), lean(ReferralSubmitted))
    service.serves(routes(rules, clock=_now))
    return service


def _shadow(file: Path | None) -> Shadow | None:
    """The shadow, where one is named and sound: its faults never keep triage from deciding."""
    if file is None:
        return None
    try:
        return Shadow(Rules(load(file)))
    except UnsoundRulePack as error:
        logger("triage").error("no_shadow", reason=str(error.faults[0]), count=len(error.faults))
        return None


def _now() -> datetime:
    return datetime.now(UTC)
