"""The same three functions on one machine: one command starts them, a queue and a ledger."""
