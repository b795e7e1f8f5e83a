"""The files of docs/deployment are files that systemd and Kubernetes take, and they agree with each other."""

from __future__ import annotations

import shutil
import subprocess

import kubernetes_validate
import pytest
import yaml

from raincheck.core.quantities import duration
from raincheck.settings import Settings
from tests.docs.pages import ROOT

FOLDER = ROOT / "docs" / "deployment"
UNITS = sorted(FOLDER.glob("*.service"))
MANIFEST = list(yaml.safe_load_all((FOLDER / "kubernetes.yaml").read_text()))
DEPLOYMENTS = [each for each in MANIFEST if each["kind"] == "Deployment"]


@pytest.mark.parametrize(
    "document", MANIFEST, ids=lambda document: f"{document['kind']}-{document['metadata']['name']}"
)
def test_each_document_of_the_manifest_is_one_of_kubernetes(document):
    """Strictly: a misspelt field is refused, not ignored."""
    kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)


def test_a_misspelt_field_is_found_out():
    """The test above can fail."""
    broken = yaml.safe_load(yaml.safe_dump(DEPLOYMENTS[0]))
    broken["spec"]["template"]["spec"]["terminationGracePeriod"] = 30
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, kubernetes_validate.latest_version(), strict=True)


@pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=lambda deployment: deployment["metadata"]["name"])
def test_a_pod_is_given_longer_than_its_drain(deployment):
    """And selects its own pods; every setting is one that exists."""
    pod = deployment["spec"]["template"]
    assert deployment["spec"]["selector"]["matchLabels"] == pod["metadata"]["labels"]
    [container] = pod["spec"]["containers"]
    given = {each["name"].removeprefix("RAINCHECK_").lower(): each["value"] for each in container["env"]}
    assert set(given) <= set(Settings.model_fields)
    drain = Settings(**given).drain
    assert pod["spec"]["terminationGracePeriodSeconds"] > drain.total_seconds() + 5


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_systemd_takes_the_unit(unit, tmp_path):
    """Where its program is there to ask."""
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is not installed")
    copy = tmp_path / unit.name
    copy.write_text(unit.read_text())
    done = subprocess.run([program, "verify", "--man=no", copy], capture_output=True, text=True, check=False)
    mine = [line for line in done.stderr.splitlines() if unit.name in line]
    assert not mine, done.stderr


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_a_unit_is_given_longer_than_its_drain(unit):
    """Else systemd kills what was about to be handed back."""
    lines = dict(line.split("=", 1) for line in unit.read_text().splitlines() if "=" in line)
    setting = lines["Environment"].removeprefix("RAINCHECK_DRAIN=")
    drain = duration(setting) if setting != lines["Environment"] else Settings().drain
    assert int(lines["TimeoutStopSec"]) > drain.total_seconds() + 5
