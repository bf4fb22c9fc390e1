//! Tests of the resources as clients see them.

mod conditions;
mod requests;
