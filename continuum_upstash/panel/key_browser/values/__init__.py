"""What a key contains: read within bounds, and shown as text that does nothing."""
