//! Bad input, and what it gets: a condition that says what to do.
