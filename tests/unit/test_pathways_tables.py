"""A site's tables: codes for presentations, and how the directory is searched. Faults are named."""

from pathlib import Path

import pytest

from contracts.brief import Reason
from services.chassis.versioned_table import TableFaulty, read_table
from services.pathways.codes import CodeTable
from services.pathways.handlers import rank
from services.pathways.placing import UNMAPPED, mapped
from services.pathways.request import Area, Needs, SearchRequest
from services.pathways.search_rules import SearchRules
from services.pathways.settings import PathwaysSettings
from services.triage.rule_pack import load
from services.triage.settings import SHIPPED as PACK
from tests.pathways_examples import CODES, HERE, NOON, STROKE, brief, index_of, service, triaged

RULES = read_table(PathwaysSettings().search_rules, SearchRules)


def faults(tmp_path: Path, text: str, kind: type[CodeTable] | type[SearchRules] = CodeTable) -> list[str]:
    """What is wrong with a table, each fault without the file's name, which all have."""
    file = tmp_path / "site.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(TableFaulty) as caught:
        read_table(file, kind)
    lines = str(caught.value).splitlines()
    assert all(line.startswith(f"{file}: ") for line in lines)
    return [line.removeprefix(f"{file}: ") for line in lines]


def test_every_presentation_of_the_shipped_pack_is_mapped() -> None:
    """And each rule that decides whatever the presentation is, and each disposition by its own code."""
    pack = load(PACK)
    assert set() == set(pack.presentations) - set(CODES.presentations)
    assert {flag.id for flag in pack.red_flags} == set(CODES.rules)
    assert {code: one.minutes for code, one in pack.dispositions.items()} == {
        code: one.minutes for code, one in CODES.dispositions.items()
    }


def test_a_red_flag_is_searched_for_and_not_the_presentation() -> None:
    """A fall with a positive FAST test needs a service for strokes."""
    needs = CODES.needs("fall", decided_by="fast-positive", disposition="STROKE-NOW")
    assert Needs("SG-STROKE", ("SD-FULL",), "STROKE-NOW") == needs


def test_the_disposition_is_what_triage_decided() -> None:
    """By its own code, by a code that stands for it, else the presentation's."""
    table = CodeTable.model_validate(
        {
            "name": "a site's",
            "version": "1",
            "symptom_groups": {"SG-FALL": {"name": "Fall"}},
            "dispositions": {
                "UCR-2H": {"name": "Soon", "minutes": 120},
                "Dx02": {"name": "Now", "minutes": 60, "of_triage": ["ED-NOW"]},
            },
            "presentations": {"fall": {"symptom_group": "SG-FALL", "disposition": "UCR-2H"}},
        }
    )
    expected = ["UCR-2H", "Dx02", "UCR-2H"]
    decided = ["UCR-2H", "ED-NOW", "SOMETHING-ELSE"]
    found = [table.needs("fall", decided_by="fall", disposition=one) for one in decided]
    assert expected == [needs.disposition for needs in found if needs is not None]


async def test_an_unmapped_presentation_goes_to_a_clinician() -> None:
    """Nobody is a candidate, the brief says so with its reason, and one that goes there anyway stays as it was."""
    hiccups = Reason(rule="hiccups", text="Hiccups for a week.", source="an example")
    asked = brief(STROKE, presentation="hiccups", reasons=(hiccups,))
    [told] = await rank([triaged(asked)], index=index_of(service("S1")), clock=lambda: NOON, codes=CODES)
    assert ((), True, UNMAPPED) == (
        told.data.candidates,
        told.data.brief.to_clinician,
        told.data.brief.reasons[-1].rule,
    )
    already = asked.model_copy(update={"to_clinician": True})
    assert already is mapped(already, CODES)


def test_discriminators_of_another_group_are_dropped() -> None:
    """And each is asked for once."""
    belonging = CODES.belonging("SG-FALL", ["SD-CATHETER", "SD-HOME", "SD-HOME", "SD-NONE"])
    assert (("SD-HOME",), ()) == (belonging, CODES.belonging(None, ["SD-HOME"]))


