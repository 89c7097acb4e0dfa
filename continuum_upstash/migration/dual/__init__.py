"""The operations of MigratingCache on two caches, and their state in a process."""
