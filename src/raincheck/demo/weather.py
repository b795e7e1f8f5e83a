"""Fan out to the slow weather service: all cities at once, as many at a time as the service likes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

import httpx2
from pydantic import BaseModel, Field

from raincheck import OperationContext
from raincheck.demo import neighbour

CITIES = [
    "Athens",
    "Berlin",
    "Bergen",
    "Cork",
    "Gdańsk",
    "Lisbon",
    "London",
    "Oslo",
    "Paris",
    "Rome",
    "Seattle",
    "Tromsø",
]
AT_A_TIME = 4
City = Annotated[str, Field(min_length=1, max_length=80)]


class ForecastRequest(BaseModel):
    """Which cities to ask for."""

    cities: Annotated[list[City], Field(min_length=1, max_length=40)] = CITIES


class CityForecast(BaseModel):
    """The next ten days of a city."""

    city: str
    celsius: list[float]
    uncertainty: list[float]


class Forecasts(BaseModel):
    """All forecasts, and which city is warmest on average."""

    warmest: str
    forecasts: list[CityForecast]


async def collect_forecasts(cities: list[str], weather: httpx2.AsyncClient, op: OperationContext) -> Forecasts:
    """Ask for all cities concurrently; each answer is emitted when it arrives.

    :raises httpx2.HTTPError: the service failed; worth a retry.
    """
    turn = asyncio.Semaphore(AT_A_TIME)
    done: list[CityForecast] = []
    op.progress(0, len(cities), unit="cities")

    async def ask(city: str) -> CityForecast:
        async with turn:
            forecast = await fetch_forecast(weather, city)
        done.append(forecast)
        op.emit(forecast)
        op.progress(len(done), len(cities), message=city, unit="cities")
        return forecast

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(ask(city)) for city in cities]
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from failures  # the error itself, so that Retry(on=...) recognises it
    forecasts = [task.result() for task in tasks]
    warmest = max(forecasts, key=lambda forecast: sum(forecast.celsius))
    return Forecasts(warmest=warmest.city, forecasts=forecasts)


async def fetch_forecast(weather: httpx2.AsyncClient, city: str) -> CityForecast:
    """Ask for one city; when the service says "too many callers", wait as long as it asks and try again."""
    while True:
        answer = await weather.get("/forecast", params={"city": city})
        if answer.status_code != httpx2.codes.TOO_MANY_REQUESTS:
            return CityForecast.model_validate(answer.raise_for_status().json())
        await asyncio.sleep(float(answer.headers.get("Retry-After", "1")))


@asynccontextmanager
async def weather_service() -> AsyncIterator[str]:
    """Run the slow service in a process of its own on a free port, and give its URL."""
    listener = neighbour.listening()
    url = neighbour.url_of(listener)
    with neighbour.started("raincheck.demo.slow_api", listener):
        yield url
