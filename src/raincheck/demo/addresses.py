"""Where the demo is reached, and who hears of its operations; the launcher sets both before it loads the app."""

import os

PUBLIC_URL = os.environ.get("RAINCHECK_PUBLIC_URL") or "http://127.0.0.1:8000"
RECEIVER_URL = os.environ.get("DEMO_RECEIVER_URL") or "http://127.0.0.1:8001"
# Both sides know it, nobody else. An application takes it from its secret store, and never from its source as here.
WEBHOOK_SECRET = "whsec_cmFpbmNoZWNrJ3MgZGVtbywgYSBzZWNyZXQgb2Ygbm9uZQ=="  # noqa: S105 - guards nothing
