"""What is somebody's in a served page: whose it is, what is escaped, what is left out."""

import itertools
import re
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from likeopt.accounts import SignedIn
from likeopt.config import Config
from likeopt.services import Services
from likeopt.storage import access, answers, collections, conversations, documents, messages
from likeopt.storage.files import StoredFile
from likeopt.storage.messages import Outcome
from likeopt.storage.reader import LOCAL_USER, Reader
from likeopt.web import cookies, markdown
from likeopt.web.app import create_app
from likeopt.web.assets import Assets
from tests import guest
from tests.storage import library
from tests.web.conftest import Client, let_in
from tests.web.test_pages import build

SECRET = "The wallaby sleeps at noon."
TURN = "<h2>{{question}}</h2>{{text}}{{sources}}{{badge}}{{again}}{{took}}"
PARTS = {
    "turn": TURN,
    "again": "(again)",
    "took": "({{took}})",
    "generated": "(by {{model}})",
    "extractive": "(quoted)",
    "not_found": "(none)",
    "sources": "<ol>{{sources}}</ol>",
    "nearest": "<ul>{{sources}}</ul>",
    "chip": "<button class='{{look}}'>{{number}}</button>",
    "code": "<pre lang='{{language}}'>{{code}}</pre>",
}
READING = (
    "<h1 id={{id}}>{{name}}</h1><p>{{facts}}</p>{{tags}}{{pager}}"
    '<p lang="{{lang}}">{{text}}</p>{{gallery}}'
)
READING_PARTS = {
    "page": "1 page",
    "pages": "{{count}} pages",
    "passage": "1 passage",
    "passages": "{{count}} passages",
    "tags": "<div>{{tags}}</div>",
    "tag": "<i>{{tag}}</i>",
    "removable": "<b>{{tag}}</b>",
    "add": "(add)",
    "ofpages": "(page 1 of {{count}})",
    "ofparts": "(part 1 of {{count}})",
    "gallery": "<aside></aside>",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    build(tmp_path)
    path = tmp_path / "manifest.json"
    manifest = msgspec.json.decode(path.read_bytes())
    frame = "<main class='{{from}}'><h1>{{title}}</h1>{{turns}}</main>"
    manifest["shells"]["transcript"] = {
        "css": ".turn{margin:0}",
        "html": {"ko": frame, "en": frame},
        "parts": {"ko": PARTS, "en": PARTS},
    }
    adding = "<p>{{formats}}, at most {{size}}</p>"
    manifest["shells"]["reading"] = {
        "css": ".reading{margin:0}",
        "html": {"ko": READING, "en": READING},
        "parts": {"ko": READING_PARTS, "en": READING_PARTS},
    }
    manifest["shells"]["adding"] = {"css": ".add{margin:0}", "html": {"ko": adding, "en": adding}}
    path.write_bytes(msgspec.json.encode(manifest))
    return tmp_path


@pytest.fixture
def page(config: Config, services: Services, folder: Path) -> Client:
    app = create_app(config, services, assets=Assets(folder), write=lambda _: None)
    return guest.client(app)


def say(services: Services, *turns: tuple[str, str], user: str = LOCAL_USER, **more: Any) -> str:
    """A conversation of these questions and answers; its path."""

    def write(c: sa.Connection) -> str:
        reader = access.reader_for(c, user)
        made = conversations.create(c, reader, services.clock, "Of <animals>")
        for question, text in turns:
            put = conversations.add_question(c, reader, services.clock, made.id, question)[1]
            empty = messages.start_answer(c, services.clock, put)
            how: dict[str, Any] = {"state": "complete", "kind": "generated", "model": "m"} | more
            answers.finish(c, services.clock, {empty.id: {}}, Outcome(content=text, **how))
        return f"/c/{made.id}"

    return services.db.write(write)


def test_last_turns_stand_in_the_page(page: Client, services: Services) -> None:
    turns = [(f"Question {number}?", f"Answer **{number}**.") for number in range(4)]
    response = page.get(say(services, *turns, stages={"search": 1200.0}))
    html = response.text
    assert "<h1>Of &lt;animals&gt;</h1>" in html
    assert "<h2>Question 3?</h2><p>Answer <strong>3</strong>.</p>" in html
    assert "Question 2?" in html
    assert "Question 1?" not in html
    assert "<main class='from-end'>" in html
    assert html.count("(again)") == 1
    assert "(1.2 s)" in html
    assert '<div id="app" data-page="chat">' in html
    assert response.headers["Cache-Control"] == "private, no-store"
    assert "ETag" not in response.headers
    again = page.get(say(services, ("Only?", "One.")), headers={"If-None-Match": "*"})
    assert (again.status_code, "from-end" in again.text) == (200, False)


def test_nothing_of_anothers_conversation_is_served(
    config: Config, services: Services, folder: Path
) -> None:
    closed = msgspec.structs.replace(config, guest=False)
    with closing(Services(closed)) as built:
        app = create_app(closed, built, assets=Assets(folder), write=lambda _: None)
        kim, lee = let_in(built, "kim@example.org"), let_in(built, "lee@example.org", role="admin")
        path = say(built, ("When?", SECRET), user=kim.user.id)
        assert SECRET in browser(app, built, kim).get(path).text
        nobody = app.test_client().get(path)
        other = browser(app, built, lee).get(path)
        for response in (nobody, other):
            assert response.status_code == 200
            assert "wallaby" not in response.text
            assert "animals" not in response.text
            assert "When?" not in response.text
            assert response.headers["Cache-Control"] == "no-cache"
        # Nor to a program, which has no use for a page.
        key = {"Authorization": "Bearer lo_" + "a" * 43}
        assert "wallaby" not in app.test_client().get(path, headers=key).text
        # Nor once the session is over.
        client = browser(app, built, kim)
        built.sessions.revoke_all(kim.user.id)
        assert "wallaby" not in client.get(path).text


def browser(app: Any, services: Services, who: SignedIn) -> Client:
    client: Client = app.test_client()
    signed = cookies.sign(services.secret_key, "session", who.cookie_id)
    client.set_cookie(cookies.NAME, f"{who.cookie_id}.{signed}")
    return client


def test_guest_must_sit_at_this_machine(page: Client, services: Services) -> None:
    path = say(services, ("When?", SECRET))
    assert "wallaby" in page.get(path).text
    assert "wallaby" not in page.get(path, headers={"X-Forwarded-For": "192.0.2.1"}).text


@pytest.mark.parametrize(
    ("text", "more"),
    [
        ("Formulas $x^2$ have their own height.", {}),
        ("- [ ] to do", {}),
        ("&copy; is a sign", {}),
        ("10 ~to 20~ of them", {}),
        ("a|" * 60 + "\n" + "-|" * 60 + "\na" * 1200, {}),
        ("[" * 600, {}),
        ("Stopped half", {"state": "stopped"}),
        ("An old one", {"cached_at": 1}),
        ("In place of a written one", {"kind": "extractive", "error_code": "model_down"}),
        ("long " * 2000, {}),
    ],
)
def test_what_only_scripts_can_draw_leaves_the_frame(
    page: Client, services: Services, text: str, more: dict[str, Any]
) -> None:
    response = page.get(say(services, ("When?", text), **more))
    assert "conversation frame" in response.text
    assert "When?" not in response.text
    assert response.headers["Cache-Control"] == "no-cache"


def test_page_of_no_conversation_is_there(page: Client) -> None:
    assert "conversation frame" in page.get("/c/" + "a" * 32).text


def test_text_stays_text(page: Client, services: Services) -> None:
    evil = "<script>alert(1)</script> {{question}} [x](javascript:alert(1)) ![i](https://a.test/i)"
    html = page.get(say(services, (f"</h2>{evil}", f"{evil}\n\n```\n</pre>{evil}\n```"))).text
    assert "<script>alert" not in html
    assert "javascript:" not in "".join(re.findall(r'href="[^"]*"', html))
    assert "<img" not in html
    assert "</h2>&lt;" not in html
    assert "&lt;/pre&gt;&lt;script&gt;" in html
    # A hole in somebody's text is not filled.
    assert html.count("{{question}}") == 3


LEAVING = 'target="_blank" rel="noopener noreferrer nofollow"'
Render = Callable[[str], str]


@pytest.fixture
def render() -> Render:
    def cite(numbers: list[int]) -> str | None:
        return None if 9 in numbers else "".join(f"<i>{number}</i>" for number in numbers)

    return lambda text: markdown.render(text, cite, lambda name, code: f"<pre>{name}:{code}</pre>")


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("# One\n###### Six", "<h3>One</h3><h6>Six</h6>"),
        ("a\nb  \nc", "<p>a<br>b<br>c</p>"),
        ("~~no~~", "<p><del>no</del></p>"),
        ("So [1, 2]. Not [9].", "<p>So{} <i>1</i><i>2</i>.{} Not{} [9].{}</p>"),
        ("환급됩니다[1].", "<p>환급됩니{}다<i>1</i>.{}</p>"),
        ("**환급**[1]로 한다", "<p>{}<strong>환급</strong><i>1</i>로{} 한다</p>"),
        ("**환급** [1]", "<p><strong>환급</strong>{} <i>1</i>{}</p>"),
        ("repaid [1], [2]. & so", "<p>repaid{} <i>1</i>, <i>2</i>.{} &amp; so</p>"),
        (f"all [{'1, ' * 5}1]", f"<p>all {'<i>1</i>' * 6}</p>"),
        ("- a\n  - b\n- c", "<ul><li>a<ul><li>b</li></ul></li><li>c</li></ul>"),
        ("`[1]`", "<p><code>[1]</code></p>"),
        (
            "[1]: https://evil.test\n\nSo [1].",
            "<p>{}<i>1</i>:{} https://evil.test</p><p>So{} <i>1</i>.{}</p>",
        ),
        ('```py title="a.py"\nx\n```', "<pre>py:x</pre>"),
        ("    indented", "<pre>:indented</pre>"),
        ("<b>x</b> & y", "<p>&lt;b&gt;x&lt;/b&gt; &amp; y</p>"),
        ("[in](/library)", "<p><a>in</a></p>"),
        (
            "![a](https://e.test/i.png)",
            f'<p><span class="image"><a href="https://e.test/i.png" {LEAVING}>a</a></span></p>',
        ),
    ],
)
def test_markdown_as_the_page_draws_it(render: Render, text: str, html: str) -> None:
    kept = itertools.cycle(['<span class="kept">', "</span>"])
    assert render(text) == re.sub(r"\{\}", lambda _: next(kept), html)


