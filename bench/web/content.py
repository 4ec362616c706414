"""What is in the conversations that the page is measured with."""

import sqlalchemy as sa

from likeopt.clock import Clock
from likeopt.storage import answers, conversations, messages
from likeopt.storage.db import Database
from likeopt.storage.messages import Message, Outcome
from likeopt.storage.reader import Reader

# Asked of the sample library, Like-Opt's own documentation.
QUESTIONS = (
    "Where does Like-Opt store uploaded documents and the database?",
    "How is a backup of the data folder made while nothing is lost?",
    "Which file formats can be added to the library?",
    "How do members sign in with an OpenID Connect provider?",
    "What limits how many questions one person may ask per minute?",
    "How does the cache know that a document has changed?",
)
_FIRST = """Everything that people add is kept in the data folder [1]. The **originals** are files
that are named by what is in them, so the same file takes its room only once [2]."""
_LIST = """1. Stop the server, so that nothing is half written [1].
2. Copy the whole folder, the database among it [2].
3. Start it again; indexes that are missing are built anew."""
_CODE = "```sh\nlikeopt serve &\nkill -TERM %1\ncp -a data backup-2026-01-31\n```"
_TABLE = """| what | where | lost with it |
|---|---|--:|
| database | `likeopt.db` | all |
| originals | `files/` | all |
| indexes | `index/` | 0 |"""
_LAST = """That is why a copy of the database alone is not enough: it names originals that would be
missing [1]. 한국어 문서도 같은 방식으로 보관되며, 색인은 언제든 다시 만들 수 있습니다 [2]."""
PARTS = (_FIRST, _LIST, _CODE, _TABLE, _LAST)
ANSWER = "\n\n".join(PARTS)


def tokens(count: int) -> list[str]:
    """An answer of `count` words or marks, cut as a model sends it."""
    text = "\n\n".join(PARTS[at % len(PARTS)] for at in range(count // 8))
    words = text.split(" ")
    return [f"{word} " for word in words[:count]]


def conversation(
    database: Database, reader: Reader, title: str, like: list[Message], count: int
) -> str:
    """A new conversation of `count` messages, whose answers are those in `like` in turn; its id."""
    asked = [one for one in like if one.role == "user"]
    answered = [one for one in like if one.role == "assistant"]
    clock = Clock()
    made = database.write(lambda c: conversations.create(c, reader, clock, title))
    for turn in range(count // 2):
        question, answer = asked[turn % len(asked)], answered[turn % len(answered)]
        outcome = Outcome(
            content=answer.content,
            state="complete",
            kind="generated",
            model="bench",
            stages={"search": 4.0, "first_token": 210.0},
            citations=answer.citations,
        )

        def write(c: sa.Connection, text: str = question.content, end: Outcome = outcome) -> None:
            put = conversations.add_question(c, reader, clock, made.id, text)[1]
            empty = messages.start_answer(c, clock, put)
            answers.finish(c, clock, {empty.id: {}}, end)

        database.write(write)
    return made.id
