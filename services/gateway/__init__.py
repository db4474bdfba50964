"""The gateway: takes submissions over HTTP and answers each, in one transaction, with what was booked.

Owns the topic `submissions`. Reads `bookings`, for outcomes, and `desks`, for who may submit. Remembers attempts: what
an organisation asked for under an idempotency key, the exact event that is told, and the answer.
"""
