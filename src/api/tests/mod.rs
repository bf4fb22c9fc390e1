//! Tests of what resources look like from outside.

mod conditions;
mod requests;