def test_columns_are_aligned_by_class(render: Render) -> None:
    html = render("|a|b|\n|-|-:|\n|1|2|")
    assert html.startswith('<div class="scroll" tabindex="0"><table>')
    assert '<td class="">1</td>' in html
    assert '<td class="right">2</td>' in html
    assert "style" not in html


@pytest.mark.parametrize(
    ("limit", "said"), [(5, "5 MB"), (999, "999 MB"), (1024, "1 GB"), (1280, "1.3 GB")]
)
def test_library_tells_at_once_what_can_be_added(
    config: Config, services: Services, folder: Path, limit: int, said: str
) -> None:
    larger = msgspec.structs.replace(config, max_upload_mb=limit)
    with closing(Services(larger)) as every:
        app = create_app(larger, every, assets=Assets(folder), write=lambda _: None)
        response = guest.client(app).get("/library")
    kinds = "PDF, DOCX, PPTX, XLSX, HWP, HWPX, HTML, MD, TXT, CSV, JSON, JSONL, ODS, TSV, XLS"
    assert f"<p>{kinds}, at most {said}</p>" in response.text
    assert "<style>.add{margin:0}</style>" in response.text
    # Nothing in it is anybody's: it is asked about, and kept.
    assert (response.headers["Cache-Control"], bool(response.headers["ETag"])) == ("no-cache", True)


