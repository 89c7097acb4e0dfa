"""What `cache_migrate` prints, one module for each group of its actions."""
