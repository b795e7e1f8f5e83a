"""The application whose operator's page is measured: five kinds that never run, and a webhook that never answers."""

from __future__ import annotations

from fastapi import FastAPI

from raincheck import OperationContext, Raincheck, Webhook
from raincheck.dashboard import Operator

app = FastAPI(title="Measured")
HOOK = "http://127.0.0.1:1/hooks"
KINDS = ("report", "import_orders", "render", "mail", "forecast")
rain = Raincheck(
    app,
    dashboard=lambda: Operator("bench"),
    public_url="http://127.0.0.1",
    webhooks=[Webhook(url=HOOK, secret="whsec_bmV2ZXIgdXNlZCBpbiBwcm9kdWN0aW9uISE=", private_networks=True)],
)


async def work(op: OperationContext) -> int:
    """Emit and log, as an operation whose page is opened does."""
    for number in range(1500):
        op.emit({"row": number})
        op.progress(number, 1500, unit="rows")
    return 1500


for kind in KINDS:
    rain.post(f"/{kind}", kind=kind)(work)
