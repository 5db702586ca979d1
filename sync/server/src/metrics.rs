//! What the server counts, in the text format of Prometheus.
//!
//! Invariant: labels have few values: kinds of calls and statuses, never an id.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Upper bounds of the buckets of answer times, in seconds.
const BUCKETS_S: [f64; 9] = [0.001, 0.0025, 0.01, 0.025, 0.1, 0.25, 1.0, 2.5, 10.0];

/// Counters of one server since its start.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    calls: Mutex<BTreeMap<&'static str, Call>>,
    /// Connections that are open.
    pub(crate) connections: AtomicI64,
    /// Connections that were taken.
    pub(crate) accepted: AtomicU64,
    /// Connections that were closed at once, for want of room.
    pub(crate) turned_away: AtomicU64,
    /// Handshakes that failed or took too long.
    pub(crate) handshakes_failed: AtomicU64,
    /// How often devices refused a server that stood in the place of this one, as they tell it.
    pub(crate) servers_refused: AtomicU64,
    /// Event streams that are open.
    pub(crate) streams: AtomicI64,
}

#[derive(Debug, Default)]
struct Call {
    by_status: BTreeMap<u16, u64>,
    buckets: [u64; BUCKETS_S.len()],
    seconds: f64,
}

impl Metrics {
    /// Counts one answer.
    pub(crate) fn answered(&self, call: &'static str, status: u16, took: Duration) {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        let row = calls.entry(call).or_default();
        *row.by_status.entry(status).or_default() += 1;
        row.seconds += took.as_secs_f64();
        for (bucket, _) in
            row.buckets.iter_mut().zip(BUCKETS_S).filter(|(_, bound)| took.as_secs_f64() <= *bound)
        {
            *bucket += 1;
        }
    }

    /// Everything, as Prometheus reads it.
    pub(crate) fn text(&self) -> String {
        let mut out = String::new();
        let gauges = [
            ("keepwell_connections", "gauge", self.connections.load(Ordering::Relaxed)),
            ("keepwell_event_streams", "gauge", self.streams.load(Ordering::Relaxed)),
            ("keepwell_connections_total", "counter", count(&self.accepted)),
            ("keepwell_connections_turned_away_total", "counter", count(&self.turned_away)),
            ("keepwell_handshakes_failed_total", "counter", count(&self.handshakes_failed)),
            ("keepwell_servers_refused_total", "counter", count(&self.servers_refused)),
        ];
        for (name, kind, value) in gauges {
            line(&mut out, format_args!("# TYPE {name} {kind}\n{name} {value}"));
        }
        let calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        line(&mut out, format_args!("# TYPE keepwell_requests_total counter"));
        for (call, row) in calls.iter() {
            for (status, count) in &row.by_status {
                line(
                    &mut out,
                    format_args!("keepwell_requests_total{{call=\"{call}\",status=\"{status}\"}} {count}"),
                );
            }
        }
        line(&mut out, format_args!("# TYPE keepwell_request_seconds histogram"));
        for (call, row) in calls.iter() {
            for (count, bound) in row.buckets.iter().zip(BUCKETS_S) {
                line(
                    &mut out,
                    format_args!("keepwell_request_seconds_bucket{{call=\"{call}\",le=\"{bound}\"}} {count}"),
                );
            }
            let all: u64 = row.by_status.values().sum();
            line(
                &mut out,
                format_args!("keepwell_request_seconds_bucket{{call=\"{call}\",le=\"+Inf\"}} {all}"),
            );
            line(&mut out, format_args!("keepwell_request_seconds_sum{{call=\"{call}\"}} {}", row.seconds));
            line(&mut out, format_args!("keepwell_request_seconds_count{{call=\"{call}\"}} {all}"));
        }
        out
    }
}

fn count(counter: &AtomicU64) -> i64 {
    i64::try_from(counter.load(Ordering::Relaxed)).unwrap_or(i64::MAX)
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    writeln!(out, "{text}").expect("a string takes any text");
}

/// Something that is there for as long as this is held.
#[derive(Debug)]
pub(crate) struct Present<'m>(&'m AtomicI64);

impl<'m> Present<'m> {
    pub(crate) fn new(gauge: &'m AtomicI64) -> Self {
        gauge.fetch_add(1, Ordering::Relaxed);
        Self(gauge)
    }
}

impl Drop for Present<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_counted_by_call_status_and_time() {
        let metrics = Metrics::default();
        metrics.answered("fhir.read", 200, Duration::from_millis(2));
        metrics.answered("fhir.read", 404, Duration::from_secs(20));
        let text = metrics.text();
        for expected in [
            "keepwell_requests_total{call=\"fhir.read\",status=\"200\"} 1\n",
            "keepwell_request_seconds_bucket{call=\"fhir.read\",le=\"0.001\"} 0\n",
            "keepwell_request_seconds_bucket{call=\"fhir.read\",le=\"0.0025\"} 1\n",
            "keepwell_request_seconds_bucket{call=\"fhir.read\",le=\"+Inf\"} 2\n",
            "keepwell_connections 0\n",
        ] {
            assert!(text.contains(expected), "{expected} is not in\n{text}");
        }
    }
}
