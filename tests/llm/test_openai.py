import json
import os
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from likeopt.clock import Clock
from likeopt.errors import Busy, LikeOptError, ModelUnavailable
from likeopt.llm.openai import OpenAIChat
from likeopt.llm.sse import MAX_EVENT
from likeopt.llm.stream import _Text, _trusted
from likeopt.llm.types import Completion, Turn
from tests import tls
from tests.servers import free_port
from tests.stub_openai import Reply, StubOpenAI

QUESTION = Completion([Turn("system", "Be brief."), Turn("user", "연차는 며칠인가요?")])
KEY = "sk-very-secret"


def chat(
    stub: StubOpenAI, *, key: str = "", model: str = "stub", timeout: float = 10
) -> OpenAIChat:
    return OpenAIChat(stub.url, key, model, clock=Clock(), timeout=timeout)


def delta(content: str) -> bytes:
    return b"data: " + json.dumps({"choices": [{"delta": {"content": content}}]}).encode() + b"\n\n"


def test_text_arrives_in_pieces_and_the_request_is_what_servers_expect(stub: StubOpenAI) -> None:
    stub.say("연차는 ", "15일입니다 [1].")
    assert list(chat(stub).stream(QUESTION)) == ["연차는 ", "15일입니다 [1]."]
    body = stub.requests[0].body
    assert body["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "연차는 며칠인가요?"},
    ]
    assert (body["model"], body["stream"], body["temperature"]) == ("stub", True, 0.0)
    assert body["max_tokens"] == 512


def test_the_first_piece_is_there_before_the_last_is_written(stub: StubOpenAI) -> None:
    held = stub.say("first", " second", hold=1)
    stream = chat(stub).stream(QUESTION)
    assert next(stream) == "first"
    held.release()
    assert list(stream) == [" second"]


def test_an_emoji_and_a_surrogate_pair_survive_being_cut(stub: StubOpenAI) -> None:
    family = "👩‍👩‍👧 가"
    raw = delta(family)
    as_utf8 = f'data: {{"choices":[{{"delta":{{"content":"{family}"}}}}]}}\n\n'.encode()
    halves = [b'data: {"choices":[{"delta":{"content":"\\ud83d"}}]}\n\n', delta("x")[:0]]
    stub.say(raw, as_utf8[:40], as_utf8[40:43], as_utf8[43:], halves[0],
             b'data: {"choices":[{"delta":{"content":"\\ude00!"}}]}\n\n')  # fmt: skip
    assert "".join(chat(stub).stream(QUESTION)) == f"{family}{family}😀!"


def test_half_a_surrogate_and_nul_become_replacement_characters(stub: StubOpenAI) -> None:
    stub.say(b'data: {"choices":[{"delta":{"content":"a\\u0000b\\ud83d"}}]}\n\n')
    assert "".join(chat(stub).stream(QUESTION)) == "a\ufffdb\ufffd"


def test_thoughts_and_leading_space_are_left_out(stub: StubOpenAI) -> None:
    stub.say("\n", "<thi", "nk>Let me see</th", "ink>\n\nFifteen", " days")
    assert "".join(chat(stub).stream(QUESTION)) == "Fifteen days"
    stub.say("<", "b>bold")
    assert "".join(chat(stub).stream(QUESTION)) == "<b>bold"


def test_an_endpoint_that_does_not_stream_is_understood(stub: StubOpenAI) -> None:
    body = {"choices": [{"message": {"content": "Whole."}, "finish_reason": "stop"}]}
    stub.fail(200, body)
    assert list(chat(stub).stream(QUESTION)) == ["Whole."]


def test_a_stream_without_done_but_with_finish_reason_is_complete(stub: StubOpenAI) -> None:
    end = b'data: {"choices":[{"delta":{},"finish_reason":"length"}]}\n\n'
    stub.say("Cut by", delta(" length"), end, proper_end=False)
    assert "".join(chat(stub).stream(QUESTION)) == "Cut by length"


@pytest.mark.parametrize(
    ("pieces", "shown"),
    [
        (["word "] * 40, "word " * 32),
        (["word " * 1000], "word " * 32),
        (["<think>", *["word "] * 40], ""),
        ([b'data: {"choices":[{"delta":{"reasoning_content":"hm"}}]}\n\n'] * 160, ""),
    ],
    ids=["words", "one huge piece", "thoughts", "thoughts in a field of their own"],
)
def test_a_model_that_does_not_keep_to_max_tokens_is_cut_off(
    stub: StubOpenAI, pieces: list[str | bytes], shown: str
) -> None:
    stub.reply(Reply(pieces, hold=len(pieces)))
    stream = chat(stub).stream(Completion(QUESTION.turns, max_tokens=10))
    assert "".join(stream) == shown
    assert stub.requests[0].gone.wait(10)


