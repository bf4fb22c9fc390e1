//! Answers that are lost, servers that are down: nothing is lost, nothing is doubled.
