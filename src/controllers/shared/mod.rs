//! What the controllers of all kinds stand on: what was seen, who is asked for a look, which rights lack, who admits whom.

pub mod access;
pub mod admission;
pub mod neighbours;
pub mod options;
pub mod pokes;
pub mod policy_pokes;
pub mod policy_runs;
pub mod reclaim;
pub mod recording;
pub mod references;
pub mod replacing;
pub mod seen;
pub mod successors;
pub mod urgency;
