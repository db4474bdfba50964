"""Telling people: who must hear of an outcome is told once, and what each was told is remembered.

Owns the topic `notifications` and the messages. Reads `bookings`. Tells `notification.sent` once the provider has
accepted a message. Remembers every message: to whom, by which channel, from which template, and how far it got.
The default provider is a recording sandbox with a schema of its own.
"""
