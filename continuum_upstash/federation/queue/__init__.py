"""A queue of jobs in one sorted set."""
