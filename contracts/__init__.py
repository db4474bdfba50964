"""What is said between the services: one module a family of facts, frozen schemas, golden examples.

Nothing here imports anything of `services`; anyone can depend on it alone.
"""
