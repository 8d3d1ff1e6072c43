//! The C interface: every exported function, in the header's order.
//!
//! It promises that nothing a C caller can get wrong and that can be detected
//! is undefined behaviour, and that no panic crosses into C. It refuses to
//! know how a table is read: each function checks what it was given, calls one
//! method of the Rust interface and hands the answer over.
//!
//! Two ideas make it short. A handle of any kind has the same layout, a tag
//! word first, so a handle of the wrong kind is safe to look at and is told by
//! its tag ([`handle`]). And every out parameter is written by one function,
//! [`status::produce`], which empties it first, catches panics and fills the
//! caller's error, so no exported function can forget to.
//!
//! The doc comments of the exported items are the header's text, written for
//! a reader who has never seen Rust; `tests/header.rs` keeps the two equal.

// C's names, spelled as C spells them, so that the header needs no renaming
// table and a reader finds a function by searching for the name in the header.
#![allow(non_camel_case_types)]
// The items are public because they are exported to C, not to Rust.
#![allow(unreachable_pub)]

mod arrow_stream;
mod engine;
mod handle;
mod input;
mod layout;
mod look_up;
mod open;
mod predicate;
mod scan;
mod snapshot;
mod status;
mod stream;
mod text;