def test_thoughts_are_not_collected() -> None:
    text = _Text()
    assert [text.add(piece) for piece in ["<think>", *["word "] * 100]] == [""] * 101
    assert len(text._held) < len("</think>")
    assert text.add("</think>Fifteen") == "Fifteen"


def test_a_huge_answer_from_an_endpoint_that_does_not_stream(stub: StubOpenAI) -> None:
    stub.fail(200, {"choices": [{"message": {"content": "word " * 5000}}]})
    assert "".join(chat(stub).stream(QUESTION)) == ("word " * 5000)[: 512 * 16]
    stub.fail(200, {"choices": [{"message": {"content": "x" * MAX_EVENT}}]})
    with pytest.raises(ModelUnavailable, match="too long"):
        list(chat(stub).stream(QUESTION))


@pytest.mark.parametrize(
    ("pieces", "options", "says"),
    [
        (["Half an ", "answer"], {"proper_end": False}, "broke off in the middle"),
        (["Half an ", "answer"], {"drop": 1}, "broke off in the middle"),
        (["Half an ", b"data: {not json}\n\n"], {}, "no answer"),
        (["Half an ", b'data: {"choices": 5}\n\n'], {}, "no answer"),
        (["Half an ", b'data: {"error": {"message": "out of memory"}}\n\n'], {}, "out of memory"),
        (["Half an ", b'data: {"error": "out of memory"}\n\n'], {}, "out of memory"),
    ],
)
def test_what_came_before_a_failure_is_not_lost(
    stub: StubOpenAI, pieces: list[str | bytes], options: dict[str, object], says: str
) -> None:
    stub.say(*pieces, **options)
    stream = chat(stub).stream(QUESTION)
    assert next(stream) == "Half an "
    with pytest.raises(ModelUnavailable) as caught:
        list(stream)
    assert says in caught.value.message


def test_a_wrong_key_says_what_to_check_and_never_shows_the_key() -> None:
    with StubOpenAI(key="right") as stub, pytest.raises(ModelUnavailable) as caught:
        list(chat(stub, key=KEY).stream(QUESTION))
    assert caught.value.instance_code == "model_key_refused"
    assert "LIKEOPT_LLM_KEY" in caught.value.message
    assert KEY not in str(caught.value.__dict__)


def test_a_key_in_any_other_error_is_blotted_out(stub: StubOpenAI) -> None:
    stub.fail(500, {"error": {"message": f"worker crashed, header was Bearer {KEY}"}})
    with pytest.raises(ModelUnavailable) as caught:
        list(chat(stub, key=KEY).stream(QUESTION))
    assert "worker crashed" in caught.value.message
    assert KEY not in caught.value.message


def test_the_right_key_is_sent() -> None:
    with StubOpenAI(key=KEY) as stub:
        stub.say("Hello")
        assert list(chat(stub, key=KEY).stream(QUESTION)) == ["Hello"]


def test_an_unknown_model_says_which_setting(stub: StubOpenAI) -> None:
    with pytest.raises(ModelUnavailable, match="LIKEOPT_LLM_MODEL") as caught:
        list(chat(stub, model="gpt-9").stream(QUESTION))
    assert caught.value.instance_code == "model_not_found"


@pytest.mark.parametrize("status", [429, 503])
def test_no_room_is_busy_with_the_time_to_wait(stub: StubOpenAI, status: int) -> None:
    stub.fail(status, {"error": {"message": "slow down"}}, retry_after="7")
    with pytest.raises(Busy) as caught:
        list(chat(stub).stream(QUESTION))
    assert caught.value.retry_after == 7


def test_a_redirect_is_not_followed(stub: StubOpenAI) -> None:
    # It would take the question, and with it passages, to a server that nobody configured.
    stub.fail(307, b"", location=f"{stub.url}/elsewhere")
    with pytest.raises(ModelUnavailable):
        list(chat(stub).stream(QUESTION))
    assert len(stub.requests) == 1


def test_garbage_is_refused(stub: StubOpenAI) -> None:
    stub.fail(200, b"<html>It works!</html>")
    with pytest.raises(ModelUnavailable):
        list(chat(stub).stream(QUESTION))


def test_nobody_there() -> None:
    model = OpenAIChat(f"http://127.0.0.1:{free_port()}/v1", "", "x", clock=Clock())
    with pytest.raises(ModelUnavailable, match="does not answer"):
        list(model.stream(QUESTION))


def test_silence_ends_after_the_timeout_even_with_keep_alive_comments(stub: StubOpenAI) -> None:
    stub.say("never", hold=0)
    with pytest.raises(ModelUnavailable) as caught:
        list(chat(stub, timeout=0.2).stream(QUESTION))
    assert caught.value.instance_code == "model_timeout"
    stub.say(*[b": ping\n\n"] * 200, pause=0.02)
    with pytest.raises(ModelUnavailable) as caught:
        list(chat(stub, timeout=0.2).stream(QUESTION))
    assert caught.value.instance_code == "model_timeout"


