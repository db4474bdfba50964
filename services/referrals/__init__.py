"""Referrals: what is known of each referral, for everyone on it.

Owns the schema `referrals`. Reads `submissions`, `triage`, `placements`, `bookings` and `notifications`. Tells nothing
yet. Remembers every fact exactly as it was told, where each referral stands and in which version, and the feed.
"""