def test_library_tells_nobody_to_add_who_may_not(
    config: Config, services: Services, folder: Path
) -> None:
    closed = msgspec.structs.replace(config, guest=False)
    with closing(Services(closed)) as every:
        app = create_app(closed, every, assets=Assets(folder), write=lambda _: None)
        let_in(every, "admin@example.org", role="admin")
        member = browser(app, every, let_in(every, "minji@example.org"))
        assert "library frame" in member.get("/library").text


def write(
    services: Services,
    *texts: str,
    reader: Reader | None = None,
    name: str = "rules.txt",
    paged: bool = False,
    **more: Any,
) -> str:
    """A document of these pages, which can be searched; its path."""
    db, clock = services.db, services.clock
    made = library.add(db, reader or db.read(access.local_reader), clock, name, **more)
    library.index(db, clock, list(texts), paged=paged)
    library.follow(db, clock)
    library.embed(db, clock)
    return f"/library/{made.id}"


def test_beginning_of_a_document_stands_in_the_page(page: Client, services: Services) -> None:
    path = write(services, "First.\n  " * 1000, "Second.", tags=["law"])
    response = page.get(path)
    html = response.text
    assert f"<h1 id={path[9:]}>rules.txt</h1><p>4 B · 2 passages</p><div><b>law</b>(add)" in html
    beginning = ("First.\n  " * 1000)[:5000]
    assert f'(part 1 of 2)<p lang="en">{beginning}</p></div>' in html
    assert f'<link rel="preload" href="/api/v1/documents/{path[9:]}/text?at=0"' in html
    assert response.headers["Cache-Control"] == "private, no-store"
    assert "ETag" not in response.headers


