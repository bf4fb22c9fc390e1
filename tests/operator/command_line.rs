//! The command line of the binary itself: exit codes and what it prints.
