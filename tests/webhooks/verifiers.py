"""The verifiers that receivers already use: two of Python, two of Node."""

from __future__ import annotations

import base64
import json
import subprocess
from pathlib import Path

import standardwebhooks
import svix.webhooks

from tests.readers import node

HERE = Path(__file__).resolve().parent
NODE = ("standardwebhooks", "svix")


def _python(library):
    def refusals(cases):
        found = []
        for secret, body, headers in cases:
            try:
                library.Webhook(secret).verify(body, dict(headers))
                found.append("")
            except Exception as error:
                found.append(f"{type(error).__name__}: {error}")
        return found

    return refusals


def _node(library, folder):
    def refusals(cases):
        lines = [
            json.dumps(
                {
                    "library": library,
                    "secret": secret,
                    "body": base64.b64encode(body).decode(),
                    "headers": dict(headers),
                }
            )
            for secret, body, headers in cases
        ]
        run = subprocess.run(
            ["node", "node_verifier.mjs"],
            cwd=folder,
            input="\n".join(lines),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert run.returncode == 0, run.stderr
        return [json.loads(line) for line in run.stdout.splitlines()]

    return refusals


def python_verifiers():
    """Return name -> a function from cases (secret, body, headers) to the refusal of each, "" for a pass."""
    return {"python-standardwebhooks": _python(standardwebhooks), "python-svix": _python(svix.webhooks)}


def node_verifiers(folder):
    """Return the same for Node.

    :raises node.Missing: no node, no npm, or no registry.
    """
    installed = node.installed(folder, source=HERE, program="node_verifier.mjs")
    return {f"node-{library}": _node(library, installed) for library in NODE}
