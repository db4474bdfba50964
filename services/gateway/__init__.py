"""The gateway: takes submissions and actions over HTTP and answers each, in one transaction, with what came of it.

Owns the topic `submissions`. Reads `bookings`, for outcomes, `referrals`, for what was decided of actions, and `desks`,
for who may submit. Remembers attempts: what an organisation asked for under an idempotency key, the exact event that is
told, and the answer.
"""