def test_what_stands_beside_a_document_depends_on_its_kind(
    page: Client, services: Services
) -> None:
    html = "text/html"
    shown = page.get(write(services, "한 쪽.", name="a.html", media_type=html, paged=True)).text
    assert 'B · 1 page · 1 passage</p><div>(add)</div><p lang="ko">한 쪽.</p><aside>' in shown


@pytest.mark.parametrize(
    ("size", "said"),
    [
        (999, "999 B"),
        (1000, "1 KB"),
        (1331, "1.3 KB"),
        (10_752, "11 KB"),
        (1_023_488, "1,000 KB"),
        (1_024_000, "1 MB"),
        (1280 << 20, "1.3 GB"),
        (3 << 40, "3,072 GB"),
    ],
)
def test_size_of_a_document(page: Client, services: Services, size: int, said: str) -> None:
    path = write(services, "Text.", file=StoredFile("a" * 64, size))
    assert f"<p>{said} · 1 passage</p>" in page.get(path).text


@pytest.mark.parametrize(
    ("texts", "more"),
    [
        (["Of a page"], {"media_type": "application/pdf", "paged": True}),
        (["Of a page"], {"source": "url", "source_uri": "https://example.org/"}),
        (["  ", "Second"], {}),
    ],
)
def test_document_that_only_scripts_can_draw_leaves_the_frame(
    page: Client, services: Services, texts: list[str], more: dict[str, Any]
) -> None:
    response = page.get(write(services, *texts, **more))
    assert "document frame" in response.text
    assert "rules" not in response.text
    assert "/text?at=0" not in response.text
    assert response.headers["Cache-Control"] == "no-cache"


def test_document_that_is_being_read_leaves_the_frame(page: Client, services: Services) -> None:
    db, clock = services.db, services.clock
    made = library.add(db, db.read(access.local_reader), clock, "new.txt")
    path = f"/library/{made.id}"
    assert "document frame" in page.get(path).text
    library.index(db, clock, ["Text."])
    assert "document frame" in page.get(path).text  # not by words yet
    library.follow(db, clock)
    assert "document frame" in page.get(path).text  # not by meaning
    library.embed(db, clock)
    assert "Text." in page.get(path).text


def test_text_of_a_document_stays_text(page: Client, services: Services) -> None:
    evil = '</p><b>x</b> {{name}} " &amp;'
    html = page.get(write(services, evil, name=f"{evil}.txt", tags=[evil])).text
    assert "</p><b>x" not in html
    safe = "&lt;/p&gt;&lt;b&gt;x&lt;/b&gt; {{name}} &#34; &amp;amp;"
    assert f">{safe}.txt</h1>" in html
    assert f"<b>{safe}</b>" in html
    assert f'<p lang="en">{safe}</p>' in html


def test_nothing_of_a_document_is_served_to_who_may_not_read_it(
    config: Config, services: Services, folder: Path
) -> None:
    closed = msgspec.structs.replace(config, guest=False)
    with closing(Services(closed)) as built:
        app = create_app(closed, built, assets=Assets(folder), write=lambda _: None)
        kim = let_in(built, "kim@example.org", role="admin")
        lee = let_in(built, "lee@example.org")
        owner = partial(built.db.read, lambda c: access.reader_for(c, kim.user.id))
        own = built.db.write(lambda c: collections.create(c, owner(), built.clock, "Own")).id
        path = write(built, SECRET, reader=owner(), collection_id=own, tags=["zoo"])
        assert SECRET in browser(app, built, kim).get(path).text
        key = {"Authorization": "Bearer lo_" + "a" * 43}
        for response in (
            app.test_client().get(path),
            app.test_client().get(path, headers=key),
            browser(app, built, lee).get(path),
        ):
            assert response.status_code == 200
            assert not re.search("wallaby|rules|zoo|/text", response.text)
            assert response.headers["Cache-Control"] == "no-cache"
        # Who may read it, but not change it, is not offered to.
        for tags, drawn in ((["zoo"], "<div><i>zoo</i></div>"), ([], "")):
            shared = write(built, "Of all.", reader=owner(), name=f"{len(tags)}.txt", tags=tags)
            shown = browser(app, built, lee).get(shared).text
            assert f'1 passage</p>{drawn}<p lang="en">Of all.</p>' in shown
        client = browser(app, built, kim)
        document = path.removeprefix("/library/")
        built.db.write(lambda c: documents.delete(c, owner(), built.clock, document))
        assert "wallaby" not in client.get(path).text
        assert "Of all." in client.get(shared).text
        built.sessions.revoke_all(kim.user.id)
        assert "Of all." not in client.get(shared).text
