"""One request, from the client to OpenAI and back, and its events."""
