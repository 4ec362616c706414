"""/api/v1/documents: adding, reading, changing, deleting."""

import http.client
import io
import tempfile
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from likeopt.config import Config
from likeopt.retrieval.parse.kinds import DOCX
from likeopt.services import Services
from likeopt.storage import api_keys, audit, collections
from likeopt.web import uploads
from likeopt.web.app import create_app
from tests import guest
from tests.retrieval.parse import make_files as make
from tests.retrieval.parse.bad_files import BAD_FILES
from tests.web.conftest import Client, Server, as_stranger, file_part, let_in

PATH = "/api/v1/documents"
Upload = Callable[..., Any]


TAG = b'Content-Disposition: form-data; name="tags"\r\n\r\n'
FILE = b'Content-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\nhello'
FORM = "multipart/form-data; boundary=x"


def form(*parts: bytes, end: bytes = b"--x--\r\n") -> bytes:
    """A body of the type FORM."""
    return b"".join(b"--x\r\n" + part + b"\r\n" for part in parts) + end


def count(client: Client) -> int:
    answer: Any = client.get(PATH).json
    return len(answer["items"])


# -- adding ----------------------------------------------------------------------------------------


def test_add_one_file(client: Client) -> None:
    response = client.post(
        PATH, data={"file": file_part("notes.md", b"# Notes"), "tags": ["b", "a"]}
    )
    assert response.status_code == 202
    (item,) = response.json["items"]
    assert item["outcome"] == "added"
    document = item["document"]
    assert document["name"] == "notes.md"
    assert document["state"] == "queued"
    assert document["tags"] == ["a", "b"]
    assert document["size"] == 7
    assert document["created_at"].endswith("Z")
    assert client.get(f"{PATH}/{document['id']}").json == document


def test_name_is_kept_composed(upload: Upload) -> None:
    assert upload(unicodedata.normalize("NFD", "계약서.md"))["name"] == "계약서.md"


def test_same_file_again_changes_nothing(client: Client, upload: Upload) -> None:
    first = upload()
    response = client.post(PATH, data={"file": file_part("notes.md", b"# Notes\n\nHello.")})
    (item,) = response.json["items"]
    assert item["outcome"] == "unchanged"
    assert item["document"]["id"] == first["id"]
    assert count(client) == 1


def test_one_bad_file_stops_no_other(client: Client) -> None:
    files = [
        file_part("good.md", b"# Good"),
        file_part("bad.exe", b"MZ"),
        file_part("empty.txt", b""),
        file_part("also good.txt", b"fine"),
    ]
    response = client.post(PATH, data={"file": files})
    assert response.status_code == 202
    good, bad, empty, also = response.json["items"]
    assert good["outcome"] == also["outcome"] == "added"
    assert bad["problem"]["code"] == "unsupported_type"
    assert bad["problem"]["request_id"] == response.headers["X-Request-ID"]
    assert empty["problem"]["status"] == 422
    assert count(client) == 2


def test_several_files_that_are_all_bad(client: Client) -> None:
    files = [file_part("a.exe", b"MZ"), file_part("b.exe", b"MZ")]
    response = client.post(PATH, data={"file": files})
    assert response.status_code == 422
    assert response.json["code"] == "unreadable_file"
    assert [item["problem"]["status"] for item in response.json["items"]] == [415, 415]


@pytest.mark.parametrize(
    ("name", "content", "status", "says"),
    [
        ("program.exe", b"MZ", 415, "does not read .exe"),
        ("no suffix", b"text", 415, "without a suffix"),
        ("picture.pdf", b"\x89PNG\r\n\x1a\n" + b"\0" * 64, 415, "picture.pdf"),
        ("empty.txt", b"", 422, "empty"),
        ("blank.txt", b" \n\t \xef\xbb\xbf", 422, "empty"),
        ("blank.html", b" \n ", 422, "empty"),
        ("mark.txt", b"\xff\xfe", 422, "empty"),
        ("noise.txt", b"\xff\xfe\xfa\x80\x81\x99", 422, "Save it as UTF-8"),
        ("noise.md", bytes(range(128, 256)), 422, "Save it as UTF-8"),
        ("noise.csv", b"abc,\xff\xfe,def", 422, "Save it as UTF-8"),
        ("../../etc/passwd.txt", b"x", 400, "not a path"),
        ("x" * 300 + ".txt", b"x", 400, "longer than"),
        ("a\x07b.txt", b"x", 400, "cannot be shown"),
    ],
)
def test_bad_file(
    client: Client, services: Services, name: str, content: bytes, status: int, says: str
) -> None:
    response = client.post(PATH, data={"file": file_part(name, content)})
    assert response.status_code == status, response.text
    assert response.content_type == "application/problem+json"
    assert says in response.json["detail"]
    assert nothing_is_left(client, services)


