//! The `switchback` binary: see the library for everything.

fn main() {}
