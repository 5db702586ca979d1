//! The log: a JSON object a line, of this program's own events only.
//!
//! Invariants: events of other crates are not written, since nobody here knows what is in them; of a value only
//! numbers, flags and texts are written, never what `Debug` makes of it; a request is named by its kind, never by its
//! path or query.

use std::fmt;
use std::io::Write;
use std::sync::{Mutex, PoisonError};

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use crate::config::LogLevel;

/// What the targets of this program's events begin with.
const OURS: &str = "keepwell";

/// Writes the log of the process to `out` from now on. The first call counts.
pub fn log_to(out: impl Write + Send + 'static, level: LogLevel) {
    // A host that has a subscriber of its own keeps it.
    let _ = tracing::subscriber::set_global_default(JsonLines::new(out, level));
}

/// A subscriber that writes events as lines of JSON.
pub(crate) struct JsonLines<W> {
    out: Mutex<W>,
    level: LevelFilter,
}

impl<W: Write> JsonLines<W> {
    pub(crate) fn new(out: W, level: LogLevel) -> Self {
        let level = match level {
            LogLevel::Error => LevelFilter::ERROR,
            LogLevel::Warn => LevelFilter::WARN,
            LogLevel::Info => LevelFilter::INFO,
            LogLevel::Debug => LevelFilter::DEBUG,
        };
        Self { out: Mutex::new(out), level }
    }
}

impl<W: Write + Send + 'static> Subscriber for JsonLines<W> {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && *metadata.level() <= self.level && metadata.target().starts_with(OURS)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.level)
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(Map::new());
        line.put("time", jiff::Timestamp::now().to_string());
        line.put("level", event.metadata().level().as_str());
        event.record(&mut line);
        let text = Value::Object(line.0).to_string();
        // Nothing can be done for a log that cannot be written.
        let _ = writeln!(self.out.lock().unwrap_or_else(PoisonError::into_inner), "{text}");
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

struct Line(Map<String, Value>);

impl Line {
    fn put(&mut self, name: &str, value: impl Into<Value>) {
        self.0.insert(name.to_owned(), value.into());
    }
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field.name(), value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field.name(), value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field.name(), value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field.name(), value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // The text of an event comes this way; ours are fixed sentences.
        if field.name() == "message" {
            self.put("event", format!("{value:?}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("nobody panics").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn only_our_events_are_written_and_no_debug_values() {
        let out = Shared::default();
        tracing::subscriber::with_default(JsonLines::new(out.clone(), LogLevel::Info), || {
            tracing::info!(call = "fhir.read", status = 200_u64, secret = ?"Ada Example", "request");
            tracing::debug!("too quiet");
            tracing::info!(target: "hyper::proto", "somebody else's: Ada Example");
        });
        let written = String::from_utf8(out.0.lock().expect("nobody panics").clone()).expect("text");
        let line: Value = serde_json::from_str(written.trim_end()).expect("one line of JSON");
        assert_eq!(
            (&line["event"], &line["call"], &line["status"]),
            (&"request".into(), &"fhir.read".into(), &200.into())
        );
        assert!(!written.contains("Ada"), "{written}");
    }
}
