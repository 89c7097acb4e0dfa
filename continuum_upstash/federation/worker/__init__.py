"""A process that runs the jobs of queues: `manage.py federation_worker`, or `Worker(…).run()`."""
