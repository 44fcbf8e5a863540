"""``docs/rehearsal-emulator.md`` names all that the emulator answers, and nothing it does not."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from federation.rehearse.machine.child_environment import SERVICES
from federation.rehearse.machine.embedded_aws import SCIKIT_LEARN_IMAGE

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "rehearsal-emulator.md").read_text(encoding="utf-8")
_ASK = """
import json
from pathlib import Path
from federation.rehearse.emulator import plugin
from federation.rehearse.emulator.objects import bucket_settings
from federation.rehearse.emulator.stacks import resource_types
from federation.rehearse.emulator.sagemaker import service
from federation.rehearse.emulator.sagemaker.session_endpoint import Sessions
from federation.rehearse.machine.settings import EmulatorSettings
here = Path()
settings = EmulatorSettings(
    listening_fd=0, port=0, scratch=here, job_python=here, image_tags=(), stop_grace=0
)
plugin.install(settings, Sessions(settings.endpoint_url))
print(json.dumps({
    "operations": sorted(service.OPERATIONS),
    "types": sorted(resource_types.OURS),
    "bucket": sorted(bucket_settings.APPLIED | bucket_settings.WITHOUT_EFFECT),
}))
"""


@pytest.fixture(scope="module")
def answered() -> dict[str, list[str]]:
    """Ask the plug-in what it registers, in a process of its own."""
    done = subprocess.run([sys.executable, "-c", _ASK], cwd=ROOT, capture_output=True, text=True, check=True)
    found: dict[str, list[str]] = json.loads(done.stdout.splitlines()[-1])
    return found


def code_words(pattern: str) -> set[str]:
    """Return the words in code style on the page that match."""
    return {word for word in re.findall(r"`([^`]+)`", PAGE) if re.fullmatch(pattern, word)}


def test_names_exactly_the_operations(answered: dict[str, list[str]]) -> None:
    """An operation added or removed changes the page."""
    verbs = "Add|Create|Delete|Describe|List|Start|Stop|Update"
    assert code_words(rf"({verbs})(Notebook|Tags|Training)\w+|({verbs})Tags") == set(answered["operations"])


def test_names_exactly_the_types(answered: dict[str, list[str]]) -> None:
    """A type added or removed changes the page."""
    assert code_words(r"AWS::\w+::\w+") == set(answered["types"])


def test_names_the_bucket_properties(answered: dict[str, list[str]]) -> None:
    """With effect or without, each is on the page."""
    assert set(answered["bucket"]) <= code_words(r"\w+")


def test_names_the_services_and_the_image() -> None:
    """What is listed there is what is switched on."""
    assert {*SERVICES, "sagemaker"} <= code_words(r"[a-z0-9]+")
    assert SCIKIT_LEARN_IMAGE in PAGE
