# Generated from ../_async by tools/generate_sync_client.py: change the asynchronous side.
