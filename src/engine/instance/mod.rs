//! The engine of `KratosInstance`: what is ours there is read, again and again.

pub mod by_ids;
pub mod grace_periods;
pub mod scan;
pub mod schemas;
pub mod shown;
pub mod surroundings;
