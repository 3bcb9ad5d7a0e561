"""The samples of the reference are run as they are shown, and get the answers that are shown beside them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import warnings
from collections.abc import Sequence
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import pytest

from pipeline.api.app import create_app
from pipeline.api.openapi.sample_requests import read_recorded
from pipeline.api.reference.code_samples import write_samples
from tests.pipeline.api.reference.scene import (
    ORDER,
    PICTURE,
    SETTINGS,
    Scene,
    arrange,
    build_environment,
    normalize,
    write_files,
)
from tests.pipeline.api.running_server import Server

NOT_JSON = {
    "metrics": "slipway_up",
    "listImportRows": "caption: It has no visible character.",
    "connectCallback": "<!doctype html>",
    "connectChoice": "<!doctype html>",
}
"""What the answers of these operations contain."""
COMMANDS: dict[str, Sequence[str]] = {
    "curl": ("sh", "-c"),
    "Python": (),
    "TypeScript": ("node", "--input-type=module", "--eval"),
}
"""How a sample is run; its text is the last argument. The TypeScript has no annotations, so node takes it.

Python's run here: of sixty interpreters, each would load `requests` anew.
"""
PROGRAMS = {"curl": "curl", "Python": sys.executable, "TypeScript": "node"}
SERVER_SETTINGS = SETTINGS


def list_samples(language: str) -> dict[str, str]:
    """Return the samples of one language, by operation."""
    return {
        operation["operationId"]: write_samples(method.upper(), path, operation)[language]
        for path, item in create_app().openapi()["paths"].items()
        for method, operation in item.items()
    }


def run(language: str, sample: str, scene: Scene, folder: Path) -> str:
    if language == "Python":
        return run_here(scene.fill(sample), scene, folder)
    done = subprocess.run(
        [*COMMANDS[language], scene.fill(sample)],
        cwd=folder,
        env=build_environment(scene),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, f"{sample}\n{done.stderr}"
    assert not done.stderr, f"{sample}\n{done.stderr}"
    return done.stdout


def run_here(sample: str, scene: Scene, folder: Path) -> str:
    with (
        pytest.MonkeyPatch.context() as patch,
        redirect_stdout(StringIO()) as printed,
        warnings.catch_warnings(
            action="ignore", category=ResourceWarning
        ),  # a short program leaves files to its end
    ):
        patch.chdir(folder)
        for name, value in scene.variables.items():
            patch.setenv(name, value)
        exec(compile(sample, "sample", "exec"), {})  # noqa: S102  as it is shown
    return printed.getvalue()


@pytest.mark.parametrize("language", COMMANDS)
def test_every_sample_gets_the_answer_that_is_shown(server: Server, tmp_path: Path, language: str) -> None:
    if shutil.which(PROGRAMS[language]) is None:
        pytest.skip(f"{PROGRAMS[language]} is not installed: THE {language} SAMPLES WERE NOT RUN")
    scene, samples = arrange(server), list_samples(language)
    assert set(samples) == set(ORDER)
    write_files(tmp_path, scene)
    for name in ORDER:
        check_answer(name, run(language, samples[name], scene, tmp_path), scene)
    assert (tmp_path / "copy.png").read_bytes() == PICTURE
    assert (tmp_path / "posts.csv").read_bytes().startswith(b"\xef\xbb\xbfpost_id,status,caption,")


def check_answer(name: str, output: str, scene: Scene) -> None:
    if name in ("getFile", "exportPosts", "getImportTemplateCsv", "getImportTemplateXlsx"):
        return
    if name in NOT_JSON:
        assert NOT_JSON[name] in output
        return
    answer = json.loads(output[output.index("{") :])
    shown = read_recorded().answers[name][str(answer["code"])]
    assert normalize(json.dumps(answer)) == normalize(json.dumps(shown)), name
    scene.learn(name, answer["data"])
