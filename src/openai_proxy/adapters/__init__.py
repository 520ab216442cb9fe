"""The ports' real engines: each module is one engine, and only bootstrap imports them."""
