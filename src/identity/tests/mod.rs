//! Tests of the pure steps from manifest to status, and of what fails on the way.

pub mod builders;

mod actions;
mod addresses;
mod adoption_limits;
mod adoptions;
mod asking;
mod births;
mod claims;
mod credentials;
mod deletions;
mod desires;
mod digests;
mod events;
mod facts;
mod judgements;
mod mark_properties;
mod marks;
mod merging;
mod merging_properties;
mod messages;
mod opaques;
mod outside;
mod passwords;
mod persons;
mod plans;
mod plans_again;
mod ready_messages;
mod recoveries;
mod schemas;
mod secrets;
mod statuses;
mod suspensions;
mod traits_from;
mod validities;
mod watching;
