//! What takes in spans to be exported.

use tracing_subscriber::{Layer, Registry};

pub type Spans = Box<dyn Layer<Registry> + Send + Sync>;
