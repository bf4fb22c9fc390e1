//! What the controllers of all kinds stand on: what was seen, who is asked for a reconcile, which rights lack, who
//! admits whom.

pub mod access;
pub mod admission;
pub mod informers;
pub mod neighbours;
pub mod options;
pub mod policy_runs;
pub mod policy_triggers;
pub mod priority;
pub mod reclaim;
pub mod recording;
pub mod references;
pub mod replaces_index;
pub mod replaces_lister;
pub mod unreadable;
pub mod work_queues;
