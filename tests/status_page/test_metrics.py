"""What Prometheus is told: by its own parser, every metric of the table, and each with its true value."""

import pytest
import trio
from prometheus_client import Metric as Family
from prometheus_client.parser import text_string_to_metric_families

from kpclientd.status import DaemonStatus
from kpclientd.status_page.formats import metrics_text
from kpclientd.status_page.metrics_table import LEFT_OUT, METRICS, REFERENCE_METRICS, MetricType
from tests.support.metrics_page import COMMAND, PATH, page
from tests.support.world import World, world

MESSAGES = 12

LABELS = {"direction", "state", "result", "version", "process", "kind", "bound", "reason", "le"}
"""None of them can name an application, a recipient, a box, a courier or a gateway."""


def families(status: DaemonStatus) -> dict[str, Family]:
    """What a scrape tells, by the names of the table."""
    parsed = text_string_to_metric_families(metrics_text(status).decode())
    return {f"{family.name}_total" if family.type == "counter" else family.name: family for family in parsed}


def value(told: dict[str, Family], name: str, **labels: str) -> float:
    """The one value with these labels."""
    (found,) = [sample.value for sample in told[name].samples if sample.name == name and sample.labels == labels]
    return found


def observations(told: dict[str, Family], name: str) -> float:
    return sum(sample.value for sample in told[name].samples if sample.name.endswith("_count"))


async def exchange(here: World) -> None:
    """Echoes, some of which are answered, some lost, and one that is under way."""
    app = await here.app()
    service = here.service()
    for number in range(MESSAGES):
        await app.send(service, b"echo", bytes([number]) * 16)
    await here.until(lambda: len(app.replies) + len(app.refused) >= MESSAGES - 2, 600)


async def test_all_metrics_are_there_and_true(autojump_clock: trio.abc.Clock) -> None:
    async with world() as here:
        await exchange(here)
        status = here.daemon.status()
        told = families(status)
        assert {name for name in told if not name.startswith("process_")} == {metric.name for metric in METRICS}
        for metric in METRICS:
            assert told[metric.name].type == metric.type.value
            assert told[metric.name].documentation == metric.meaning
        traffic, surbs = status.traffic, status.surbs
        assert value(told, "katzenpost_client_lambdap_fifo_pop_total") == traffic.messages >= MESSAGES - 2
        assert value(told, "katzenpost_client_lambdap_decoy_total") == traffic.decoys_p
        assert value(told, "katzenpost_client_lambdal_decoy_total") == traffic.decoys_l
        assert value(told, "katzenpost_client_gateway_connected") == 1
        assert value(told, "katzenpost_client_thin_sessions") == 1
        assert value(told, "katzenpost_client_disconnected_sessions") == 0
        age = value(told, "katzenpost_client_pki_doc_age_seconds")
        assert 0 <= age <= here.network.clock.period
        assert value(told, "katzenpost_client_surb_id_created_total") == surbs.created
        assert surbs.created - surbs.out == sum(
            value(told, f"{name}_total")
            for name in (
                "katzenpost_client_surb_id_delivered",
                "katzenpost_client_surb_id_rotated",
                "katzenpost_client_surb_id_garbage_collected",
                "kpclientd_surbs_failed",
                "kpclientd_surbs_cancelled",
            )
        )
        assert observations(told, "kpclientd_round_trip_seconds") == surbs.delivered
        assert observations(told, "katzenpost_handshake_duration_seconds") == 1
        assert value(told, "kpclientd_send_rate", process="P") == 1.0
        assert value(told, "kpclientd_send_rate", process="L") == 0.5
        packets = traffic.messages + traffic.decoys_p + traffic.decoys_l
        assert observations(told, "kpclientd_send_gap_probability") == packets
        assert value(told, "kpclientd_document_epoch") == value(told, "kpclientd_epoch") == status.epoch
        assert value(told, "kpclientd_bound", bound="connections") == status.usage.connections[1]


async def test_the_age_of_the_document_grows(autojump_clock: trio.abc.Clock) -> None:
    async with world() as here:
        before = value(families(here.daemon.status()), "katzenpost_client_pki_doc_age_seconds")
        await trio.sleep(100)
        after = value(families(here.daemon.status()), "katzenpost_client_pki_doc_age_seconds")
        assert after - before == pytest.approx(100, abs=1)


