"""Booking: ends each placement once, with one confirmed or one exhausted, ever, and gives back what is withdrawn.

Reads `placements`, `referrals` and `services`. Tells `bookings`, and `diaries`: the next free slots of each service
that has some. Remembers diaries, slots, bookings, who waits for a place or asks a receiver that keeps its own diary,
and what it told of each placement. A repeated placement is told what was stored; nothing is decided twice.
"""
