//! The format of log lines, and which are written. The caller decides where they go. [`log_cap`] limits what libraries may log,
//! whatever the filter.

pub mod export;
mod json;
pub mod level;
pub mod spans;

use tracing::Subscriber;
use tracing_subscriber::fmt::format::JsonFields;
use tracing_subscriber::fmt::{self, MakeWriter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{EnvFilter, Layer, registry, reload};

use self::export::Export;
use self::json::Json;
use self::level::Level;
use super::log_cap;

/// The format of lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Text { with_colours: bool },
    Json,
}

/// The subscriber, which writes what `filter` lets through, and the handle to change that filter. `export`: where spans are
/// sent as well.
pub fn subscriber<W>(
    format: Format,
    filter: EnvFilter,
    export: Option<&Export>,
    writer: W,
) -> (impl Subscriber + Send + Sync + use<W>, Level)
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let lines = fmt::layer().with_writer(writer);
    let lines = match format {
        Format::Text { with_colours } => lines.with_ansi(with_colours).boxed(),
        Format::Json => lines.fmt_fields(JsonFields::new()).event_format(Json).boxed(),
    };
    let (filter, handle) = reload::Layer::new(filter);
    let lines = lines.with_filter(filter).boxed();
    let layers: Vec<_> = std::iter::once(lines).chain(export.map(Export::spans)).collect();
    (registry().with(layers).with(log_cap::layer()), Level::new(handle))
}
