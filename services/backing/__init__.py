"""Apache Kafka and PostgreSQL: given by address, in containers when asked for, or embedded.

Owns the two servers that everything else stands on, on a machine that has no others.
Remembers under one folder (`.onward/` unless told otherwise): each server's data, its log, its process and its port.
"""
