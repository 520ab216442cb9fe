"""Formats as they pass, in constant memory: JSON, server-sent events, forms, encodings, recordings."""
