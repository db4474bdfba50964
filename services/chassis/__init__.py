"""What every service stands on: settings, log, failures, the step, readers, database, outbox, identity, web."""
