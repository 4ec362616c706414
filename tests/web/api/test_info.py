"""/api/v1/info."""

import msgspec
import pytest

from likeopt import __version__
from likeopt.services import Services
from tests.web.conftest import Client


def test_what_the_server_is(client: Client) -> None:
    info = client.get("/api/v1/info").json
    assert (info["name"], info["version"]) == ("Like-Opt", __version__)
    assert info["model"] == {"kind": "extractive", "name": "extractive"}
    assert info["limits"] == {"max_upload_bytes": 100 << 20, "max_question_chars": 8000}
    suffixes = {kind["suffix"] for kind in info["media_types"]}
    wanted = ".pdf .docx .pptx .xlsx .html .md .txt .csv .json .hwp .hwpx"
    assert set(wanted.split()) <= suffixes
    assert info["sample_questions"].keys() == {"ko", "en"}


@pytest.mark.parametrize(
    ("setting", "model"),
    [
        ({"llm": "local-small"}, {"kind": "local-small", "name": "local-small"}),
        ({"llm": "gguf:/models/tiny.gguf"}, {"kind": "gguf", "name": "tiny.gguf"}),
        (
            {"llm": "openai", "llm_url": "http://h/v1", "llm_model": "m", "llm_key": "a secret"},
            {"kind": "openai", "name": "m"},
        ),
    ],
)
def test_what_writes_answers(
    services: Services, client: Client, setting: dict[str, str], model: dict[str, str]
) -> None:
    services.config = msgspec.structs.replace(services.config, **setting)
    response = client.get("/api/v1/info")
    assert response.json["model"] == model
    assert "secret" not in response.text
    assert "/models/" not in response.text
