"""Rule packs: the one that is shipped is sound, and each fault of another is named with file, rule and fault."""

from pathlib import Path

import pytest

from contracts.brief import Reason
from services.triage.rule_pack import RulePack, UnsoundRulePack, load
from services.triage.settings import SHIPPED, TriageSettings

SOUND = SHIPPED.read_text(encoding="utf-8")

FALL = 'id = "fall"\nthen = { acuity = "standard", disposition = "UCR-2H", service_types = [146, 135] }'


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """Where a test writes its pack."""
    return tmp_path / "local.toml"


def faults(file: Path, *changes: tuple[str, str]) -> list[str]:
    """The faults of the shipped pack after changes of (what stands there, what to put there)."""
    text = SOUND
    for before, after in changes:
        assert 1 == text.count(before), f"{before!r} must stand in the shipped pack once"
        text = text.replace(before, after)
    file.write_text(text, encoding="utf-8")
    with pytest.raises(UnsoundRulePack) as caught:
        load(file)
    assert [str(fault) for fault in caught.value.faults] == str(caught.value).splitlines()
    return [str(fault) for fault in caught.value.faults]


def changed(id: str, before: str, after: str) -> tuple[str, str]:
    """A change inside the rule of this id: of the first `before` that stands after its id."""
    start = SOUND.index(f'id = "{id}"\n')
    end = SOUND.index(before, start) + len(before)
    was = SOUND[start:end]
    return was, was.removesuffix(before) + after


def test_the_shipped_pack_is_sound() -> None:
    """It loads, and has a name and a version."""
    assert "onward-default 2.0.0" == load(SHIPPED).full_name


def test_every_rule_of_the_shipped_pack_has_a_source_or_says_that_it_has_none() -> None:
    """A source names a publication, or the words "unverified default" stand there."""
    pack = load(SHIPPED)
    publications = ("Royal College of Physicians", "NICE N", "NHS England")
    unsourced = [
        reason.rule
        for reason in _reasons(pack)
        if "unverified default" not in reason.source and not reason.source.startswith(publications)
    ]
    assert [] == unsourced


def _reasons(pack: RulePack) -> list[Reason]:
    conclusions = [*pack.red_flags, pack.not_scored, pack.unknown_presentation, *pack.band_conclusions.values()]
    for presentation in pack.presentations.values():
        conclusions.extend(presentation.rules)
    return [conclusion.reason for conclusion in conclusions]


