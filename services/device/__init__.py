"""The simulated ambulance device: makes incidents, refers each in one transaction, keeps a journal of what it sent.

It speaks to the gateway over HTTP alone, as a real device would, and knows nothing of the services behind it.
"""
