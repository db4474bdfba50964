"""The simulated ambulance device: what a crew meets, and how a referral gets from the patient's side to an answer.

It speaks to the gateway over HTTP alone, as a real device would, and knows nothing of the services behind it. What it
has not had answered it keeps in a file of its own, so that neither a loss of signal nor of power loses a referral.
"""