@pytest.mark.parametrize(
    ("expected", "change"),
    [
        pytest.param(
            "local.toml: rule fall: then.service_types: unknown service type 999",
            changed("fall", "[146, 135]", "[146, 999]"),
            id="unknown service type",
        ),
        pytest.param(
            "local.toml: rule fall: then.service_types: a service type is named twice",
            changed("fall", "[146, 135]", "[146, 146]"),
            id="service type twice",
        ),
        pytest.param(
            "local.toml: rule fall: then: neither a service type nor to_clinician: this would end nowhere",
            changed("fall", "[146, 135]", "[]"),
            id="ends nowhere",
        ),
        pytest.param(
            "local.toml: rule fall: then: both service types and to_clinician: a clinician chooses the type",
            changed("fall", "[146, 135]", "[146, 135], to_clinician = true"),
            id="types and a clinician",
        ),
        pytest.param(
            "local.toml: rule fall: then.disposition: unknown disposition UCR-3H",
            changed("fall", "UCR-2H", "UCR-3H"),
            id="unknown disposition",
        ),
        pytest.param(
            "local.toml: rule fall: then.acuity: Input should be "
            "'immediate', 'very_urgent', 'urgent', 'standard' or 'low'",
            changed("fall", '"standard"', '"soon"'),
            id="unknown acuity",
        ),
        pytest.param(
            "local.toml: rule fall: source: Field required",
            changed("fall", "source =", "# source ="),
            id="missing source",
        ),
        pytest.param(
            "local.toml: rule pregnant-and-male: when.gender: man is not one of its words, "
            "which are female, indeterminate, male, unknown",
            changed("pregnant-and-male", '"male"', '"man"'),
            id="unknown word of an oddity",
        ),
        pytest.param(
            "local.toml: rule fall-incomplete: when.new2_complete: there is no such fact or question",
            changed("fall-incomplete", "news2_complete", "new2_complete"),
            id="unknown fact",
        ),
        pytest.param(
            "local.toml: rule fall-incomplete: when.news2_complete: perhaps is not one of its words, which are no, yes",
            changed("fall-incomplete", '["no"]', '["perhaps"]'),
            id="unknown word",
        ),
        pytest.param(
            "local.toml: dispositions.UCR-2H: minutes: Input should be greater than or equal to 0",
            ('within 2 hours", minutes = 120 } # NHS', 'within 2 hours", minutes = -120 } # NHS'),
            id="negative minutes",
        ),
        pytest.param(
            "local.toml: dispositions.UCR-2H: minutes: Input should be a valid integer",
            ('within 2 hours", minutes = 120 } # NHS', 'within 2 hours", minutes = "120" } # NHS'),
            id="a number in quotes",
        ),
        pytest.param(
            "local.toml: rule fall: the last rule of a presentation must have no condition, so that one always holds",
            (FALL, FALL.replace("\n", '\nwhen = { fast = ["negative"] }\n', 1)),
            id="last rule with a condition",
        ),
        pytest.param(
            "local.toml: presentations.nothing: a presentation without rules would end nowhere",
            (
                '[[oddities]]\nid = "arrest-yet',
                '[presentations.nothing]\nname = "Nothing"\nrules = []\n\n[[oddities]]\nid = "arrest-yet',
            ),
            id="presentation without rules",
        ),
        pytest.param(
            "local.toml: rule fitting-now: a red flag without a condition would decide every referral",
            ('when = { fitting_now = ["yes"] }\nthen', "then"),
            id="red flag without a condition",
        ),
        pytest.param(
            "local.toml: rule news2-not-valid: what is unknown goes to a clinician: to_clinician must be true",
            changed("news2-not-valid", "to_clinician = true", "service_types = [105]"),
            id="children not to a clinician",
        ),
        pytest.param(
            "local.toml: news2.pulse_per_min: limits must run from the outermost inwards, with fewer points each",
            ("below = [[41, 3], [51, 1]]", "below = [[51, 1], [41, 3]]"),
            id="chart out of order",
        ),
        pytest.param(
            "local.toml: news2.consciousness: no points for pain",
            ("pain = 3, ", ""),
            id="chart without a level",
        ),
        pytest.param(
            "local.toml: news2: the medium band must begin below the high one",
            ("medium_from_total = 5", "medium_from_total = 7"),
            id="bands out of order",
        ),
        pytest.param(
            "local.toml: plausible.pulse_per_min: least must be below most",
            ("{ least = 20, most = 250 }", "{ least = 250, most = 20 }"),
            id="empty range",
        ),
        pytest.param(
            "local.toml: the whole file: version: Field required",
            ('version = "2.0.0"', ""),
            id="no version",
        ),
    ],
)
def test_a_fault_is_named(written: Path, expected: str, change: tuple[str, str]) -> None:
    """File, rule and fault, and no other fault beside it."""
    assert [expected] == faults(written, change)


def test_both_rules_of_a_repeated_id_are_named(written: Path) -> None:
    """Two rules with one id could not be told apart in an answer."""
    assert [
        "local.toml: rule stroke-presentation: id: another rule has this id too",
        "local.toml: rule stroke-presentation: id: another rule has this id too",
    ] == faults(written, ('id = "stemi-presentation"', 'id = "stroke-presentation"'))


def test_a_rule_behind_a_wider_one_is_never_reached(written: Path) -> None:
    """The rule that decides before it is named too."""
    incomplete = changed("fall-incomplete", 'when = { news2_complete = ["no"] }\n', "")
    assert ["local.toml: rule fall: is never reached: fall-incomplete decides before it"] == faults(written, incomplete)


def test_a_rule_behind_an_escalating_band_is_never_reached(written: Path) -> None:
    """Where the presentation escalates from low-medium, no rule of its own sees a medium band."""
    medium = changed("fall-incomplete", 'news2_complete = ["no"]', 'news2_band = ["medium", "high"]')
    assert ["local.toml: rule fall-incomplete: is never reached: escalates_from decides before it"] == faults(
        written, medium
    )


