"""What usage costs at list price, and what has no price."""
