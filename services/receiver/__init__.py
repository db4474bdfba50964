"""The simulated receiving service: what its team does with the referrals that it is given, at a pace by a seed.

It speaks over HTTP alone, as a real service's system would: it follows the feed and asks for actions. It remembers
nothing: what it does, and under which key, is drawn from the seed and the placement, so one that starts again repeats
nothing.
"""
