//! Whose identity it is: marks forged, wiped, of others and of former resources.
