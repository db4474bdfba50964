"""Load: how fast it is, beside what users would pick instead, in the same run; every run is accounted for."""