def test_unknown_codes_are_named() -> None:
    """Whoever asks is told which of their codes the table does not have."""
    needs = Needs("SG-NONE", ("SD-HOME", "SD-NONE"), "DX-NONE")
    assert ["symptom group SG-NONE", "discriminator SD-NONE", "disposition DX-NONE"] == CODES.unknown(needs)
    assert [] == CODES.unknown(Needs("SG-FALL", ("SD-HOME",)))


def test_the_role_of_a_caller_is_the_directorys() -> None:
    """Where the table names it; else it is its own name."""
    assert ["ambulance", "gp"] == [CODES.referral_role(role) for role in ("paramedic", "gp")]


def test_every_fault_of_a_code_table_is_named(tmp_path: Path) -> None:
    """The file, the entry, and what is wrong with it."""
    text = """
name = "a site's"
version = "1"
symptom_groups.G1 = { name = "One", discriminators = { D1 = "First" } }
dispositions.X1 = { name = "Soon", minutes = 60, of_triage = ["ED-NOW"] }
dispositions.X2 = { name = "Later", minutes = 90, of_triage = ["ED-NOW"] }
presentations.fall = { symptom_group = "G2", discriminators = ["D1"], disposition = "X3" }
rules.fast = { symptom_group = "G1", discriminators = ["D2"], disposition = "X1" }
"""
    expected = [
        "presentations.fall.symptom_group: the table has no symptom group G2",
        "presentations.fall.disposition: the table has no disposition X3",
        "rules.fast.discriminators: D2 is no discriminator of G1",
        "dispositions.X2: ED-NOW is claimed by X1 already",
    ]
    assert expected == faults(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('name = "half a', "it is not TOML: "),
        ('name = "a"\nversion = "1"\nranks.national = { 105 = 11 }', "ranks.national.105: "),
        ('name = "a"\nversion = "1"\ndistances = { EX1 = 0.5 }', "distances.EX1: "),
        ('name = "a"\nversion = "1"\nholidays = []', "holidays: "),
    ],
)
def test_a_fault_of_search_rules_is_named(tmp_path: Path, text: str, expected: str) -> None:
    """Where it is in the file."""
    [fault] = faults(tmp_path, text, SearchRules)
    assert fault.startswith(expected)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """It is named, with why it cannot be read."""
    with pytest.raises(TableFaulty, match=r"nowhere\.toml: it cannot be read: No such file"):
        read_table(tmp_path / "nowhere.toml", CodeTable)


def request(**changes: object) -> SearchRequest:
    """A search from here."""
    return SearchRequest(position=HERE, at=NOON)._replace(**changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"km": 5.0, "km_is_forced": True, "postcode": "EL1 1AA"}, (5.0, "forced")),
        ({"km": 5.0, "postcode": "el1  1aa"}, (20.0, "postcode")),
        ({"km": 5.0, "postcode": "EL11AB"}, (30.0, "sector")),
        ({"km": 5.0, "postcode": "EL1 2AB"}, (50.0, "district")),
        ({"km": 5.0, "postcode": "EL1"}, (50.0, "district")),
        ({"km": 5.0, "postcode": "EL2 2AB"}, (5.0, "request")),
        ({"km": 5.0, "postcode": "nonsense"}, (5.0, "request")),
        ({"km_is_forced": True}, (60.0, "national")),
        ({}, (60.0, "national")),
    ],
)
def test_how_far_is_searched(changes: dict[str, object], expected: tuple[float, str]) -> None:
    """By the first that exists: forced, held for the postcode, its sector, its district, asked for, national."""
    rules = SearchRules(distances={"EL1 1AA": 20.0, "EL1 1": 30.0, "EL1": 50.0})
    assert expected == rules.distance_of(request(**changes))


def test_whose_ranks_count() -> None:
    """The local authority's, else the commissioner's, else the national ones."""
    ranks = SearchRules.model_validate(
        {"ranks": {"national": {105: 1}, "local_authorities": {"LA": {105: 2}}, "commissioners": {"C": {105: 3}}}}
    ).ranks
    areas = [Area("LA", "C"), Area("LB", "C"), Area("LB", "D"), Area()]
    assert [("LA", {105: 2}), ("C", {105: 3}), ("national", {105: 1}), ("national", {105: 1})] == list(
        map(ranks.of, areas)
    )
