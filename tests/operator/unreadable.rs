//! A resource that doesn't deserialize any more.
