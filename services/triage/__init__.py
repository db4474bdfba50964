"""Triage: how urgent a referral is, and which types of service are fit, by a versioned rule pack.

Reads `submissions`, tells `referral.triaged` on `triage`, and answers `POST /triage` with a dry run.
Remembers nothing: the same submission and the same pack give the same decision.
"""
