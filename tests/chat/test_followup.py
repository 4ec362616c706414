import pytest

from likeopt.chat import followup
from likeopt.chat.followup import content_words, depends, extended, rewritten
from likeopt.clock import Clock
from likeopt.llm.openai import OpenAIChat
from likeopt.storage.messages import Exchange
from tests.stub_openai import StubOpenAI

BEFORE = [
    Exchange("육아휴직은 얼마나 쓸 수 있나요?", "1년입니다 [1].", "육아휴직은 얼마나 쓸 수 있나요?")
]


@pytest.mark.parametrize(
    "question",
    [
        "How much does it cost?", "And in Korea?", "What about part-timers?", "Why?", "Is that so?",
        "Who approves them?", "Does this policy apply to interns?", "Tell me more", "In euros?",
        "How long?", "And after the first year?", "what did you say about lunch",
        "그건 얼마인가요?", "그럼 배우자는 어떻게 되나요?", "왜?", "왜요?", "더 자세히 알려줘",
        "그 회의는 언제예요?", "이 정책은 언제 바뀌었나요?", "가격은?", "얼마예요?",
        "거기서 뭘 해요?", "다른 방법은 없나요?", "예를 들어 주세요", "이거 신청하려면 어떻게 해?",
    ],
)  # fmt: skip
def test_questions_that_need_what_was_said_before(question: str) -> None:
    assert depends(question)


@pytest.mark.parametrize(
    "question",
    [
        "How many days of annual leave do employees get?", "Who runs the IT department?",
        "Which file holds the settings that change the port?", "Is there a free plan?",
        "How do I install Redis?", "Where are documents kept on disk?",
        "연차는 며칠인가요?", "이용 약관은 어디에 있나요?", "그림을 추가하는 방법은?",
        "저장 공간은 얼마나 필요한가요?", "재택근무 신청은 어떻게 하나요?",
        "다음 달 휴가 신청 방법 알려줘", "왜곡된 결과를 보고하는 절차는?",
    ],
)  # fmt: skip
def test_questions_that_stand_alone(question: str) -> None:
    assert not depends(question)


def test_content_words_leave_particles_endings_and_question_words_out() -> None:
    assert content_words("연차는 며칠인가요?") == ["연차"]
    assert content_words("휴가를 쓰려면 누구에게 신청하나요?")[0::2] == ["휴가", "신청"]
    assert content_words("마을 역할 휴가") == ["마을", "역할", "휴가"]
    assert content_words("How much does it cost in the canteen?") == ["cost", "canteen"]
    assert content_words("What is std::vector in C++?") == ["std", "vector", "C++"]


def test_without_a_model_the_subject_is_added() -> None:
    assert extended("그럼 급여는?", BEFORE) == "그럼 급여는? 육아휴직"
    english = [Exchange("?", "!", "How many days of annual leave do employees get?")]
    assert extended("And in Korea?", english) == "And in Korea? days annual leave employees get"


def ask_on(questions: list[str], *, remembered: int = 3) -> str:
    """What is searched for the last of several questions, each asked after those before."""
    exchanges: list[Exchange] = []
    for question in questions:
        query = question
        if exchanges and depends(question):
            query = extended(question, exchanges[-remembered:])
        exchanges.append(Exchange(question, "!", query))
    return exchanges[-1].query


def test_a_chain_of_follow_ups_keeps_its_subject_and_drops_the_steps_between() -> None:
    chain = ["출장비 정산은 어떻게 하나요?", "그럼 일비는?", "과장은?", "부장은?"]
    assert ask_on(chain[:2]) == "그럼 일비는? 출장비 정산"
    assert ask_on(chain[:3]) == "과장은? 일비 출장비 정산"
    assert ask_on(chain) == "부장은? 과장 출장비 정산"
    # A question that stands alone is a new subject.
    assert ask_on([*chain, "육아휴직은 얼마나 쓸 수 있나요?", "급여는?"]) == "급여는? 육아휴직"
    # The first one is no longer remembered, and its subject is.
    assert ask_on([*chain, "항공권은?"]) == "항공권은? 부장 일비 출장비 정산"


def test_what_a_model_rewrote_is_the_subject() -> None:
    before = [
        *BEFORE,
        Exchange("그럼 급여는?", "없습니다.", "육아휴직 중 급여는 얼마인가요?"),
    ]
    assert extended("왜요?", before) == "왜요? 육아휴직 중 급여"


@pytest.fixture
def stub() -> object:
    with StubOpenAI() as running:
        yield running


def ask(stub: StubOpenAI) -> str:
    model = OpenAIChat(stub.url, "", "stub", clock=Clock())
    return rewritten("그럼 급여는?", BEFORE, model)


def test_a_model_rewrites(stub: StubOpenAI) -> None:
    stub.say('"육아휴직 중 급여는 얼마인가요?"')
    assert ask(stub) == "육아휴직 중 급여는 얼마인가요?"
    assert "육아휴직은 얼마나" in stub.requests[0].prompt
    assert "그럼 급여는?" in stub.requests[0].prompt


def test_a_useless_rewriting_is_ignored(stub: StubOpenAI) -> None:
    for useless in ("", "word " * 100, "line\nline"):
        stub.say(useless)
        assert ask(stub) == ""
    stub.fail(500)
    assert ask(stub) == ""


def test_a_slow_rewriting_is_not_waited_for(
    stub: StubOpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(followup, "REWRITE_SECONDS", 0.3)
    stub.say("육아휴직 급여", "?", hold=1)
    assert ask(stub) == ""
    assert all(request.gone.wait(10) for request in stub.requests)
