//! The exports of the component, and their unsafe code: the one place, beside
//! the SDK's own imports, that allows it.

use proc_macro2::{Literal, TokenStream};
use quote::quote;

use crate::config::Config;
use crate::module::Module;
use crate::packages::{CONTRACT, Packages};

/// The module that is compiled for wasm alone.
pub(crate) fn exports(
    module: &Module,
    world: &str,
    config: Option<&Config>,
    takes_config: bool,
    manifest: &str,
) -> TokenStream {
    let processor = &module.processor;
    let (contract, version) = CONTRACT.split_once('@').unwrap_or((CONTRACT, ""));
    let [types, log, metrics] = ["types", "log", "metrics"].map(|name| format!("{contract}/{name}@{version}"));
    let configure = match config {
        Some(config) if !config.is_empty() => {
            let conversions = config.conversions();
            quote! {
                #conversions
                impl exports::config::Guest for Component {
                    fn configure(c: exports::config::Config) -> ::core::result::Result<(), ::std::string::String> {
                        SLOT.with(|slot| private::configure(slot, from_config(c)))
                    }
                }
            }
        }
        _ => TokenStream::new(),
    };
    // Without settings nobody calls `configure`: the instance is made at the first call.
    let default = match config {
        Some(config) if config.is_empty() => {
            let name = &config.records[0].ident;
            quote!(private::start(slot, || super::#name {})?;)
        }
        None if !takes_config => quote!(private::start(slot, || ())?;),
        _ => TokenStream::new(),
    };
    let state = module.has_state.then(|| {
        quote! {
            impl exports::flowctl::processor::state::Guest for Component {
                fn save() -> ::std::vec::Vec<(u32, ::std::vec::Vec<u8>)> { SLOT.with(|slot| private::save(slot)) }
                fn restore(
                    version: ::std::string::String,
                    parts: ::std::vec::Vec<(u32, ::std::vec::Vec<u8>)>,
                ) -> ::core::result::Result<(), ::std::string::String> {
                    SLOT.with(|slot| { #default private::restore(slot, &version, parts) })
                }
            }
        }
    });
    let fault = quote!(::core::result::Result<::flowctl_sdk::contract::Outcome, ::flowctl_sdk::contract::Fault>);
    let into_fault = quote!(.map_err(::flowctl_sdk::contract::Fault::Fatal));
    let default_or_fault = if default.is_empty() {
        TokenStream::new()
    } else {
        quote! {
            (|| -> ::core::result::Result<(), ::std::string::String> { #default ::core::result::Result::Ok(()) })() #into_fault?;
        }
    };
    let timer = module.has_timer.then(|| {
        quote! {
            impl exports::flowctl::processor::timer::Guest for Component {
                fn tick(now: u64) -> #fault { SLOT.with(|slot| { #default_or_fault private::tick(slot, now) }) }
                fn end() -> #fault { SLOT.with(|slot| { #default_or_fault private::end(slot) }) }
            }
        }
    });
    let (bytes, n_bytes) = (Literal::byte_string(manifest.as_bytes()), Literal::usize_unsuffixed(manifest.len()));
    quote! {
        #[cfg(target_arch = "wasm32")]
        #[allow(unsafe_code, missing_docs, dead_code, unused, unreachable_pub, clippy::all, clippy::pedantic, clippy::unwrap_used)]
        mod __component {
            use ::flowctl_sdk::__private as private;

            ::flowctl_sdk::__private::wit_bindgen::generate!({
                world: "plugin",
                inline: #world,
                path: [],
                runtime_path: "::flowctl_sdk::__private::wit_bindgen::rt",
                generate_all,
                with: {
                    #types: ::flowctl_sdk::contract,
                    #log: ::flowctl_sdk::log,
                    #metrics: ::flowctl_sdk::metrics,
                },
            });

            struct Component;

            ::std::thread_local! {
                static SLOT: private::Slot<super::#processor> = const { private::Slot::new(::core::option::Option::None) };
            }

            impl exports::flowctl::processor::handler::Guest for Component {
                fn process(events: ::flowctl_sdk::contract::Batch) -> #fault {
                    SLOT.with(|slot| { #default_or_fault private::process(slot, events) })
                }
            }
            #configure
            #state
            #timer
            export!(Component);

            #[used]
            #[unsafe(link_section = "flowctl:manifest")]
            static MANIFEST: [u8; #n_bytes] = *#bytes;
        }
    }
}

/// The contract's imports, for the SDK itself.
pub(crate) fn imports() -> syn::Result<TokenStream> {
    let packages = Packages::load(None)?;
    let (contract, version) = CONTRACT.split_once('@').unwrap_or((CONTRACT, ""));
    let world = format!(
        "package plugin:imports;\nworld imports {{\n  import {contract}/log@{version};\n  import {contract}/metrics@{version};\n}}\n{}",
        packages.nested([])
    );
    Ok(quote! {
        ::wit_bindgen::generate!({
            world: "imports",
            inline: #world,
            path: [],
            runtime_path: "::wit_bindgen::rt",
            generate_all,
        });
    })
}
