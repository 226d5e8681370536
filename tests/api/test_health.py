from __future__ import annotations

import re
from datetime import datetime

from api.service import ACME_KEY, Service, bearer, open_service


def test_status_has_exactly_the_published_fields(service: Service) -> None:
    for _ in range(3):
        id = service.create()
    service.redeem(id)
    answer = service.http.simulate_get("/auth/session-status")
    assert answer.json == {
        "total_sessions": 3,
        "active_sessions": 2,
        "used_sessions": 1,
        "total_created": 3,
        "total_used": 1,
        "max_sessions": 1000,
        "storage": "memory",
        "redis_healthy": True,
    }


def test_redis_health_has_exactly_the_published_fields(service: Service) -> None:
    answer = service.http.simulate_get("/auth/redis-health")
    assert answer.status_code == 200
    assert set(answer.json) == {"status", "message", "timestamp"}
    assert answer.json["status"] == "healthy"
    assert datetime.fromisoformat(answer.json["timestamp"]).tzinfo is not None


def test_probes_answer(service: Service) -> None:
    for path in ("/livez", "/readyz", "/healthz/deep"):
        assert service.http.simulate_get(path).json["status"] == "ok"


def test_the_unauthenticated_see_no_tenant_ticket_or_host(tenants: Service) -> None:
    id = tenants.create({"subject": "ana"}, key=ACME_KEY)
    tenants.redeem(id)
    for path in ("/livez", "/readyz", "/healthz/deep", "/auth/redis-health", "/metrics"):
        text = tenants.http.simulate_get(path).text
        for value in (id, "ana", "acme", ACME_KEY, "127.0.0.1"):
            assert value not in text, (path, value)


def test_metrics_count_by_route_and_never_by_path() -> None:
    service = open_service()
    before = _sample(service, 'guarita_redeems_total{outcome="admitted"}')
    id = service.create()
    service.redeem(id)
    service.http.simulate_get(f"/no/such/{id}")
    service.http.simulate_request("TRACE", "/livez")
    assert _sample(service, 'guarita_redeems_total{outcome="admitted"}') == before + 1
    text = service.http.simulate_get("/metrics").text
    assert 'route="unmatched"' in text
    assert id not in text
    assert "TRACE" not in text


def test_the_contract_is_served(tenants: Service) -> None:
    answer = tenants.http.simulate_get("/openapi.json", headers=bearer("any"))
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json["openapi"].startswith("3.1")


def _sample(service: Service, name: str) -> float:
    text = service.http.simulate_get("/metrics").text
    found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else 0.0