def test_a_rule_that_several_forestall_between_them_is_never_reached(written: Path) -> None:
    """No one of them covers it; together they do, and both are named."""
    low = changed("frailty-incomplete", 'when = { news2_complete = ["no"] }', 'when = { news2_band = ["low"] }')
    [fault] = faults(written, low)
    assert (
        "local.toml: rule frailty: is never reached: not-scored, escalates_from, frailty-one-observation, "
        "frailty-incomplete decide before it, between them"
    ) == fault


def test_presentations_that_decide_as_each_other(written: Path) -> None:
    """A cycle never decides: it is named with its whole way."""
    start = SOUND.index('id = "head-injury-unconscious"')
    end = SOUND.index("\n\n", start)
    was = SOUND[start:end]
    back = was.replace(was[was.index("then = ") : was.index("\ntext")], 'decide_as = "fall"')
    assert [
        "local.toml: rule head-injury-unconscious: decide_as: a cycle that never decides: "
        "head-injury -> fall -> head-injury"
    ] == faults(written, (was, back))


def test_a_presentation_that_decides_as_itself(written: Path) -> None:
    """The shortest cycle."""
    start = SOUND.index('id = "fall-unconscious"')
    was = SOUND[start : SOUND.index("\n\n", start)]
    itself = was.replace(was[was.index("then = ") : was.index("\ntext")], 'decide_as = "fall"')
    [fault] = faults(written, (was, itself))
    assert "local.toml: rule fall-unconscious: decide_as: a cycle that never decides: fall -> fall" == fault


@pytest.mark.parametrize(
    ("expected", "change"),
    [
        (
            "local.toml: questions.transfer_minutes: every band but the last has up_to, and the last has none",
            ('{ word = "longer" }]\nsource = "NICE NG185', '{ word = "longer", up_to = 600 }]\nsource = "NICE NG185'),
        ),
        (
            "local.toml: questions.transfer_minutes: the limits of the bands must rise",
            ('{ word = "in-120", up_to = 120 }', '{ word = "in-120", up_to = 30 }'),
        ),
        (
            "local.toml: presentations.stemi: asks: unknown question onse",
            ('asks = ["onset", "transfer_minutes"]', 'asks = ["onse", "transfer_minutes"]'),
        ),
        (
            "local.toml: rule fall-head: decide_as: unknown presentation head",
            changed("fall-head", '"head-injury"', '"head"'),
        ),
        (
            "local.toml: rule fall-head: either then or decide_as, and not both",
            changed("fall-head", 'decide_as = "head-injury"\n', ""),
        ),
        (
            "local.toml: ages: the youngest ages, in years, must begin with 0 and rise",
            ("infant = 0\n", "infant = 1\n"),
        ),
    ],
)
def test_a_fault_of_what_is_asked_is_named(written: Path, expected: str, change: tuple[str, str]) -> None:
    """Questions, their bands, who asks them, and who decides as whom."""
    assert expected in faults(written, change)


def test_all_faults_at_once(written: Path) -> None:
    """Whoever mends a pack sees everything that is wrong with it, in one go."""
    found = faults(
        written,
        changed("palliative", "[146, 50, 155]", "[146, 7]"),
        changed("minor-injury", '"low"', '"lowest"'),
        changed("stroke-not-tested", '"stroke"', '"strok"'),
        ('when = { fitting_now = ["yes"] }\nthen', "then"),
    )
    assert {"rule palliative", "rule minor-injury", "rule stroke-not-tested", "rule fitting-now"} == {
        fault.split(": ")[1] for fault in found
    }


def test_a_file_that_is_not_toml(written: Path) -> None:
    """The place in the file is said."""
    [fault] = faults(written, ('name = "onward-default"', 'name = "onward-default'))
    assert fault.startswith("local.toml: the whole file: not TOML: ")
    assert "line" in fault


def test_a_file_that_is_not_there(written: Path) -> None:
    """The whole path is said, for it is the path that is wrong."""
    with pytest.raises(UnsoundRulePack, match=r"local.toml: the whole file: cannot be read: No such file"):
        load(written)


def test_the_shipped_pack_is_the_default() -> None:
    """Another is named by ONWARD_RULE_PACK."""
    assert SHIPPED == TriageSettings.read({}).rule_pack
    assert Path("rules/local.toml") == TriageSettings.read({"ONWARD_RULE_PACK": "rules/local.toml"}).rule_pack
