//! Log lines as JSON: one flat object per line, with documented names (`docs/logging.md`). Doesn't decide what is logged.

use std::collections::BTreeMap;
use std::fmt;

use serde::ser::{SerializeMap, Serializer};
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{JsonFields, Writer};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormattedFields};
use tracing_subscriber::registry::{LookupSpan, Scope};

/// Fields of every line. Fields of events and spans can't replace them.
const ALWAYS: [&str; 4] = ["timestamp", "level", "target", "message"];

/// Writes an event with its own fields and those of its spans. If a name occurs twice, the inner one counts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Json;

impl<S> FormatEvent<S, JsonFields> for Json
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, JsonFields>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields::default();
        for span in context.event_scope().into_iter().flat_map(Scope::from_root) {
            let extensions = span.extensions();
            let formatted = extensions.get::<FormattedFields<JsonFields>>();
            let of_span = formatted.and_then(|fields| serde_json::from_str::<Map<_, _>>(fields).ok());
            fields.0.extend(of_span.into_iter().flatten());
        }
        event.record(&mut fields);
        let mut timestamp = String::new();
        SystemTime.format_time(&mut Writer::new(&mut timestamp))?;
        let metadata = event.metadata();
        let line = fields.line(&timestamp, metadata.level().as_str(), metadata.target()).map_err(|_| fmt::Error)?;
        writeln!(writer, "{line}")
    }
}

#[derive(Default)]
struct Fields(BTreeMap<String, Value>);

impl Fields {
    fn line(mut self, timestamp: &str, level: &str, target: &str) -> serde_json::Result<String> {
        let message = self.0.remove("message").unwrap_or_default();
        let mut line = Vec::new();
        let mut serializer = serde_json::Serializer::new(&mut line);
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("timestamp", timestamp)?;
        map.serialize_entry("level", level)?;
        map.serialize_entry("target", target)?;
        map.serialize_entry("message", &message)?;
        for (name, value) in self.0.iter().filter(|(name, _)| !ALWAYS.contains(&name.as_str())) {
            map.serialize_entry(name, value)?;
        }
        map.end()?;
        Ok(String::from_utf8_lossy(&line).into_owned())
    }

    fn note(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.note(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.note(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.note(field, value);
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        // Too large for readers that parse numbers as doubles.
        match u64::try_from(value) {
            Ok(value) => self.note(field, value),
            Err(_) => self.note(field, value.to_string()),
        }
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.note(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.note(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.note(field, format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use serde_json::json;
    use tracing_subscriber::EnvFilter;

    use super::super::{Format, subscriber};
    use super::*;
    use crate::base::namespaced_name::NamespacedName;
    use crate::telemetry::trace::{Trace, TraceId};

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// What is logged within a trace, unchanged.
    fn logged(format: Format, filter: &str, log: impl Fn()) -> (String, TraceId) {
        let written = Written::default();
        let writer = written.clone();
        let (subscriber, _) = subscriber(format, EnvFilter::new(filter), None, move || writer.clone());
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let id = tracing::subscriber::with_default(subscriber, || {
            let trace = Trace::of_reconcile("KratosIdentity", &NamespacedName::new("team", "ada"));
            let id = async {
                log();
                TraceId::current().unwrap()
            };
            runtime.block_on(trace.run(id))
        });
        let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        (text, id)
    }

    #[test]
    fn a_line_is_one_flat_object_and_has_its_trace() {
        let (text, id) = logged(Format::Json, "info", || {
            tracing::debug_span!("inner", operation = "get").in_scope(|| tracing::warn!(count = 3, "it\n\"failed\""));
        });
        let mut line: Value = serde_json::from_str(text.strip_suffix('\n').unwrap()).unwrap();
        assert!(line["timestamp"].take().as_str().unwrap().ends_with('Z'));
        let expected = json!({
            "timestamp": null, "level": "WARN", "target": "kratos_operator::telemetry::log::json::tests",
            "message": "it\n\"failed\"", "count": 3, "controller": "kratosidentity", "kind": "KratosIdentity",
            "namespace": "team", "name": "ada", "trace_id": id.to_string(),
        });
        assert_eq!((line, text.lines().count()), (expected, 1));
        assert!(text.starts_with(r#"{"timestamp":""#), "{text}");
    }

    #[test]
    fn inner_fields_count_and_what_each_line_has_is_nobodys() {
        let (text, _) = logged(Format::Json, "trace", || {
            let span = tracing::debug_span!("inner", name = "inner", level = "none", operation = "get");
            span.in_scope(|| tracing::info!(namespace = "other", timestamp = "never", "said"));
        });
        let line: Value = serde_json::from_str(&text).unwrap();
        let expected = [("name", "inner"), ("namespace", "other"), ("level", "INFO"), ("operation", "get")];
        for (name, value) in expected {
            assert_eq!(line[name], value, "{text}");
        }
        assert_ne!(line["timestamp"], "never");
    }

    #[test]
    fn whatever_is_logged_has_its_trace_in_either_format() {
        for filter in ["error", "warn", "kratos_operator=error", "off,kratos_operator=info"] {
            for format in [Format::Text { with_colours: false }, Format::Json] {
                let (text, id) = logged(format, filter, || tracing::error!("it failed"));
                assert!(text.contains(&id.to_string()) && text.contains("it failed"), "{filter}: {text}");
            }
        }
    }
}
