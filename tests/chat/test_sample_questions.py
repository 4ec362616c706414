"""The sample library answers without a model, and before anything is embedded."""

from pathlib import Path

import pytest

from likeopt.chat.answer import Chat
from likeopt.chat.writer import Writer
from likeopt.clock import Clock
from likeopt.retrieval.chunk import chunk
from likeopt.retrieval.parse.markdown import read
from likeopt.storage.db import Database
from likeopt.storage.reader import Reader
from likeopt.web.api.info import SAMPLE_QUESTIONS
from tests.chat.conftest import last
from tests.chat.shelf import Shelf

DOCS = Path(__file__).parents[2] / "docs"

# Of each question what its answer says. Those that the page suggests come first.
ANSWERS = {
    "어떤 파일 형식을 추가할 수 있나요?": "PDF, Word(DOCX)",
    "언어 모델은 어떻게 연결하나요?": "LIKEOPT_LLM_URL",
    "문서는 어디에 저장되나요?": "데이터 폴더에 저장",
    "백업은 어떻게 하나요?": "데이터 폴더를 복사",
    "포트가 이미 사용 중이면 어떻게 해야 하나요?": "--port 8081",
    "스캔한 PDF도 검색되나요?": "검색할 내용이 없습니다",
    "파일 크기 제한이 얼마예요?": "값: 100MiB",
    "대화를 내보내는 방법 알려줘": "내보낼 수 있습니다",
    "색인이 손상되면 어떻게 해?": "자동으로 감지해",
    "재순위 모델은 어떻게 설정해요?": "재순위 모델로",
    "파일은 최대 몇 MB까지 올릴 수 있나요?": "최대 100MiB(약 105MB)까지",
    "지원하는 형식은 무엇인가요?": "PDF, Word(DOCX)",
    "Ollama 주소는 뭔가요?": "http://127.0.0.1:11434/v1",
    "Which file formats can I add?": "PDF, Word (DOCX)",
    "How do I connect a language model?": "LIKEOPT_LLM_URL",
    "Which formats are supported?": "PDF, Word (DOCX)",
    "What file types can I upload?": "PDF, Word (DOCX)",
    "How large may a file be?": "up to 100 MiB",
    "Which database does Like-Opt use in production?": "SQLite",
    "Where are my documents stored?": "in the data folder",
    "How do I make a backup?": "copy the data folder",
    "How do I restore a backup?": "put the copy in the place",
    "Can it read scanned PDFs?": "no text to search",
    "What if the port is already in use?": "--port 8081",
    "What is the maximum file size?": "100 MiB",
    "How do I add a password-protected file?": "without the password",
    "Is there a sign-in?": "Everybody signs in.",
}
NOWHERE = [
    "회사 창립기념일은 언제인가요?",
    "김치찌개는 어떻게 끓이나요?",
    "대한민국의 수도는 어디인가요?",
    "육아휴직은 며칠인가요?",
    "비밀번호를 잊어버리면 어떻게 하나요?",
    # What examples of a handbook would ask: an example is no answer.
    "연차는 며칠인가요?",
    "출장비는 어떻게 정산하나요?",
    "How much annual leave do I get?",
    "How are travel costs settled?",
    "When was the company founded?",
    "What is the capital of France?",
    "Who won the world cup?",
    "What does the premium plan cost?",
]


@pytest.fixture
def docs(database: Database, reader: Reader, real_clock: Clock) -> Chat:
    """A chat without a model over the documentation; search is by words only."""
    shelf = Shelf(database, reader, real_clock)
    for path in sorted(DOCS.glob("[ek][no]/*.md")):
        for draft in chunk(read(path, "text/markdown")):
            name = f"{path.parent.name}-{draft.ordinal}-{path.name}"
            shelf.add(name, draft.text, context=draft.context)
    return Chat(database, real_clock, Writer(shelf.search, None, real_clock))


def test_the_documentation_answers_questions_about_itself_and_no_others(
    docs: Chat, reader: Reader
) -> None:
    suggested = {question for questions in SAMPLE_QUESTIONS.values() for question in questions}
    assert len(suggested) == 8
    assert suggested <= ANSWERS.keys()
    wrong = {}
    for question, answer in ANSWERS.items():
        message = last(docs.ask(reader, question))
        if message.kind != "extractive" or answer not in message.content:
            wrong[question] = message.content
    for question in NOWHERE:
        message = last(docs.ask(reader, question))
        if message.kind != "not_found":
            wrong[question] = message.content
    assert wrong == {}
