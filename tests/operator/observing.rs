//! Mode Observe and suspend: looked at, or not even that, and never changed.
