"""Text in its many forms: plain, Markdown, HTML, separated values, JSON; and its encodings."""

import json

import pytest

from likeopt.errors import UnreadableFile
from likeopt.retrieval.parse.charset import decode
from likeopt.retrieval.parse.failures import MAX_TEXT, Unreadable
from tests.retrieval.parse import make_files as make
from tests.retrieval.parse.conftest import Read, shown

KOREAN = "똠방각하 선생님은 펲시를 마시며 연차 휴가 규정을 읽고 있다."


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (KOREAN, "utf-8"),
        (KOREAN, "utf-8-sig"),
        (KOREAN, "utf-16"),
        (KOREAN, "utf-32"),
        ("勞動法에 따른 연차 휴가의 規定", "utf-16"),
        ("これは日本語の文書です。", "utf-16"),
        ("这是一个中文文档。我们去北京旅行。", "utf-16"),
        ("Ünïcode – “quotes” ☃ 🙂", "utf-16"),
        ("plain words, 값", "utf-16-le"),
        ("plain words, 값", "utf-16-be"),
        (KOREAN, "cp949"),
        ("연차 휴가 규정", "euc-kr"),
        ("연차", "cp949"),
        ("※ ○ 1월: 300원", "cp949"),
        ("It’s about α-values", "cp949"),
        ("Le café est très naïf – « déjà vu »", "cp1252"),
        ("これは日本語の文書です。", "cp932"),
        ("这是一个中文文档。我们去北京旅行。", "gb18030"),
    ],
)
def test_character_sets_are_told_apart(text: str, encoding: str) -> None:
    assert decode(text.encode(encoding)) == text


@pytest.mark.parametrize(
    "data",
    [
        b"abc \xc3\x28 def",
        KOREAN.encode() + b"\xff\xfe\x80" + KOREAN.encode(),
        b"hello \xff world",
        b"\xff\xfe\x00",
        bytes(range(128, 256)) * 3,
        b"\xef\xbb\xbf\xff",
        b"\xed\xa0\x80",
        b"\xff\xfe\xfa\x80",
        b"\xff\xfe\xfa\x80\x81\x99\xf5\x9c\x12\xe4\x33\xd1",
        b"\xfe\xff" + bytes(range(1, 201)),
    ],
)
def test_bytes_that_no_character_set_explains_are_refused(read: Read, data: bytes) -> None:
    with pytest.raises(Unreadable):
        decode(data)
    with pytest.raises(UnreadableFile, match="Save it as UTF-8") as refused:
        read(data, "a.txt")
    assert refused.value.instance_code == "unknown_charset"


def test_plain_text(read: Read) -> None:
    text = "제목\n====\n\n첫 문단의\n두 줄.\r\n\r\n- 하나\n- 둘\n\n\n\u200b끝\u0007 e\u0301."
    assert shown(read(text.encode(), "a.txt")) == [
        ("heading", "제목"),
        ("paragraph", "첫 문단의\n두 줄."),
        ("list", "- 하나\n- 둘"),
        ("paragraph", "끝 é."),
    ]


def test_blank_and_huge_texts_are_refused(read: Read) -> None:
    with pytest.raises(UnreadableFile) as refused:
        read(b"<p> </p>", "a.html")
    assert refused.value.instance_code == "no_text"
    with pytest.raises(UnreadableFile, match="20 million characters") as refused:
        read(b"a" * (MAX_TEXT + 1), "a.txt")
    assert refused.value.instance_code == "too_large_text"


MARKDOWN = """---
title: "설치 안내"
tags: [a]
---
# 설치 #

**중요**: [설명서](https://example.org/guide)와 [목차](#toc)를 읽는다. `2 ** 10`
<br>둘째 줄 ![그림](a.png)<!-- 숨김 -->

부제
----

* 하나
  이어서
    1. 안쪽
* 둘

  둘째 문단

| 이름 | 값 |
|:-----|---:|
| a\\|b | 1 |
| c | 2 |

> 인용한
> 글

```python
# 제목이 아니다

x = [1, 2]
```

    들여쓴 코드

***
<!-- 여러
줄 -->
끝.
"""


def test_markdown(read: Read) -> None:
    parsed = read(MARKDOWN.encode(), "a.md")
    assert parsed.title == "설치 안내"
    intro = "중요: 설명서 (https://example.org/guide)와 목차를 읽는다. `2 ** 10`"
    assert shown(parsed) == [
        ("heading", "설치"),
        ("paragraph", intro),
        ("paragraph", "둘째 줄 그림"),
        ("heading", "부제"),
        ("list", "- 하나 이어서\n  1. 안쪽\n- 둘\n  둘째 문단"),
        ("table", "이름 | 값\na|b | 1\nc | 2"),
        ("paragraph", "인용한\n글"),
        ("code", "# 제목이 아니다\n\nx = [1, 2]"),
        ("code", "들여쓴 코드"),
        ("paragraph", "끝."),
    ]


