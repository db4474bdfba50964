"""`onward check`: whether what must always be true is."""

from services.invariants.check import Checked, Finding


def described(checked: Checked) -> dict[str, object]:
    """The check for programs."""
    return {
        "holds": checked.holds,
        "invariants": [
            {
                "sentence": one.sentence,
                "holds": None if one.unchecked else not one.broken,
                "looked_at": one.looked_at,
                "broken": one.broken,
                "examples": one.examples,
                "unchecked": one.unchecked,
            }
            for one in checked.findings
        ],
        "behind": checked.behind,
        "dead_letters": checked.dead_letters,
    }


def lines_of(checked: Checked) -> list[str]:
    """The check for people."""
    lines = [_line(one) for one in checked.findings]
    under_way = {group: count for group, count in checked.behind.items() if count}
    lines += [f"under way   {group} has {count} records to read" for group, count in under_way.items()]
    lines += [
        f"buried      {count} dead letters of {reader}" for reader, count in checked.dead_letters.items() if count
    ]
    broken = sum(bool(one.broken) for one in checked.findings)
    unchecked = sum(bool(one.unchecked) for one in checked.findings)
    held = len(checked.findings) - broken - unchecked
    return [*lines, "", f"{held} hold, {broken} are broken, {unchecked} could not be checked"]


def _line(one: Finding) -> str:
    if one.unchecked:
        return f"unchecked   {one.sentence}: {one.unchecked}"
    if one.broken:
        more = ", ..." if one.broken > len(one.examples) else ""
        return f"BROKEN      {one.sentence}: {one.broken}, such as {', '.join(one.examples)}{more}"
    return f"holds       {one.sentence}" + (f" ({one.looked_at})" if one.looked_at else "")
