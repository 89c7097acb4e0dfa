#!/bin/sh
# Started by the Lambda Web Adapter. An instance handles one request at a time: one worker, with a
# second thread for the adapter's readiness check. --timeout 0: an instance is frozen between
# requests, and gunicorn may kill a worker that was frozen for longer than its timeout.
exec python3 -m gunicorn mysite.wsgi --bind "127.0.0.1:${AWS_LWA_PORT:-8080}" --workers 1 --threads 2 \
  --timeout 0 --worker-tmp-dir /tmp --no-control-socket
