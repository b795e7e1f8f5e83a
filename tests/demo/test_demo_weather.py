"""The demo's fan-out, and the slow service that it calls."""

import asyncio

import httpx2
import pytest

from raincheck import OperationContext
from raincheck.demo import slow_api
from raincheck.demo.weather import AT_A_TIME, CityForecast, collect_forecasts, fetch_forecast, weather_service

DAY = {"celsius": [1.0], "uncertainty": [0.1]}


def client_of(answer):
    return httpx2.AsyncClient(transport=httpx2.MockTransport(answer), base_url="http://weather")


@pytest.mark.anyio
async def test_cities_are_asked_at_the_same_time_and_returned_in_order():
    """As many requests as the service likes are under way together; the result keeps the caller's order."""
    running, most, full = 0, 0, asyncio.Event()

    async def answer(request):
        nonlocal running, most
        running += 1
        most = max(most, running)
        if running == AT_A_TIME:
            full.set()
        await full.wait()
        running -= 1
        return httpx2.Response(200, json={"city": request.url.params["city"], **DAY})

    cities, op = [f"city {number}" for number in range(2 * AT_A_TIME)], OperationContext()
    async with client_of(answer) as weather:
        found = await collect_forecasts(cities, weather, op)
    assert most == AT_A_TIME
    assert [forecast.city for forecast in found.forecasts] == cities
    assert sorted(chunk["city"] for chunk in op.recorder.outputs) == sorted(cities)
    assert op.recorder.progresses[-1].fraction == 1.0


@pytest.mark.anyio
async def test_the_warmest_city_is_named():
    """Means decide, not single days."""

    def answer(request):
        warm = {"Rome": [20.0, 21.0], "Oslo": [30.0, 1.0]}
        city = request.url.params["city"]
        return httpx2.Response(200, json={"city": city, "celsius": warm[city], "uncertainty": [0, 0]})

    async with client_of(answer) as weather:
        found = await collect_forecasts(["Oslo", "Rome"], weather, OperationContext())
    assert found.warmest == "Rome"


@pytest.mark.anyio
async def test_a_caller_that_is_sent_away_comes_back_when_told():
    """429 is not an error: the request is repeated after Retry-After."""
    answers = [
        httpx2.Response(429, headers={"Retry-After": "0"}),
        httpx2.Response(200, json={"city": "Oslo", **DAY}),
    ]
    async with client_of(lambda _request: answers.pop(0)) as weather:
        assert await fetch_forecast(weather, "Oslo") == CityForecast(city="Oslo", **DAY)
    assert answers == []


@pytest.mark.anyio
async def test_a_failing_service_fails_the_operation_with_an_error_worth_a_retry():
    """Other errors surface as HTTPError, the class that the route retries."""
    async with client_of(lambda _request: httpx2.Response(503)) as weather:
        with pytest.raises(httpx2.HTTPStatusError, match="503"):
            await collect_forecasts(["Oslo", "Rome"], weather, OperationContext())


def test_a_forecast_is_computed_and_grows_uncertain():
    """The same city has the same weather, and small differences grow as in any chaotic atmosphere."""
    first = slow_api.compute_forecast("Oslo", days=8, members=8)
    assert first == slow_api.compute_forecast("Oslo", days=8, members=8)
    assert first.celsius != slow_api.compute_forecast("Rome", days=8, members=8).celsius
    assert len(first.celsius) == 8
    assert first.uncertainty[-1] > 3 * first.uncertainty[0]


@pytest.mark.anyio
async def test_the_service_limits_its_callers_and_ends_with_its_launcher():
    """A crowd gets some 429 answers with Retry-After; after the context nothing listens any more."""
    async with weather_service() as url, httpx2.AsyncClient(base_url=url, timeout=60) as client:
        crowd = [client.get("/forecast", params={"city": f"city {number}"}) for number in range(6)]
        answers = await asyncio.gather(*crowd)
    statuses = sorted(answer.status_code for answer in answers)
    assert statuses[0] == 200
    assert statuses[-1] == 429
    assert all(answer.headers["Retry-After"] == "1" for answer in answers if answer.status_code == 429)
    async with httpx2.AsyncClient(base_url=url) as client:
        with pytest.raises(httpx2.ConnectError):
            await client.get("/forecast", params={"city": "Oslo"})
