//! Many want the same at the same time: how many may at once, whose turn it is, and who is about to come. Knows nothing
//! of what they want, nor of the rest of the operator.

pub mod counts;
pub mod cutoff;
pub mod expected;
pub mod lane;
pub mod leadership;
pub mod limit;
pub mod moment;
pub mod turns;
