//! The rules of the design that the compiler doesn't know, checked by reading the sources as text: what may import what, who
//! may read the clock, who may print, and that nothing that can happen goes untested.

mod coverage;
mod floors;
mod imports;
mod logged;
mod reads;
mod rules;
mod source;
mod tree;
