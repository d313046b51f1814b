"""Every metric: its name, what it means, and where in the daemon's state its value is; docs/metrics.md shows them.

The names that begin with `katzenpost_` are the reference's. Nothing here names an application, a recipient, a box, a
courier or a gateway.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from arq import Distribution, Kind
from kpclientd.gateway.connection import ConnectionState
from kpclientd.status import DaemonStatus
from kpclientd.traffic.schedule import MILLISECONDS, Process

Value = float | Distribution
Labelled = Mapping[tuple[str, ...], Value]


class MetricType(Enum):
    """What Prometheus makes of a metric."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric.

    Attributes:
        name: as it is scraped; a counter's ends with `_total`.
        type: what it is.
        meaning: one sentence, without a full stop.
        read: its value, one for each combination of labels, or None where there is none at present.
        labels: their names.
    """

    name: str
    type: MetricType
    meaning: str
    read: Callable[[DaemonStatus], Value | Labelled | None]
    labels: tuple[str, ...] = ()


ARQ_KINDS: Final = (Kind.RELIABLE.value, Kind.POLLED.value)
_DIRECTION: Final = "outgoing"

_COUNTER, _GAUGE, _HISTOGRAM = MetricType.COUNTER, MetricType.GAUGE, MetricType.HISTOGRAM


def _count(status: DaemonStatus, kinds: Iterable[str]) -> int:
    return sum(sum(status.operations.get(kind, {}).values()) for kind in kinds)


def _sessions(status: DaemonStatus) -> int:
    return len(status.applications) + status.further_applications


def _away(status: DaemonStatus) -> int:
    return status.usage.away_sessions[0]


def _current_age(status: DaemonStatus) -> float | None:
    return next((document.age for document in status.documents if document.is_current), None)


REFERENCE_METRICS: Final = (
    Metric(
        "katzenpost_client_lambdap_fifo_pop_total",
        _COUNTER,
        "ticks of λP that carried a message",
        lambda status: status.traffic.messages,
    ),
    Metric(
        "katzenpost_client_lambdap_decoy_total",
        _COUNTER,
        "ticks of λP that carried a loop decoy",
        lambda status: status.traffic.decoys_p,
    ),
    Metric(
        "katzenpost_client_lambdal_decoy_total",
        _COUNTER,
        "ticks of λL, each a loop decoy's",
        lambda status: status.traffic.decoys_l,
    ),
    Metric(
        "katzenpost_client_send_queue_depth",
        _GAUGE,
        "messages that wait for a slot, of all applications; retransmissions are not counted",
        lambda status: status.waiting - status.resends,
    ),
    Metric(
        "katzenpost_client_arq_inflight",
        _GAUGE,
        "operations that are sent again until they are answered",
        lambda status: _count(status, ARQ_KINDS),
    ),
    Metric(
        "katzenpost_client_gateway_connected",
        _GAUGE,
        "1 while there is a link to a gateway, else 0",
        lambda status: status.link.state is ConnectionState.UP,
    ),
    Metric(
        "katzenpost_client_pki_doc_age_seconds",
        _GAUGE,
        "since the document by which packets are made was verified, at the time of the scrape; absent without document",
        _current_age,
    ),
    Metric(
        "katzenpost_client_arq_round_trip_seconds",
        _HISTOGRAM,
        "from a packet of such an operation to its reply",
        lambda status: status.arq_round_trips,
    ),
    Metric(
        "katzenpost_client_surb_id_created_total",
        _COUNTER,
        "SURBs that left, decoys' too, which the reference does not count",
        lambda status: status.surbs.created,
    ),
    Metric(
        "katzenpost_client_surb_id_garbage_collected_total",
        _COUNTER,
        "SURBs whose reply did not come in time",
        lambda status: status.surbs.collected,
    ),
    Metric(
        "katzenpost_client_surb_id_reply_matched_total",
        _COUNTER,
        "replies that belonged to a SURB, opened or not",
        lambda status: status.surbs.delivered + status.drops["reply that does not decrypt"],
    ),
    Metric(
        "katzenpost_client_surb_id_delivered_total",
        _COUNTER,
        "SURBs whose reply came and was opened",
        lambda status: status.surbs.delivered,
    ),
    Metric(
        "katzenpost_client_surb_id_reply_no_match_total",
        _COUNTER,
        "replies that belonged to no SURB",
        lambda status: status.drops["reply to no SURB that is out"],
    ),
    Metric(
        "katzenpost_client_surb_id_rotated_total",
        _COUNTER,
        "SURBs that a retransmission's took the place of",
        lambda status: status.surbs.rotated,
    ),
    Metric(
        "katzenpost_client_thin_sessions",
        _GAUGE,
        "applications that are connected",
        lambda status: _sessions(status) - _away(status),
    ),
    Metric(
        "katzenpost_client_disconnected_sessions",
        _GAUGE,
        "applications that are away, and whose sessions are kept",
        _away,
    ),
    Metric(
        "katzenpost_client_arq_orphaned_entries",
        _GAUGE,
        "messages of applications that are away, at the time of the scrape",
        lambda status: status.orphaned,
    ),
    Metric(
        "katzenpost_client_goroutines",
        _GAUGE,
        "tasks of the event loop, at the time of the scrape",
        lambda status: status.tasks,
    ),
    Metric(
        "katzenpost_handshake_failures_total",
        _COUNTER,
        "handshakes with gateways that failed, by where they did",
        lambda status: {(_DIRECTION, state): count for state, count in status.link.handshakes.failures.items()},
        ("direction", "state"),
    ),
    Metric(
        "katzenpost_handshake_duration_seconds",
        _HISTOGRAM,
        "handshakes with gateways, from the open stream to the link or the failure",
        lambda status: {
            (_DIRECTION, "success"): status.link.handshakes.succeeded,
            (_DIRECTION, "failure"): status.link.handshakes.failed,
        },
        ("direction", "result"),
    ),
)

OWN_METRICS: Final = (
    Metric("kpclientd_info", _GAUGE, "always 1", lambda status: {(status.versions.kpclientd,): 1}, ("version",)),
    Metric(
        "kpclientd_start_time_seconds", _GAUGE, "when it was started, in Unix seconds", lambda status: status.started_at
    ),
    Metric("kpclientd_epoch", _GAUGE, "the network's present epoch", lambda status: status.epoch),
    Metric("kpclientd_epoch_period_seconds", _GAUGE, "of an epoch", lambda status: status.period),
    Metric(
        "kpclientd_document_epoch",
        _GAUGE,
        "of the document by which packets are made; absent without one, when none are",
        lambda status: status.document_epoch,
    ),
    Metric(
        "kpclientd_document_signatures",
        _GAUGE,
        "authorities that count and have signed it",
        lambda status: next((document.signatures for document in status.documents if document.is_current), None),
    ),
    Metric(
        "kpclientd_clock_skew_seconds",
        _GAUGE,
        "this machine's clock less the gateway's, by the last handshake; absent before one",
        lambda status: status.time.skew,
    ),
    Metric(
        "kpclientd_clock_correction_seconds",
        _GAUGE,
        "taken off this machine's clock",
        lambda status: status.time.correction,
    ),
    Metric("kpclientd_clock_steps_total", _COUNTER, "times the clock was set", lambda status: status.time.steps),
    Metric("kpclientd_sleeps_total", _COUNTER, "times the machine slept", lambda status: status.time.sleeps),
    Metric("kpclientd_links_total", _COUNTER, "links to gateways", lambda status: status.link.links),
    Metric("kpclientd_link_failures_total", _COUNTER, "tries that led to no link", lambda status: status.link.failures),
    Metric(
        "kpclientd_send_rate",
        _GAUGE,
        "packets a second that each process is to send by the present document",
        lambda status: {
            (process.name,): MILLISECONDS / mean
            for process in Process
            if (mean := status.traffic.mean_interval_ms[process.value])
        },
        ("process",),
    ),
    Metric(
        "kpclientd_send_gap_probability",
        _HISTOGRAM,
        "of each gap between two packets, the probability that an exponential one is no longer: these are uniform "
        "where gaps are what they should be",
        lambda status: status.traffic.departures.gaps,
    ),
    Metric(
        "kpclientd_slots_held_total",
        _COUNTER,
        "slots that a message left to a decoy, as the gateway's limiter might have dropped it",
        lambda status: status.traffic.held_for_token,
    ),
    Metric(
        "kpclientd_slots_without_packet_total",
        _COUNTER,
        "slots for which not even a decoy could be made",
        lambda status: status.traffic.slots_without_packet,
    ),
    Metric(
        "kpclientd_packets_put_back_total",
        _COUNTER,
        "packets that were ready and did not leave",
        lambda status: status.traffic.put_back,
    ),
    Metric(
        "kpclientd_operations",
        _GAUGE,
        "operations by what is expected of them and where they are",
        lambda status: {
            (kind, state): count for kind, states in status.operations.items() for state, count in states.items()
        },
        ("kind", "state"),
    ),
    Metric(
        "kpclientd_resends_waiting",
        _GAUGE,
        "retransmissions that wait for a slot",
        lambda status: status.resends,
    ),
    Metric("kpclientd_retransmissions_total", _COUNTER, "packets sent again", lambda status: status.retransmissions),
    Metric(
        "kpclientd_decoys_returned_total", _COUNTER, "loop decoys that came back", lambda status: status.decoys_returned
    ),
    Metric(
        "kpclientd_round_trip_seconds",
        _HISTOGRAM,
        "from a packet to its reply, decoys' too",
        lambda status: status.round_trips,
    ),
    Metric("kpclientd_surbs_out", _GAUGE, "SURBs whose reply may still come", lambda status: status.surbs.out),
    Metric(
        "kpclientd_surbs_failed_total",
        _COUNTER,
        "SURBs whose packet did not leave after all",
        lambda status: status.surbs.failed,
    ),
    Metric(
        "kpclientd_surbs_cancelled_total",
        _COUNTER,
        "SURBs whose reply nobody wants any more",
        lambda status: status.surbs.cancelled,
    ),
    Metric(
        "kpclientd_used",
        _GAUGE,
        "what applications take of each bound",
        lambda status: {(bound,): used for bound, (used, _) in status.usage.entries().items()},
        ("bound",),
    ),
    Metric(
        "kpclientd_bound",
        _GAUGE,
        "each of these bounds, in connections, sessions or bytes",
        lambda status: {(bound,): most for bound, (_, most) in status.usage.entries().items()},
        ("bound",),
    ),
    Metric(
        "kpclientd_drops_total",
        _COUNTER,
        "all that was dropped or turned away, by reason",
        lambda status: {(reason,): count for reason, count in status.drops.items()},
        ("reason",),
    ),
)

METRICS: Final = (*REFERENCE_METRICS, *OWN_METRICS)

LEFT_OUT: Final = {
    "katzenpost_client_arq_reply_lock_wait_seconds": "there is no such lock: one task after the other has the state",
    "katzenpost_client_cleanup_for_app_id_seconds": "a session is removed in one step of the event loop, under no lock",
}
"""The reference's metrics that mean nothing here, and why."""
