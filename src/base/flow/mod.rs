//! Many want the same thing at the same time: how many may have it, whose turn it is, and who will come soon. Knows nothing of
//! what they want, nor of the rest of the operator.

pub mod boot_instant;
pub mod counts;
pub mod expected;
pub mod fair_queue;
pub mod fair_semaphore;
pub mod fence;
pub mod leadership;
pub mod permit_queue;
