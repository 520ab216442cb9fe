"""OpenAI's API as it is served here: endpoints, what opens them, refusals, and the client that waits."""
