"""Budgets: what a request may cost at most is held before it goes, and settled when it has ended."""
