//! Which namespaces an instance admits, and where an instance counts.
