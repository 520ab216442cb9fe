"""One OpenAI key, a whole team: forward, meter, and keep the ledger."""

__version__ = "0.1.0"
