"""The operations of MigratingCache on two caches, and what a process must remember about them."""
