"""What the caches of this process did, and what they did everywhere: observers and their sums."""