async def test_what_is_not_there_has_no_value(autojump_clock: trio.abc.Clock) -> None:
    async with world(connected=False) as here:
        told = families(here.daemon.status())
        for name in (
            "katzenpost_client_pki_doc_age_seconds",
            "kpclientd_document_epoch",
            "kpclientd_clock_skew_seconds",
        ):
            assert name not in told
        assert value(told, "katzenpost_client_gateway_connected") == 0
        assert {sample.labels["reason"] for sample in told["kpclientd_drops_total"].samples} == set(
            here.daemon.status().drops
        )


async def test_handshakes_that_fail_are_told_by_where_they_did(autojump_clock: trio.abc.Clock) -> None:
    async with world() as here:
        (gateway,) = here.network.gateways
        gateway.stop()
        await here.until(lambda: here.daemon.status().link.failures > 0, 600)
        here.network.rekey(gateway)
        gateway.start()
        await here.until(lambda: here.daemon.status().link.handshakes.failures, 600)
        status = here.daemon.status()
        told = families(status)
        failures = status.link.handshakes.failures
        assert failures
        for state, count in failures.items():
            assert value(told, "katzenpost_handshake_failures_total", direction="outgoing", state=state) == count
        failed = sum(
            sample.value
            for sample in told["katzenpost_handshake_duration_seconds"].samples
            if sample.name.endswith("_count") and sample.labels["result"] == "failure"
        )
        assert failed == sum(failures.values())


async def test_histograms_add_up(autojump_clock: trio.abc.Clock) -> None:
    async with world() as here:
        await trio.sleep(600)
        for name, family in families(here.daemon.status()).items():
            if family.type != "histogram":
                continue
            by_labels: dict[tuple[str, ...], list[float]] = {}
            counts: dict[tuple[str, ...], float] = {}
            for sample in family.samples:
                of = tuple(v for k, v in sorted(sample.labels.items()) if k != "le")
                if sample.name == f"{name}_bucket":
                    by_labels.setdefault(of, []).append(sample.value)
                elif sample.name == f"{name}_count":
                    counts[of] = sample.value
            assert by_labels
            for of, cumulative in by_labels.items():
                assert cumulative == sorted(cumulative) and cumulative[-1] == counts[of]


async def test_no_label_can_name_anybody(autojump_clock: trio.abc.Clock) -> None:
    async with world() as here:
        await exchange(here)
        text = metrics_text(here.daemon.status()).decode()
        told = text_string_to_metric_families(text)
        assert {label for family in told for sample in family.samples for label in sample.labels} <= LABELS
        assert here.daemon.status().link.gateway is not None
        assert str(here.daemon.status().link.gateway) not in text
        assert all(app.name not in text for app in here.daemon.status().applications)


REFERENCE_NAMES = {
    "katzenpost_client_lambdap_fifo_pop_total",
    "katzenpost_client_lambdap_decoy_total",
    "katzenpost_client_lambdal_decoy_total",
    "katzenpost_client_send_queue_depth",
    "katzenpost_client_arq_inflight",
    "katzenpost_client_gateway_connected",
    "katzenpost_client_pki_doc_age_seconds",
    "katzenpost_client_arq_round_trip_seconds",
    "katzenpost_client_surb_id_created_total",
    "katzenpost_client_surb_id_garbage_collected_total",
    "katzenpost_client_surb_id_reply_matched_total",
    "katzenpost_client_surb_id_delivered_total",
    "katzenpost_client_surb_id_reply_no_match_total",
    "katzenpost_client_surb_id_rotated_total",
    "katzenpost_client_thin_sessions",
    "katzenpost_client_disconnected_sessions",
    "katzenpost_client_arq_reply_lock_wait_seconds",
    "katzenpost_client_cleanup_for_app_id_seconds",
    "katzenpost_client_arq_orphaned_entries",
    "katzenpost_client_goroutines",
    "katzenpost_handshake_failures_total",
    "katzenpost_handshake_duration_seconds",
}


def test_the_references_names_are_all_accounted_for() -> None:
    assert {metric.name for metric in REFERENCE_METRICS} | set(LEFT_OUT) == REFERENCE_NAMES


def test_names_and_meanings_are_in_order() -> None:
    assert len({metric.name for metric in METRICS}) == len(METRICS)
    for metric in METRICS:
        assert metric.name.endswith("_total") == (metric.type is MetricType.COUNTER)
        assert metric.meaning and not metric.meaning.endswith(".")
        assert set(metric.labels) < LABELS


def test_the_page_of_metrics_is_up_to_date() -> None:
    assert PATH.read_text(encoding="utf-8") == page(), f"run: {COMMAND}"
