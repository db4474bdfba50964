"""The audit: each read of a patient's data leaves a row before it is answered."""

from collections.abc import Sequence
from typing import Any

from services.chassis.identity import Caller

WRITE = """
-- One row a response, in the serving service's own schema.
insert into audit (organisation, practitioner, role, action, ids) values ($1, $2, $3, $4, $5)
"""


async def audit(connection: Any, caller: Caller, action: str, ids: Sequence[str]) -> None:
    """Write down that `caller` read these, by pool or connection. Raises when it cannot: then nothing is answered."""
    await connection.execute(WRITE, caller.organisation, caller.practitioner, caller.role, action, list(ids))
