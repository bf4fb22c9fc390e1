//! How log lines look, and which are written. Where they go is the caller's affair; what libraries may say is bounded by
//! [`log_cap`], whatever is asked for.

mod json;

use tracing::Subscriber;
use tracing_subscriber::fmt::format::JsonFields;
use tracing_subscriber::fmt::{self, MakeWriter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{EnvFilter, Layer, registry};

use self::json::Json;
use crate::log_cap;

/// How lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Text { with_colours: bool },
    Json,
}

/// What takes in all that is logged, and writes what `filter` lets through.
pub fn subscriber<W>(format: Format, filter: EnvFilter, writer: W) -> impl Subscriber + Send + Sync
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let lines = fmt::layer().with_writer(writer);
    let lines = match format {
        Format::Text { with_colours } => lines.with_ansi(with_colours).boxed(),
        Format::Json => lines.fmt_fields(JsonFields::new()).event_format(Json).boxed(),
    };
    registry().with(lines.with_filter(filter)).with(log_cap::layer())
}
