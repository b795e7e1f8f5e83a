"""The demo application: five slow endpoints, each made durable by one decorator."""

import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

import httpx2
from fastapi import FastAPI, HTTPException, Request, Response, UploadFile
from fastapi.responses import FileResponse
from pydantic import BaseModel, Field

from raincheck import OperationContext, Raincheck, Retry, Webhook, WorkerDepends
from raincheck.dashboard import Operator
from raincheck.demo import folders
from raincheck.demo.addresses import PUBLIC_URL, RECEIVER_URL, WEBHOOK_SECRET
from raincheck.demo.fractal import View, render_fractal
from raincheck.demo.orders import ImportReport, import_orders
from raincheck.demo.report import render_report
from raincheck.demo.tale import Model, read_texts, tell
from raincheck.demo.weather import ForecastRequest, Forecasts, collect_forecasts, weather_service


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Start the third party that the demo calls."""
    folders.make_folders()
    app.state.model = Model(read_texts(folders.HERE.parent))
    async with weather_service() as url:
        app.state.weather_url = url
        yield


def this_machine(request: Request) -> Operator:
    """Let whoever sits at this machine act on the operator's page, at /dashboard; yours asks for a login."""
    if request.client is None or request.client.host != "127.0.0.1":
        raise HTTPException(403, "The demo's page is for this machine only.")
    return Operator("demo")


app = FastAPI(title="Raincheck demo", lifespan=lifespan)
rain = Raincheck(
    app,
    store=f"sqlite:///{folders.OPERATIONS_DB}",
    dashboard=this_machine,
    public_url=PUBLIC_URL,
    webhooks=[
        Webhook(
            url=f"{RECEIVER_URL}/webhooks",
            secret=WEBHOOK_SECRET,
            # The demo's receiver runs on this machine, without TLS. Receivers on the internet do without this line,
            # and then nothing but https to a public address is ever called.
            private_networks=True,
        )
    ],
)


# --- waiting for others: an async function in the event loop --------------------------------------------------


async def weather_client(app: FastAPI) -> AsyncIterator[httpx2.AsyncClient]:
    """Give a client of the weather service for the length of a run."""
    async with httpx2.AsyncClient(base_url=app.state.weather_url, timeout=60) as client:
        yield client


Weather = Annotated[httpx2.AsyncClient, WorkerDepends(weather_client)]


@rain.post("/forecasts", retry=Retry(attempts=3, on=(httpx2.HTTPError,)), timeout="5m")
async def forecasts(order: ForecastRequest, weather: Weather, op: OperationContext) -> Forecasts:
    """Ask a slow third party for many cities at once."""
    return await collect_forecasts(order.cities, weather, op)


# --- telling while working: an async function that emits tokens -----------------------------------------------


def language_model(app: FastAPI) -> Model:
    """Give the model that was trained at the start."""
    model: Model = app.state.model
    return model


class TaleRequest(BaseModel):
    """How long the tale is, and which."""

    words: Annotated[int, Field(ge=1, le=20_000)] = 400
    seed: int = 1


@rain.post("/tales", timeout="5m")
async def tales(
    order: TaleRequest, model: Annotated[Model, WorkerDepends(language_model)], op: OperationContext
) -> str:
    """Tell a tale word by word; readers of the events see each word as it is found."""
    return await tell(model, order.words, order.seed, op)


# --- work in the background: a plain function in a thread -----------------------------------------------------


@rain.post("/imports", retry=Retry(attempts=3), timeout="30m")
def imports(file: UploadFile, op: OperationContext) -> ImportReport:
    """Import an order export; rejected rows are emitted as they are found."""
    return import_orders(file.file, folders.SHOP_DB, op)


# --- heavy computing: a process of its own, which a cancel really ends ----------------------------------------


def scratch_folder() -> Iterator[Path]:
    """Give a folder for the length of a run; what the function returned has been read before it is removed."""
    with tempfile.TemporaryDirectory(dir=folders.RENDERED) as folder:
        yield Path(folder)


Scratch = Annotated[Path, WorkerDepends(scratch_folder)]


class ReportRequest(BaseModel):
    """How the report is called."""

    title: Annotated[str, Field(min_length=1, max_length=60)] = "A year of rain"


@rain.post("/reports", executor="process", timeout="10m", response_class=FileResponse)
def reports(order: ReportRequest, scratch: Scratch, op: OperationContext) -> FileResponse:
    """Render a PDF of plots from the imported orders."""
    pdf = scratch / "report.pdf"
    render_report(folders.SHOP_DB, pdf, title=order.title, op=op)
    return FileResponse(pdf, media_type="application/pdf", filename="report.pdf")


class FractalRequest(BaseModel):
    """Which part of the Mandelbrot set to draw, and how large."""

    width: Annotated[int, Field(ge=64, le=8192)] = 1920
    height: Annotated[int, Field(ge=64, le=8192)] = 1280
    center: tuple[float, float] = (-0.743643887, 0.131825904)
    span: Annotated[float, Field(gt=0, le=8)] = 0.012
    iterations: Annotated[int, Field(ge=1, le=20_000)] = 500


@rain.post("/fractals", executor="process", timeout="10m", response_class=FileResponse)
def fractals(order: FractalRequest, scratch: Scratch, op: OperationContext) -> FileResponse:
    """Draw a large picture tile by tile."""
    png = scratch / "fractal.png"
    view = View(
        width=order.width,
        height=order.height,
        center=complex(*order.center),
        span=order.span,
        iterations=order.iterations,
    )
    render_fractal(view, png, op=op)
    return FileResponse(png, media_type="image/png", filename="fractal.png", content_disposition_type="inline")


# --- what the receiver of webhooks got ------------------------------------------------------------------------


@app.get("/arrived", include_in_schema=False)
async def arrived(operation: str = "") -> Response:
    """Ask the receiver, so that the page needs to know one address only."""
    asked = {"operation": operation} if operation else {}
    try:
        async with httpx2.AsyncClient(base_url=RECEIVER_URL, timeout=30, trust_env=False) as client:
            answer = await client.get("/arrived", params=asked)
    except httpx2.TransportError as error:
        raise HTTPException(
            502, "The receiver of webhooks does not answer. Start the demo with: raincheck demo"
        ) from error
    return Response(answer.content, answer.status_code, media_type="application/json")


# --- the page -------------------------------------------------------------------------------------------------


@app.get("/", include_in_schema=False)
def page() -> FileResponse:
    """Serve the page with a button for each way."""
    return FileResponse(folders.HERE / "page.html", media_type="text/html")


@app.get("/live", include_in_schema=False)
def live() -> FileResponse:
    """Serve the example of EventSource and WebSocket in one file."""
    return FileResponse(folders.HERE / "live.html", media_type="text/html")


@app.get("/orders.csv", include_in_schema=False)
def orders_csv() -> FileResponse:
    """Serve the generated export, so that the page can upload it."""
    return FileResponse(folders.ORDERS_CSV, media_type="text/csv")
