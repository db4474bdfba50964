"""Every route, topic and handler, given what nobody should send."""