@pytest.mark.parametrize("name", [rb"..\..\Windows\evil.txt", rb"C:\a.txt", rb"a\b.txt"])
def test_path_of_windows_is_refused_as_any_path(
    client: Client, services: Services, name: bytes
) -> None:
    body = b"--x\r\n" + FILE.replace(b"a.txt", name) + b"\r\n--x--\r\n"
    response = client.post(PATH, data=body, content_type=FORM)
    assert response.status_code == 400, response.text
    assert "not a path" in response.json["detail"]
    assert nothing_is_left(client, services)


def nothing_is_left(client: Client, services: Services) -> bool:
    """Whether there is no document, no job and no file."""
    stored = services.config.data_dir / "files"
    kept = [path for path in stored.rglob("*") if path.is_file() and path.name != "lock"]
    jobs: Any = client.get("/api/v1/indexing").json
    return not (count(client) or jobs["queued"] or kept)


@pytest.mark.parametrize("name", BAD_FILES)
def test_file_that_will_not_open_is_refused_at_once(
    client: Client, services: Services, name: str
) -> None:
    content, status, code = BAD_FILES[name]
    response = client.post(PATH, data={"file": file_part(name, content)})
    assert (response.status_code, response.json["code"]) == (status, code)
    assert response.json["detail"].startswith(f"{name} ")
    assert nothing_is_left(client, services)


def test_pdf_that_anyone_may_open_is_added_although_encrypted(upload: Upload) -> None:
    assert upload("owner.pdf", make.make_pdf("text", password=""))["state"] == "queued"


def test_running_server_refuses_what_its_parser_cannot_open(served: Server) -> None:
    for name in ("password.pdf", "cut.pdf"):
        content, status, code = BAD_FILES[name]
        fields = {"file": (name, content)}
        assert served.json("POST", PATH, status=status, fields=fields)["code"] == code


def test_file_over_the_limit_is_refused_and_others_are_not(
    config: Config, services: Services
) -> None:
    services.config = msgspec.structs.replace(config, max_upload_mb=1)
    client = guest.client(create_app(services.config, services, write=lambda _: None))
    big = FILE + b"x" * (1 << 20)
    alone = client.post(PATH, data=form(big), content_type=FORM)
    assert alone.status_code == 413
    assert "larger than 1 MiB" in alone.json["detail"]
    ok = FILE.replace(b"a.txt", b"ok.txt")
    refused, kept = client.post(PATH, data=form(big, ok), content_type=FORM).json["items"]
    assert refused["problem"]["code"] == "too_large"
    assert kept["outcome"] == "added"
    assert not list((config.data_dir / "tmp").iterdir())


def test_upload_that_announces_too_much_is_not_read(client: Client) -> None:
    body = io.BytesIO(form(FILE))
    announced = {"wsgi.input": body, "CONTENT_LENGTH": str(2 << 30)}
    response = client.post(PATH, content_type=FORM, environ_overrides=announced)
    assert response.status_code == 413
    assert body.tell() == 0


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (form(), 400, "no_file"),
        (form(TAG + b"x"), 400, "no_file"),
        (form(FILE, end=b""), 400, "bad_form"),
        (b"nothing like a form", 400, "bad_form"),
        (form(b"X: y\r\n\r\nhello"), 400, "bad_form"),
        (form(FILE.replace(b"a.txt", b"\xff.txt")), 400, "invalid_utf8"),
        (form(b"X-Long: " + b"x" * (2 << 20)), 400, "bad_form"),
        (form(*[FILE] * 300), 413, "too_large"),
        (form(FILE, TAG + b"\xff"), 400, "invalid_utf8"),
        (form(FILE, TAG + b"x" * 100_000), 413, "too_large"),
    ],
)
def test_body_that_is_no_good_form(client: Client, body: bytes, status: int, code: str) -> None:
    response = client.post(PATH, data=body, content_type=FORM)
    assert (response.status_code, response.json["code"]) == (status, code)
    assert count(client) == 0


