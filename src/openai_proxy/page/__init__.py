"""What `/log` is made of: who reads, which period, and how it is written."""
