"""Telling people: who must hear of an outcome is told once, and what each was told is remembered.

Owns the topic `notifications` and the messages. Reads `bookings`, of which it tells first placements, and `referrals`,
which says what became of them: `hearing.py` is the table of who hears of what. Tells `notification.sent` once the
provider has accepted a message. Remembers every message: to whom, by which channel, from which template, and how far it
got. The default provider is a recording sandbox with a schema of its own.
"""
