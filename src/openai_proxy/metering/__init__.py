"""What a request used, read from its answer on its way, or estimated."""
