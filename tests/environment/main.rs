//! Tests of what the other tests stand on: the environment starts, ends, counts and breaks things as it says.
//! Nothing of the operator is tested here.

#[path = "../testenv/mod.rs"]
mod testenv;

mod control_plane;
mod processes;
mod proxy;
