"""What pages report of their speed: from here only, bounded, and of nobody."""

from contextlib import closing
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from likeopt.config import Config
from likeopt.services import Services
from likeopt.storage.tables import vitals
from likeopt.web import cookies, limits
from likeopt.web.app import create_app
from tests import guest
from tests.web.conftest import Client, let_in

OWN = {"Sec-Fetch-Site": "same-origin", "Origin": "http://localhost"}
LCP = {"name": "LCP", "value": 812.5, "page": "chat"}
API = {"name": "API", "value": 12, "page": "chat", "status": 200, "operation": "GET /api/v1/info"}


def report(*samples: dict[str, Any], screen: str = "phone") -> dict[str, Any]:
    return {"screen": screen, "samples": list(samples)}


def kept(services: Services) -> list[dict[str, Any]]:
    def rows(c: Any) -> list[dict[str, Any]]:
        return [dict(row) for row in c.execute(sa.select(vitals)).mappings()]

    return services.db.read(rows)


def test_measured_values_are_kept_without_a_person(client: Client, services: Services) -> None:
    parts = {"waiting": 80.0, "rendering": 20.5}
    lcp = LCP | {"target": "div.welcome > p.welcome-body", "parts": parts, "way": "reload"}
    call = API | {"operation": "GET /api/v1/conversations/" + "a" * 32, "status": 404}
    response = client.post("/api/v1/metrics", json=report(lcp, call), headers=OWN)
    assert (response.status_code, response.data) == (204, b"")
    first, second = kept(services)
    assert (first["name"], first["value"], first["way"]) == ("LCP", 812.5, "reload")
    assert msgspec.json.decode(first["parts"]) == parts
    assert second["operation"] == "GET /api/v1/conversations/{conversation_id}"
    assert set(second) == {
        "id", "at", "name", "value", "page", "screen", "way", "operation", "status", "target",
        "parts",
    }  # fmt: skip


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec-Fetch-Site": "cross-site", "Origin": "http://evil.example"},
        {"Sec-Fetch-Site": "same-site", "Origin": "http://localhost"},
        {"Origin": "http://evil.example"},
        {"Sec-Fetch-Site": "none"},
    ],
)
def test_only_our_own_page_may_report(
    client: Client, services: Services, headers: dict[str, str]
) -> None:
    response = client.post("/api/v1/metrics", json=report(LCP), headers=headers)
    assert response.status_code == 403
    assert response.json["code"] == "other_site"
    assert kept(services) == []


@pytest.mark.parametrize(
    "body",
    [
        report(),
        report(*[LCP] * 51),
        report(LCP, screen="watch"),
        report(LCP | {"name": "FID"}),
        report(LCP | {"value": -1}),
        report(LCP | {"value": 1e9}),
        report(LCP | {"value": "1"}),
        report({"name": "CLS", "value": 10.5, "page": "chat"}),
        report(LCP | {"page": "/c/0123"}),
        report(LCP | {"target": "a[href='/c/secret']"}),
        report(LCP | {"target": "p" * 101}),
        report(LCP | {"parts": {"anything": 1}}),
        report(LCP | {"user": "kim"}),
        report(LCP | {"operation": "GET /api/v1/info", "status": 200}),
        report(API | {"operation": "GET /api/v1/nothing"}),
        report(API | {"operation": "BREW /api/v1/info"}),
        report(API | {"operation": "GET /library"}),
        report(API | {"operation": None}),
        report(LCP) | {"more": 1},
    ],
)
def test_what_is_not_a_report_is_refused_whole(
    client: Client, services: Services, body: dict[str, Any]
) -> None:
    response = client.post("/api/v1/metrics", json=body, headers=OWN)
    assert response.status_code == 400
    assert kept(services) == []


def test_too_many_reports_of_one_address_wait(
    config: Config, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "METRICS_A_MINUTE", 2)
    client = guest.client(create_app(config, services, write=lambda _: None))
    statuses = [
        client.post("/api/v1/metrics", json=report(LCP), headers=OWN).status_code for _ in range(3)
    ]
    assert statuses == [204, 204, 429]
    assert len(kept(services)) == 2


def test_values_of_one_address_are_bounded(client: Client, services: Services) -> None:
    limit = limits.VALUES_A_MINUTE // 50
    sent = [
        client.post("/api/v1/metrics", json=report(*[LCP] * 50), headers=OWN)
        for _ in range(limit + 2)
    ]
    assert [one.status_code for one in sent[:limit]] == [204] * limit
    assert (sent[-1].status_code, sent[-1].json["code"]) == (429, "too_many_requests")
    # Those that the time between has let in count too, if there were any.
    assert len(kept(services)) == 50 * [one.status_code for one in sent].count(204)


def test_of_strangers_only_their_own_pages_are_kept(config: Config, services: Services) -> None:
    closed = msgspec.structs.replace(config, guest=False)
    with closing(Services(closed)) as built:
        client: Client = create_app(closed, built, write=lambda _: None).test_client()

        def send() -> None:
            samples = [LCP | {"page": page} for page in ("chat", "sign-in", "library", "link")]
            response = client.post("/api/v1/metrics", json=report(*samples), headers=OWN)
            assert response.status_code == 204

        send()
        assert [row["page"] for row in kept(services)] == ["sign-in", "link"]
        who = let_in(built, "kim@example.org")
        signed = cookies.sign(built.secret_key, "session", who.cookie_id)
        client.set_cookie(cookies.NAME, f"{who.cookie_id}.{signed}")
        send()
        assert [row["page"] for row in kept(services)[2:]] == ["chat", "sign-in", "library", "link"]


def test_nothing_is_kept_where_nothing_shall_be_measured(
    config: Config, services: Services
) -> None:
    off = msgspec.structs.replace(config, vitals_percent=0)
    silent = Services(off)
    client: Client = create_app(off, silent, write=lambda _: None).test_client()
    assert client.post("/api/v1/metrics", json=report(LCP), headers=OWN).status_code == 204
    silent.close()
    assert kept(services) == []
