"""Invariants: what must always be true of a system, each a sentence and a query over Kafka and PostgreSQL.

It owns nothing and changes nothing: it reads every topic, the offsets of every group and every service's schema, and
says which sentences hold. `onward check` runs it; so does the end of every test of a whole system.

It looks at a system that works. Nothing that is still under way counts as broken: what a reader has not committed is
not asked for, and all tables are read in one snapshot.
"""
