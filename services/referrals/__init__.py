"""Referrals: what is known of each referral, for everyone on it.

Owns the schema `referrals`. Reads `submissions`, `triage`, `placements`, `bookings` and `notifications`, and every
reader's dead letters. Tells nothing yet; sends dead letters again when an operator asks. Remembers every fact exactly
as it was told, where each referral stands and in which version, the feed, and what could not be read.
"""
