//! Components in processes of their own.
fn main() {}
