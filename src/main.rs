//! The `kratos-operator` command.

fn main() {}
