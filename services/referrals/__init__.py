"""Referrals: what is known of each referral, for everyone on it, and what becomes of it after its answer.

Owns the schema `referrals`. Reads `submissions`, `triage`, `placements`, `bookings` and `notifications`, and every
reader's dead letters. Decides, alone, about every action on a referral and about what comes of further searches for a
place, by the table in `lifecycle.py`, and tells it on `referrals`; sends dead letters again when an operator asks.
Remembers every fact exactly as it was told, where each referral stands and in which version, its further searches, the
feed, and what could not be read.
"""
