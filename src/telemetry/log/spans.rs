//! The layer that receives spans for the export.

use tracing_subscriber::{Layer, Registry};

pub type Spans = Box<dyn Layer<Registry> + Send + Sync>;
