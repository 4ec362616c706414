"""What pages report of their speed: from here only, bounded, and of nobody."""

from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from likeopt.config import Config
from likeopt.services import Services
from likeopt.storage.tables import vitals
from likeopt.web import limits
from likeopt.web.app import create_app
from tests.web.conftest import Client

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
    client: Client = create_app(config, services, write=lambda _: None).test_client()
    statuses = [
        client.post("/api/v1/metrics", json=report(LCP), headers=OWN).status_code for _ in range(3)
    ]
    assert statuses == [204, 204, 429]
    assert len(kept(services)) == 2


def test_nothing_is_kept_where_nothing_shall_be_measured(
    config: Config, services: Services
) -> None:
    off = msgspec.structs.replace(config, vitals_percent=0)
    silent = Services(off)
    client: Client = create_app(off, silent, write=lambda _: None).test_client()
    assert client.post("/api/v1/metrics", json=report(LCP), headers=OWN).status_code == 204
    silent.close()
    assert kept(services) == []