def test_body_that_is_no_form(client: Client) -> None:
    for kind in ("application/json", "multipart/form-data", "text/plain"):
        response = client.post(PATH, data=b"{}", content_type=kind)
        assert (response.status_code, response.json["code"]) == (415, "unsupported_type")


def test_content_is_what_was_sent_wherever_the_pieces_are_cut(
    client: Client, upload: Upload, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = b"--x\r\n\r\n-- not a boundary\n" * 40 + b"\r\n--"
    for size in (1, 7, 64):
        monkeypatch.setattr(uploads, "READ_BYTES", size)
        monkeypatch.setattr(uploads, "BLOCK_BYTES", 50)
        document = upload(f"{size}.txt", content)
        assert client.get(f"{PATH}/{document['id']}/original").data == content


def test_other_collection_and_unknown_one(client: Client) -> None:
    made = client.post("/api/v1/collections", json={"name": "Contracts"}).json["id"]
    good = client.post(PATH, data={"file": file_part("a.md", b"# A"), "collection": made})
    assert good.json["items"][0]["document"]["collection_id"] == made
    bad = client.post(PATH, data={"file": file_part("b.md", b"# B"), "collection": "nope"})
    assert bad.status_code == 404
    both = {"file": file_part("b.md", b"# B"), "collection": [made, "default"]}
    twice = client.post(PATH, data=both)
    assert twice.status_code == 400


def key_of(services: Services, user_id: str) -> dict[str, str]:
    """Headers of a person's API key that may write."""
    _, token = services.db.write(
        lambda c: api_keys.create(c, services.clock, user_id, name="k", scopes=["read", "write"])
    )
    return {"Authorization": f"Bearer {token}"}


def test_who_may_write_nowhere_is_refused_before_anything_is_read(
    client: Client, services: Services
) -> None:
    headers = key_of(services, as_stranger(services).user_id)
    body = io.BytesIO(form(FILE))
    announced = {"wsgi.input": body, "CONTENT_LENGTH": str(1 << 29)}
    refused = client.post(PATH, content_type=FORM, headers=headers, environ_overrides=announced)
    assert (refused.status_code, refused.json["code"]) == (403, "forbidden")
    assert body.tell() == 0
    # Nor is a page fetched, which would be refused as a private one.
    page = {"url": "http://127.0.0.1:1/x"}
    assert client.post(f"{PATH}/url", json=page, headers=headers).json["code"] == "forbidden"


@pytest.mark.parametrize(
    ("collection", "status"), [(b"default", 403), (b"", 403), (b"nope", 404), (b"theirs", 202)]
)
def test_collection_named_first_decides_before_a_file_is_read(
    client: Client,
    services: Services,
    monkeypatch: pytest.MonkeyPatch,
    collection: bytes,
    status: int,
) -> None:
    stranger = as_stranger(services)
    own = services.db.write(lambda c: collections.create(c, stranger, services.clock, "Own"))
    head = b'Content-Disposition: form-data; name="collection"\r\n\r\n'
    named = head + (own.id.encode() if collection == b"theirs" else collection)
    spooled = []
    make_file = tempfile.TemporaryFile

    def spool(**how: Any) -> Any:
        spooled.append(how)
        return make_file(**how)

    monkeypatch.setattr(tempfile, "TemporaryFile", spool)
    monkeypatch.setattr(uploads, "READ_BYTES", 64)
    body = io.BytesIO(form(named, FILE + b"x" * 5000))
    response = client.post(
        PATH, input_stream=body, content_type=FORM, headers=key_of(services, stranger.user_id)
    )
    assert response.status_code == status, response.text
    assert (len(spooled), body.tell() > 500) == ((1, True) if status == 202 else (0, False))


def test_collection_named_last_or_not_at_all(client: Client, services: Services) -> None:
    stranger = as_stranger(services)
    services.db.write(lambda c: collections.create(c, stranger, services.clock, "Own"))
    headers = key_of(services, stranger.user_id)
    last = b'Content-Disposition: form-data; name="collection"\r\n\r\ndefault'
    for body in (form(FILE, last), form(FILE), form(FILE, FILE)):
        refused = client.post(PATH, data=body, content_type=FORM, headers=headers)
        assert (refused.status_code, refused.json["code"]) == (403, "forbidden")
    assert nothing_is_left(client, services)


def test_running_server_refuses_an_upload_that_has_not_come(served: Server) -> None:
    services = Services(served.config)
    headers = key_of(services, let_in(services, "reads.only@example.org").user.id)
    services.close()
    headers |= {"Content-Type": FORM, "Content-Length": str(1 << 29)}
    connection = http.client.HTTPConnection(served.url.removeprefix("http://"), timeout=60)
    connection.putrequest("POST", PATH)
    for name, value in headers.items():
        connection.putheader(name, value)
    # Of half a GiB not a byte.
    connection.endheaders()
    assert connection.getresponse().status == 403
    connection.close()


def test_add_url_refuses_what_is_no_web_address(client: Client) -> None:
    for url in ("file:///etc/passwd", "ftp://example.org/x", "nonsense", "http://127.0.0.1:1/x"):
        response = client.post(f"{PATH}/url", json={"url": url})
        assert 400 <= response.status_code < 500, url
    assert count(client) == 0


def test_add_folder_only_below_a_root(config: Config, services: Services, tmp_path: Path) -> None:
    root = tmp_path / "shared"
    (root / "deep").mkdir(parents=True)
    (root / "deep" / "a.md").write_text("# A")
    (root / "b.exe").write_bytes(b"MZ")
    (root / "way out").symlink_to("/etc")
    services.config = msgspec.structs.replace(config, folder_roots=str(root))
    client = guest.client(create_app(services.config, services, write=lambda _: None))
    for outside in ("/etc", str(tmp_path), f"{root}/../", f"{root}/way out"):
        refused = client.post(f"{PATH}/folder", json={"path": outside})
        assert refused.status_code == 403, outside
    done = client.post(f"{PATH}/folder", json={"path": str(root)})
    assert done.status_code == 202
    assert (done.json["added"], done.json["changed"], done.json["unchanged"]) == (1, 0, 0)
    assert any("b.exe" in failed["name"] for failed in done.json["failed"])
    again = client.post(f"{PATH}/folder", json={"path": str(root)})
    assert (again.json["added"], again.json["unchanged"]) == (0, 1)


# -- reading ---------------------------------------------------------------------------------------


def test_list_is_filtered_and_paged(client: Client, upload: Upload) -> None:
    names = ("one", "two", "three")
    ids = [upload(f"{name}.md", name.encode(), tags=[name])["id"] for name in names]
    first = client.get(f"{PATH}?limit=2").json
    second = client.get(f"{PATH}?limit=2&cursor={first['next_cursor']}").json
    assert [item["id"] for item in first["items"] + second["items"]] == ids[::-1]
    assert second["next_cursor"] is None
    assert [item["id"] for item in client.get(f"{PATH}?q=TWO").json["items"]] == [ids[1]]
    assert [item["id"] for item in client.get(f"{PATH}?tag=three").json["items"]] == [ids[2]]
    assert client.get(f"{PATH}?state=failed").json["items"] == []
    assert len(client.get(f"{PATH}?collection=default").json["items"]) == 3


def test_text_of_a_document(served: Server) -> None:
    document = served.add("text.md", "# 제목\n\n본문 😀 끝.".encode())
    page = served.json("GET", f"{PATH}/{document['id']}/text?at=3")
    assert page["document"] == {
        "id": document["id"],
        "name": "text.md",
        "media_type": "text/markdown",
    }
    assert "본문 😀 끝." in page["text"]
    assert (page["number"], page["pages"], page["paged"], page["start"]) == (1, 1, False, 0)
    assert page["total"] == len(page["text"])
    path = f"{PATH}/{document['id']}/text"
    assert served.json("GET", f"{path}?at=100000", status=400)["code"] == "bad_input"
    assert served.json("GET", f"{path}?version=999999", status=404)["code"] == "version_gone"
    for too_large in (f"at={2**63}", f"version={2**63}", f"version={10**30}"):
        assert served.json("GET", f"{path}?{too_large}", status=400)["code"] == "bad_input"


def test_text_before_there_is_any(client: Client, upload: Upload) -> None:
    response = client.get(f"{PATH}/{upload()['id']}/text")
    assert response.status_code == 404


# -- the original ----------------------------------------------------------------------------------

CONTENT = bytes(range(256)) * 10


@pytest.fixture
def original(upload: Upload) -> str:
    document = upload("자료 \u201c1\u201d.txt", b"0123456789" * 100)
    return f"{PATH}/{document['id']}/original"


def test_original_is_sent_as_it_was_added(client: Client, original: str) -> None:
    response = client.get(original)
    headers = response.headers
    assert response.data == b"0123456789" * 100
    assert headers["Content-Type"] == "text/plain; charset=utf-8"
    assert headers["Content-Length"] == "1000"
    assert headers["Accept-Ranges"] == "bytes"
    assert headers["Cache-Control"] == "private, no-cache"
    assert headers["Content-Security-Policy"].startswith("sandbox; default-src 'none'")
    assert headers["X-Content-Type-Options"] == "nosniff"
    disposition = headers["Content-Disposition"]
    assert disposition == (
        'inline; filename="__ _1_.txt";'
        " filename*=UTF-8''%EC%9E%90%EB%A3%8C%20%E2%80%9C1%E2%80%9D.txt"
    )
    saved = client.get(f"{original}?download=true").headers["Content-Disposition"]
    assert saved.startswith("attachment;")


@pytest.mark.parametrize(
    ("name", "content", "kind", "shown", "policy"),
    [
        ("a.pdf", make.make_pdf("text"), "application/pdf", "inline", "default-src 'none'"),
        ("a.md", "# 제목".encode(), "text/plain; charset=utf-8", "inline", "sandbox;"),
        ("a.csv", b"a,b\n1,2", "text/plain; charset=utf-8", "inline", "sandbox;"),
        ("a.txt", "한국어 텍스트".encode("cp949"), "text/plain", "inline", "sandbox;"),
        ("a.html", b"<p>\xc3\xa9</p>", "text/html; charset=utf-8", "inline", "sandbox;"),
        ("a.docx", make.make_docx("text"), DOCX, "attachment", "sandbox;"),
        ("a.hwp", make.make_hwp("본문"), "application/x-hwp", "attachment", "sandbox;"),
    ],
)
def test_original_is_shown_if_a_browser_can_and_runs_nothing(
    client: Client, upload: Upload, name: str, content: bytes, kind: str, shown: str, policy: str
) -> None:
    path = f"{PATH}/{upload(name, content)['id']}/original"
    response = client.get(path)
    assert response.data == content
    assert response.content_type == kind
    headers = response.headers
    assert headers["Content-Disposition"].startswith(f"{shown};")
    assert headers["Content-Security-Policy"].startswith(policy)
    assert "script-src" not in headers["Content-Security-Policy"]
    assert client.get(f"{path}?download=true").headers["Content-Disposition"].startswith("attach")


def test_head_of_an_original(client: Client, original: str) -> None:
    response = client.head(original)
    assert response.data == b""
    assert response.headers["Content-Length"] == "1000"
    assert response.headers["ETag"]


@pytest.mark.parametrize(
    ("asked", "status", "body", "content_range"),
    [
        ("bytes=0-3", 206, b"0123", "bytes 0-3/1000"),
        ("bytes=995-", 206, b"56789", "bytes 995-999/1000"),
        ("bytes=-2", 206, b"89", "bytes 998-999/1000"),
        ("bytes=998-5000", 206, b"89", "bytes 998-999/1000"),
        ("bytes=1000-", 416, b"", "bytes */1000"),
        ("bytes=5-2", 200, None, None),
        ("bytes=0-1,5-6", 200, None, None),
        ("lines=0-1", 200, None, None),
        ("nonsense", 200, None, None),
    ],
)
def test_range_of_an_original(
    client: Client,
    original: str,
    asked: str,
    status: int,
    body: bytes | None,
    content_range: str | None,
) -> None:
    response = client.get(original, headers={"Range": asked})
    assert response.status_code == status
    assert response.data == (b"0123456789" * 100 if body is None else body)
    assert response.headers.get("Content-Range") == content_range


def test_range_only_if_it_is_still_the_same(client: Client, original: str) -> None:
    tag = client.get(original).headers["ETag"]
    part = {"Range": "bytes=0-1"}
    assert client.get(original, headers=part | {"If-Range": tag}).status_code == 206
    for other in ('"other"', f"W/{tag}", "Sat, 01 Jan 2028 00:00:00 GMT"):
        assert client.get(original, headers=part | {"If-Range": other}).status_code == 200


def test_original_that_the_browser_has(client: Client, original: str) -> None:
    tag = client.get(original).headers["ETag"]
    response = client.get(original, headers={"If-None-Match": f'"other", {tag}'})
    assert (response.status_code, response.data) == (304, b"")
    assert response.headers["ETag"] == tag
    assert "Content-Type" not in response.headers


def test_original_deleted_while_it_is_read(
    client: Client, services: Services, original: str
) -> None:
    response = client.get(original, buffered=False)
    parts: Iterator[bytes] = response.iter_encoded()
    client.delete(original.removesuffix("/original"))
    assert b"".join(parts) == b"0123456789" * 100
    response.close()
    assert client.get(original).status_code == 404


def test_original_that_is_gone_from_disk(client: Client, services: Services, original: str) -> None:
    tag = client.get(original).headers["ETag"].strip('"')
    services.files.path(tag).unlink()
    response = client.get(original)
    assert response.status_code == 404
    assert "no longer stored" in response.json["detail"]


# -- changing --------------------------------------------------------------------------------------


def test_rename_and_tag(client: Client, upload: Upload) -> None:
    path = f"{PATH}/{upload(tags=['old'])['id']}"
    assert client.patch(path, json={"name": "new.md"}).json["tags"] == ["old"]
    changed = client.patch(path, json={"tags": ["x", "x", "y"]}).json
    assert (changed["name"], changed["tags"]) == ("new.md", ["x", "y"])
    assert client.patch(path, json={"name": ""}).status_code == 400
    assert client.patch(path, json={"tags": "x"}).status_code == 400
    assert client.get(path).json["tags"] == ["x", "y"]


def test_delete(client: Client, upload: Upload) -> None:
    path = f"{PATH}/{upload()['id']}"
    response = client.delete(path)
    assert (response.status_code, response.data) == (204, b"")
    assert client.get(path).status_code == 404
    assert client.delete(path).status_code == 404
    assert count(client) == 0


def test_cancel_and_reindex(client: Client, upload: Upload, services: Services) -> None:
    path = f"{PATH}/{upload()['id']}"
    cancelled = client.post(f"{path}/cancel")
    assert cancelled.status_code == 202
    assert (cancelled.json["state"], cancelled.json["error_code"]) == ("failed", "cancelled")
    again = client.post(f"{path}/reindex")
    assert again.status_code == 202
    assert (again.json["state"], again.json["error_code"]) == ("queued", None)
    assert again.json["job"]["kind"] == "index"
    log = services.db.read(lambda c: audit.list_(c, audit.Filters(object_kind="document"))).items
    assert [(one.action, one.object_name) for one in log[:2]] == [
        ("document.reindex", "notes.md"),
        ("document.cancel", "notes.md"),
    ]


def test_what_only_reading_finds_is_reported_with_its_reason(served: Server) -> None:
    document = served.add("scanned.pdf", make.make_scanned_pdf())
    found = served.json("GET", f"{PATH}/{document['id']}")
    assert found["state"] == "failed"
    assert found["error_code"] == "no_text"
    assert found["error_message"]


# -- other people ----------------------------------------------------------------------------------


def test_someone_elses_document_does_not_exist(client: Client, services: Services) -> None:
    stranger = as_stranger(services)
    private = services.db.write(
        lambda c: collections.create(c, stranger, services.clock, "Private")
    )
    stranger = as_stranger(services)
    theirs = services.ingest.file(stranger, private.id, "secret.md", b"# Secret").document.id
    unknown = "f" * 32
    for method, rest, body in [
        ("GET", "", None),
        ("GET", "/original", None),
        ("GET", "/text", None),
        ("PATCH", "", {"name": "mine.md"}),
        ("DELETE", "", None),
        ("POST", "/reindex", None),
        ("POST", "/cancel", None),
    ]:
        both = (f"{PATH}/{id_}{rest}" for id_ in (theirs, unknown))
        answers = [client.open(path, method=method, json=body) for path in both]
        assert [a.status_code for a in answers] == [404, 404], (method, rest)
        assert answers[0].json["detail"] == answers[1].json["detail"]
    assert count(client) == 0
    assert client.get(f"{PATH}?collection={private.id}").status_code == 404
