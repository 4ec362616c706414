"""What this server is and can do, for the page and for programs."""

from typing import Literal

import msgspec

from likeopt import __version__
from likeopt.config import Config
from likeopt.retrieval.parse import MEDIA_TYPES
from likeopt.web.context import identity, services
from likeopt.web.endpoint import Endpoints

info = Endpoints("info", tag="Server", prefix="/api/v1/info")

MAX_QUESTION_CHARS = 8000

# Answered by Like-Opt's own documentation, which is the sample library.
SAMPLE_QUESTIONS = {
    "ko": [
        "어떤 파일 형식을 추가할 수 있나요?",
        "언어 모델은 어떻게 연결하나요?",
        "문서는 어디에 저장되나요?",
        "백업은 어떻게 하나요?",
    ],
    "en": [
        "Which file formats can I add?",
        "How do I connect a language model?",
        "Where are my documents stored?",
        "How do I make a backup?",
    ],
}

ModelKind = Literal["extractive", "local", "local-small", "gguf", "openai"]


class Model(msgspec.Struct):
    """What writes answers; `extractive` quotes the best sentences and needs no model."""

    kind: ModelKind
    name: str


class Limits(msgspec.Struct):
    """What is refused beyond."""

    max_upload_bytes: int
    max_question_chars: int


class MediaType(msgspec.Struct):
    """A kind of file that can be added."""

    suffix: str
    media_type: str


class Info(msgspec.Struct):
    """What this server is and can do."""

    name: str
    version: str
    model: Model
    embedder: str
    vector_backend: str
    limits: Limits
    media_types: list[MediaType]
    folder_roots: list[str]
    sample_questions: dict[str, list[str]]


@info.operation("GET", "", summary="What this server is and can do", returns=Info)
def get_info() -> Info:
    config = services().config
    roots = [root for root in config.folder_roots.split(":") if root]
    return Info(
        name="Like-Opt",
        version=__version__,
        model=_model(config),
        embedder=config.embed_model if config.embedder == "openai" else config.embedder,
        vector_backend=config.vector_backend,
        limits=Limits(config.max_upload_mb << 20, MAX_QUESTION_CHARS),
        media_types=[MediaType(suffix, kind) for suffix, kind in MEDIA_TYPES.items()],
        folder_roots=roots if identity().user.role == "admin" else [],
        sample_questions=SAMPLE_QUESTIONS,
    )


def _model(config: Config) -> Model:
    kind, _, path = config.llm.partition(":")
    names = {"openai": config.llm_model, "gguf": path.rpartition("/")[2]}
    return Model(msgspec.convert(kind, ModelKind), names.get(kind, kind))