HTML = """<!doctype html><title>문서</title><body>
<header><a href="/">홈</a></header><nav>메뉴</nav>
<div id=page><main><h1>인사 <em>규정</em></h1>
<p>첫째&nbsp;문단은<br>두 줄이다.<script>alert("p")</script></p>
<div>상자 글<p>둘째 문단</p>뒤 글</div>
<ul><li>하나<ul><li>안쪽</li></ul></li><li>둘</li></ul>
<ol><li>가</li><li><p>나</p><p>더</p></li></ol>
<table><caption>연차</caption><tr><th rowspan=2>지역<th colspan=2>월<tr><th>1월<th>2월
<tr><td rowspan=2>서울<td>10<td>20<tr><td>30<td>40</table>
<table><tr><td>배치용 <p>문단</p></td></tr></table>
<pre>x = 1
  y = 2</pre>
<p hidden>숨김</p><svg><text>그림</text></svg>
<p>본문을 충분히 길게 하여 주요 내용으로 여겨지게 한다.</p>
</main></div><aside>광고</aside><footer>저작권</footer>"""


def test_html(read: Read) -> None:
    parsed = read(HTML.encode(), "a.html")
    assert parsed.title == "문서"
    assert shown(parsed) == [
        ("heading", "인사 규정"),
        ("paragraph", "첫째 문단은\n두 줄이다."),
        ("paragraph", "상자 글"),
        ("paragraph", "둘째 문단"),
        ("paragraph", "뒤 글"),
        ("list", "- 하나\n  - 안쪽\n- 둘\n1. 가\n2. 나\n더"),
        ("paragraph", "연차"),
        ("table", "지역 | 월 |\n지역 | 1월 | 2월\n서울 | 10 | 20\n서울 | 30 | 40"),
        ("paragraph", "배치용"),
        ("paragraph", "문단"),
        ("code", "x = 1\n  y = 2"),
        ("paragraph", "본문을 충분히 길게 하여 주요 내용으로 여겨지게 한다."),
    ]


@pytest.mark.parametrize("charset", ["utf-8", "euc-kr"])
def test_html_says_its_character_set(read: Read, charset: str) -> None:
    parsed = read(make.make_html("# 인사 규정\n\n본문이다.", charset=charset), "a.htm")
    assert shown(parsed) == [("heading", "인사 규정"), ("paragraph", "본문이다.")]


def test_html_with_a_wrong_declaration_is_read_all_the_same(read: Read) -> None:
    data = make.make_html("인사 규정을 이 문서가 정한다.").replace(b"utf-8", b"euc-jp")
    assert read(data, "a.html").text == "인사 규정을 이 문서가 정한다."


@pytest.mark.parametrize(
    ("name", "content", "title"),
    [
        ("a.md", "## Contents\n\n# Leave *policy*\n\nText.\n\n# More", "Leave *policy*"),
        ("a.md", "글.\n\n## **휴가**\n\n글.\n\n## 여비", "휴가"),
        ("a.md", "Text only.", None),
        ("a.html", "<title>Site</title><h1>Leave</h1><p>Text", "Site"),
        ("a.html", "<title> </title><h2>Contents</h2><h1>휴가</h1><p>글", "휴가"),
        ("a.html", "<h2>Leave</h2><p>Text", "Leave"),
    ],
)
def test_a_file_without_a_title_is_called_by_its_heading(
    read: Read, name: str, content: str, title: str | None
) -> None:
    assert read(content.encode(), name).title == title


def test_deep_html_is_no_problem(read: Read) -> None:
    assert read(b"<div>" * 5_000 + b"deep", "a.html").text == "deep"


ROWS = [["이름", "값, 단위"], ["연차", '15 "일"'], ["여비", "실비\n정산"]]
TABLE = [("table", '이름 | 값, 단위\n연차 | 15 "일"\n여비 | 실비 정산')]


@pytest.mark.parametrize(
    ("delimiter", "charset", "name"),
    [
        (",", "utf-8", "a.csv"),
        (";", "cp949", "a.csv"),
        ("\t", "utf-16", "a.tsv"),
        ("|", "utf-8", "a.csv"),
    ],
)
def test_separated_values(read: Read, delimiter: str, charset: str, name: str) -> None:
    assert shown(read(make.make_csv(ROWS, delimiter=delimiter, charset=charset), name)) == TABLE


def test_json_by_record(read: Read) -> None:
    value = {
        "title": "제품",
        "shop": {"city": "서울", "open": True, "closed": None},
        "items": [{"name": "책", "tags": ["새것", "한국어"]}, {"name": "붓", "price": 2.5}],
    }
    parsed = read(json.dumps(value).encode(), "a.json")
    assert parsed.title == "제품"
    first = (
        "title: 제품\nshop.city: 서울\nshop.open: true\nitems[0].name: 책\n"
        "items[0].tags: 새것, 한국어"
    )
    assert shown(parsed) == [
        ("list", first),
        ("list", "items[1].name: 붓\nitems[1].price: 2.5"),
    ]


def test_json_lines_by_line(read: Read) -> None:
    parsed = read(make.make_jsonl([{"a": 1}, {"a": 2}, "plain"]), "a.jsonl")
    assert shown(parsed) == [("list", "a: 1"), ("list", "a: 2"), ("list", "plain")]


@pytest.mark.parametrize(
    ("data", "name", "said"),
    [
        (b'{"a": 1', "a.json", "line 1 column 8"),
        (b'{"a": 1}\n{"a" 2}\n', "a.jsonl", "line 2: "),
        (b"[" * 100_000, "a.json", "nested too deeply"),
    ],
)
def test_broken_json_says_where(read: Read, data: bytes, name: str, said: str) -> None:
    with pytest.raises(UnreadableFile, match=said) as refused:
        read(data, name)
    assert refused.value.instance_code == "damaged_file"