@pytest.mark.parametrize("hold", [0, 1])
def test_closing_from_another_thread_stops_both_ends(stub: StubOpenAI, hold: int) -> None:
    stub.say("one", " two", hold=hold)
    stream = chat(stub, timeout=60).stream(QUESTION)
    found: list[str] = []
    failed: list[LikeOptError] = []

    def read() -> None:
        try:
            found.extend(stream)
        except LikeOptError as error:
            failed.append(error)

    thread = threading.Thread(target=read)
    thread.start()
    request = stub.wait_for_request()
    stream.close()
    thread.join(10)
    assert not thread.is_alive()
    assert request.gone.wait(10)
    assert not failed
    assert "".join(found) in ("", "one")


def test_closing_between_pieces_stops_the_server(stub: StubOpenAI) -> None:
    """Though nobody reads on."""
    stub.say("one", " two", hold=1)
    stream = chat(stub).stream(QUESTION)
    assert next(stream) == "one"
    stream.close()
    assert stub.requests[0].gone.wait(10)
    assert list(stream) == []


def test_a_stream_that_was_closed_first_asks_nothing(stub: StubOpenAI) -> None:
    stream = chat(stub).stream(QUESTION)
    stream.close()
    assert list(stream) == []
    assert stub.requests == []


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate for 127.0.0.1 that nobody trusts, and its key."""
    return tls.certificate(tmp_path)


def test_over_tls(
    certificate: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """Streams, and stops under a blocked read, as in plain text; the certificate is checked."""
    _trusted.cache_clear()
    request.addfinalizer(_trusted.cache_clear)
    with StubOpenAI(tls=certificate) as stub:
        with pytest.raises(ModelUnavailable, match="SSLCertVerificationError"):
            list(chat(stub).stream(QUESTION))
        _trusted.cache_clear()
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        stub.say("연차는 ", "15일")
        assert list(chat(stub).stream(QUESTION)) == ["연차는 ", "15일"]
        stub.say("one", " two", hold=1)
        stream = chat(stub, timeout=60).stream(QUESTION)
        assert next(stream) == "one"
        thread = threading.Thread(target=list, args=(stream,))
        thread.start()
        stream.close()
        thread.join(10)
        assert not thread.is_alive()
        assert stub.wait_for_request(2).gone.wait(10)


def test_under_gevent_certificates_are_read_beside_the_event_loop(certificate: Path) -> None:
    script = """
        from gevent import monkey; monkey.patch_all()
        import ssl, sys
        from likeopt.clock import Clock
        from likeopt.errors import ModelUnavailable
        from likeopt.llm.openai import OpenAIChat
        from likeopt.llm.types import Completion, Turn
        from likeopt.web.native import in_native_thread

        thread = monkey.get_original("threading", "get_ident")
        loop, read = thread(), ssl.create_default_context
        def watched():
            print("on the loop" if thread() == loop else "beside it", flush=True)
            return read()
        ssl.create_default_context = watched
        model = OpenAIChat(sys.argv[1], "", "stub", clock=Clock(), run=in_native_thread)
        for _ in range(2):
            print("".join(model.stream(Completion([Turn("user", "?")]))), flush=True)
    """
    with StubOpenAI(tls=certificate) as stub:
        stub.default = "soon"
        done = _python(script, stub.url, SSL_CERT_FILE=str(certificate))
    assert done.stdout == "beside it\nsoon\nsoon\n", done.stderr


def _python(script: str, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), *arguments],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        env=os.environ | environment,
        check=False,
        timeout=60,
    )


def test_under_gevent_a_slow_model_holds_nobody_up(stub: StubOpenAI) -> None:
    """In a process of its own, patched as web workers are."""
    stub.say("late", hold=0)
    script = """
        from gevent import monkey; monkey.patch_all()
        import sys, gevent
        from likeopt.clock import Clock
        from likeopt.llm.openai import OpenAIChat
        from likeopt.llm.types import Completion, Turn
        ask = Completion([Turn("user", "?")])
        slow, quick = [
            OpenAIChat(url, "", "stub", clock=Clock()).stream(ask) for url in sys.argv[1:]
        ]
        reading = gevent.spawn(list, slow)
        while not slow._socket:
            gevent.sleep(0.01)
        print(list(quick), reading.ready(), flush=True)
        gevent.spawn(slow.close)
        print(reading.get(timeout=10))
    """
    with StubOpenAI() as other:
        other.say("soon")
        done = _python(script, stub.url, other.url)
    assert done.stdout == "['soon'] False\n[]\n", done.stderr
