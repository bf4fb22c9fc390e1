//! Each field of a `KratosIdentity`, changed and taken away.
