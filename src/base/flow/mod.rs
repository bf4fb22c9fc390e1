//! Many want the same at the same time: how many may at once, whose turn it is, and who is about to come. Knows nothing
//! of what they want, nor of the rest of the operator.

pub mod boot_instant;
pub mod counts;
pub mod expected;
pub mod fair_queue;
pub mod fair_semaphore;
pub mod fence;
pub mod leadership;
pub mod permit_queue;
