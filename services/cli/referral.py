"""`onward referral`: where a referral stands, how it came there, and what may be asked for now."""

from collections.abc import Mapping, Sequence
from typing import Any

import httpx

from services.cli import local
from services.cli.act import Referral
from services.cli.connection import TRUST, AsJson, Folder, Organisation, Token, Url, answered, connect
from services.cli.speaking import print_json
from services.cli.standing import clock, lines_of_place, standing_lines

SECONDS = 30.0


def referral(
    referral: Referral,
    organisation: Organisation = TRUST,
    url: Url = "",
    token: Token = "",
    folder: Folder = local.DEFAULT_FOLDER,
    as_json: AsJson = False,
) -> None:
    """Show where a referral stands, every version with what it changed, by whom and why, and what may be done now."""
    connection = connect(folder, url, token, organisation=organisation, role="clinical-hub", practitioner="onward")
    address = f"{connection.url}/referrals/{referral}"
    now, versions = (
        answered(httpx.get(one, headers=connection.headers, timeout=SECONDS))
        for one in (address, f"{address}/versions")
    )
    if as_json:
        print_json({**now, **versions})
    else:
        print("\n".join([*lines_of_now(now), *lines_of_versions(versions["versions"])]))


def lines_of_now(now: Mapping[str, Any]) -> list[str]:
    """Where the referral stands, and what the caller's organisation may ask for."""
    lines = [f"{now['id']}, referred by {now['referrer']}", *standing_lines(now)]
    if now["service"]:
        lines += lines_of_place(now, "where")
    if now["proposal"]:
        lines.append(f"   else   proposed: {now['proposal']['name']}, {now['proposal']['telephone']}; not booked")
    if now["asked"]:
        lines.append("   search another place is being looked for; what is held is kept")
    may = ", ".join(now["actions"]).replace("_", "-") or "nothing"
    lines.append(f"   may do {may}")
    return lines


def lines_of_versions(versions: Sequence[Mapping[str, Any]]) -> list[str]:
    """Each version: when, what made it, who and why, and what is not as it was before; the latest last."""
    lines = []
    for one in versions:
        by = f"{one['by']['practitioner']} ({one['by']['role']}, {one['by']['organisation']})" if one["by"] else None
        lines.append(f"\nversion {one['version']}  {clock(one['at'])}  {one['fact']} by {by or one['source']}")
        if one["why"]:
            lines.append(f"   why    {one['why']}")
        # Of next steps only the present one is of use.
        lines += [f"   {change}" for change in one["changes"] if not change.startswith("next step: ")]
    return lines
