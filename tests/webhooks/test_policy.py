"""What is wrong with the configuration of webhooks is said when the application is constructed."""

from __future__ import annotations

import base64
import re
import subprocess
import sys
import tomllib
from importlib.util import find_spec as really_found
from pathlib import Path

import pytest
from fastapi import FastAPI

from raincheck import Callbacks, ConfigurationError, Raincheck, Webhook
from raincheck.webhooks import policy

SECRET = "whsec_" + base64.b64encode(b"p" * 32).decode()
HERE = "https://api.example.com"
ROOT = Path(__file__).resolve().parents[2]


def webhook(url="https://hooks.example.com/token-1", **options):
    return Webhook(url=url, secret=SECRET, **options)


@pytest.mark.parametrize("asked", [{"callbacks": Callbacks(secret=SECRET)}, {"webhooks": [webhook()]}])
def test_webhooks_need_the_public_url(asked, monkeypatch):
    """Their links are absolute; it comes as a keyword or from the environment."""
    monkeypatch.delenv("RAINCHECK_PUBLIC_URL", raising=False)
    with pytest.raises(ConfigurationError, match="public_url"):
        Raincheck(**asked)
    Raincheck(public_url=HERE, **asked)
    monkeypatch.setenv("RAINCHECK_PUBLIC_URL", HERE)
    Raincheck(**asked)


@pytest.mark.parametrize(
    "url", ["api.example.com", "ftp://x.example", "https://", "https://u@x.example", "https://x/?a", "https://x/#a"]
)
def test_a_public_url_that_is_none_is_refused(url):
    """Also where no webhook uses it yet."""
    with pytest.raises(ConfigurationError, match="public_url"):
        Raincheck(public_url=url)


@pytest.mark.parametrize("missing", ["httpcore2", "idna", "standardwebhooks"])
def test_a_missing_package_is_named_with_its_extra(missing, monkeypatch):
    """Not at the first delivery, but at once."""
    monkeypatch.setattr(policy, "find_spec", lambda name: None if name == missing else really_found(name))
    with pytest.raises(ConfigurationError, match=rf"{missing}.*raincheck\[webhooks\]"):
        Raincheck(public_url=HERE, webhooks=[webhook()])
    Raincheck()


def test_the_extra_is_enough(monkeypatch):
    """What `pip install 'raincheck[webhooks]'` brings is all that is asked for."""
    extra = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["webhooks"]
    brought = {re.split("[^a-z0-9]", requirement)[0] for requirement in extra}
    asked = set()
    monkeypatch.setattr(policy, "find_spec", lambda name: asked.add(name) or really_found(name))
    Raincheck(public_url=HERE, webhooks=[webhook()])
    assert asked == brought


def test_an_application_without_webhooks_imports_none_of_their_packages():
    """The default install does without them, and a start costs nothing more."""
    program = (
        "import sys; from fastapi import FastAPI; from raincheck import Raincheck; Raincheck(FastAPI()); "
        "assert not {'httpx2', 'httpcore2', 'standardwebhooks', 'idna'} & set(sys.modules), sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize(
    "url",
    [
        *(
            "nowhere",
            "ftp://hooks.example.com/",
            "http://hooks.example.com/",
            "https://user:p@hooks.example.com/token-1",
        ),
        *(
            "https://hooks.example.com/token-1#a",
            "https://127.0.0.1/token-1",
            "https://intranet/token-1",
            "https://h:0/",
        ),
    ],
)
def test_a_url_that_cannot_be_called_is_refused_without_its_path(url):
    """The path may hold a token, and the message goes to logs."""
    with pytest.raises(ConfigurationError, match="Webhook") as caught:
        Raincheck(public_url=HERE, webhooks=[webhook(url)])
    assert "token-1" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("https://hooks.example.com:9443/", {}),
        ("http://127.0.0.1:8080/", {"private_networks": True}),
        ("http://hooks:81/", {"private_networks": True}),
        ("https://[2606:4700::1]:9443/", {}),
    ],
)
def test_the_applications_own_endpoints_may_have_any_port(url, options):
    """Whoever configures an endpoint may choose it; callers may not."""
    rain = Raincheck(public_url=HERE, webhooks=[webhook(url, **options)])
    assert rain.webhook_policy.webhooks[0].url == url


def test_patterns_that_cannot_be_read_are_refused():
    """Otherwise each submit would tell the caller what the author should hear."""
    with pytest.raises(ConfigurationError, match="allow="):
        Raincheck(public_url=HERE, callbacks=Callbacks(secret=SECRET, allow=("hooks.example.com",)))


def test_routes_for_deliveries_exist_where_webhooks_do():
    """And nowhere else."""
    for options, expected in (({}, False), ({"webhooks": [webhook()], "public_url": HERE}, True)):
        app = FastAPI()
        Raincheck(app, **options)
        assert any("deliveries" in path for path in app.openapi()["paths"]) is expected
