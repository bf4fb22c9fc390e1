//! The custom resource definitions: what is checked in, what they say of themselves, and what they let through.
//! No server is needed; the same rules are put to a real one among the operator's tests.

mod files;
mod rbac;
mod rules;
mod validation;
mod words;
