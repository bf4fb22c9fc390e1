//! Tests of what an instance decides and remembers.

mod circuit_breakers;
mod consents;
mod counting;
mod listings;
mod managing;
mod messages;
mod protection_kept;
mod protection_properties;
mod protections;
mod protections_by_namespace;
mod protections_kept;
mod release_values;
mod reserving;
mod rules;
mod schemas;
mod settings;
mod statuses;
mod waiting;
