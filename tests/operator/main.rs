//! The operator's binary against a real control plane and a real Kratos: what a person who applies manifests sees.
//! Nothing in here reaches into the operator's insides.

#[path = "../testenv/mod.rs"]
mod testenv;

mod asking;
mod many;
mod policing;
mod reading;
mod resources;
mod scene;
mod traces;

mod actions;
mod adoption;
mod attacks;
mod batches;
mod clusters;
mod command_line;
mod consent;
mod corrected;
mod crd_rules;
mod deletion;
mod deletions;
mod documents;
mod failures;
mod fields;
mod grace;
mod guilty;
mod hashing;
mod last_look;
mod lifecycle;
mod links;
mod logging;
mod missing;
mod newer_server;
mod observing;
mod odd_durations;
mod order;
mod outage;
mod ownership;
mod passwords;
mod protection;
mod recovery;
mod refusals;
mod restarts;
mod resyncs;
mod rotations;
mod rules;
mod schema_walks;
mod second_factors;
mod session_action;
mod session_expressions;
mod session_policies;
mod session_reach;
mod session_rules;
mod shards;
mod shutdown;
mod silent_network;
mod tls;
mod too_deep;
mod traits_from;
mod unanswered;
mod unreadable;
mod validity;
mod verified_addresses;
mod visible;
