//! The documentation as it stands in the repository: nothing in it is stale, leads nowhere, or is left out. Starts no server:
//! what its manifests and commands do is shown by the operator's tests.

mod inside;
mod links;
mod pages;
mod reference;
mod repository;
