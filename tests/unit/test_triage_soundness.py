"""What `onward rules check` finds in a pack that can be read."""

from pathlib import Path

import pytest

from services.triage.precedence import Rules
from services.triage.rule_pack import load
from services.triage.settings import SHIPPED
from services.triage.soundness import doubts, unverified

SOUND = SHIPPED.read_text(encoding="utf-8")


def found(folder: Path, before: str, after: str, *, of: str) -> list[str]:
    """The doubts about the shipped pack after one change behind the first mention of a name."""
    start = SOUND.index(before, SOUND.index(of))
    file = folder / "local.toml"
    file.write_text(SOUND[:start] + after + SOUND[start + len(before) :], encoding="utf-8")
    return [str(doubt) for doubt in doubts(Rules(load(file)), file.name)]


def test_the_shipped_pack_has_none() -> None:
    """No contradiction, no gap, no missing source, nothing unasked and nothing unused."""
    assert [] == doubts(Rules(load(SHIPPED)), SHIPPED.name)


def test_rules_without_any_source_are_counted() -> None:
    """Those of which the whole source is that nobody verified them."""
    assert "cardiac-arrest" in unverified(load(SHIPPED))
    assert "stemi-far" not in unverified(load(SHIPPED))


def test_a_rule_that_overrules_a_more_urgent_one(tmp_path: Path) -> None:
    """Both hold in one combination, and the first is the less urgent: named with that combination."""
    first, second = found(tmp_path, 'acuity = "urgent"', 'acuity = "low"', of='id = "cellulitis-face"')
    assert first.startswith(
        "local.toml: rule cellulitis-face: contradiction: it decides low where cellulitis-incomplete holds too and "
        "says urgent: news2_band low, "
    )
    assert "where cellulitis-failed holds too and says standard" in second


def test_a_score_that_overrules_a_more_urgent_rule(tmp_path: Path) -> None:
    """A band that a presentation escalates from must not hide what is more urgent than the band."""
    said = found(tmp_path, 'acuity = "urgent"', 'acuity = "immediate"', of='id = "dental-bleeding"')
    assert {"dental-swelling", "news2-single-3", "news2-medium", "news2-high", "news2-not-valid"} == {
        doubt.split(": ")[1].removeprefix("rule ") for doubt in said
    }


@pytest.mark.parametrize("source", ["TBD", " todo ", "?", " "])
def test_a_source_that_is_none(tmp_path: Path, source: str) -> None:
    """A blank or a promise is no source."""
    [doubt] = found(tmp_path, 'source = "unverified default"', f'source = "{source}"', of='id = "dental"')
    assert 'local.toml: rule dental: missing source: name a publication, or say "unverified default"' == doubt


def test_a_rule_over_what_is_not_asked(tmp_path: Path) -> None:
    """The device would never ask it, so the rule would never hold."""
    said = found(tmp_path, 'asks = ["floor_of_mouth_swelling", ', "asks = [", of="[presentations.dental]")
    assert "local.toml: rule dental-swelling: looks at floor_of_mouth_swelling, which is not asked there" in said
    assert "local.toml: questions.floor_of_mouth_swelling: nothing asks it" in said


def test_a_band_that_no_number_is_in(tmp_path: Path) -> None:
    """Beyond the most that can be answered."""
    [doubt] = found(tmp_path, "most = 600", "most = 110", of="[questions.transfer_minutes]")
    assert "local.toml: questions.transfer_minutes: gap: no answer is in the band longer" == doubt


def test_an_observation_without_a_plausible_range(tmp_path: Path) -> None:
    """No value of it would ever be marked."""
    [doubt] = found(tmp_path, "pulse_per_min = { least = 20, most = 250 }\n", "", of="[plausible]")
    assert "local.toml: plausible: gap: pulse_per_min has no plausible range, so no value of it is ever marked" == doubt


def test_a_disposition_that_nothing_leads_to(tmp_path: Path) -> None:
    """A leftover, or a rule that was forgotten."""
    extra = 'CLINIC-SOON = { name = "Clinic", minutes = 600 }\nCLINICIAN-NOW ='
    [doubt] = found(tmp_path, "CLINICIAN-NOW =", extra, of="[dispositions]")
    assert "local.toml: dispositions.CLINIC-SOON: nothing leads to it" == doubt
