//! The macros of `flowctl-sdk`; use them through that crate, which documents them
//! with examples.
//!
//! What a processor is made of flows through the modules in this order:
//! `args` (the attribute) and `module` with `config` (what the author wrote) →
//! `packages` and `event` (the WIT of the event types) → `rust_types` (their Rust
//! form) → `world` and `manifest` (what the component says of itself) → `expand`.
//!
//! Invariant: a mistake of the author's ends in one compile error, at the place
//! of the mistake, that says what to write instead.

mod args;
mod codec;
mod config;
mod event;
mod expand;
mod glue;
mod manifest;
mod module;
mod names;
mod packages;
mod rust_types;
mod sets;
mod signature;
mod world;

use proc_macro::TokenStream;

/// Turns a module into a processor; see `flowctl_sdk::processor`.
#[proc_macro_attribute]
pub fn processor(args: TokenStream, item: TokenStream) -> TokenStream {
    finish(expand::processor(args.into(), item.into()))
}

/// Generates the Rust form of event types; see `flowctl_sdk::event_types`.
#[proc_macro]
pub fn event_types(args: TokenStream) -> TokenStream {
    finish(expand::event_types(args.into()))
}

/// The bindings of the contract's imports, for `flowctl-sdk` itself.
#[doc(hidden)]
#[proc_macro]
pub fn __imports(_args: TokenStream) -> TokenStream {
    finish(glue::imports())
}

fn finish(tokens: syn::Result<proc_macro2::TokenStream>) -> TokenStream {
    tokens.unwrap_or_else(syn::Error::into_compile_error).into()
}
