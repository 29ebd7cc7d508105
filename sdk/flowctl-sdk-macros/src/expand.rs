//! Puts the parts together: the author's module, with the types, the
//! implementation of `Processor` and the component's glue added.

use proc_macro2::{Ident, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::ItemMod;
use syn::spanned::Spanned;
use wit_parser::TypeDefKind;

use crate::args::{Args, EventTypes};
use crate::config::{Config, EventEnums};
use crate::event::EventType;
use crate::module::{Module, Work};
use crate::names::type_ident;
use crate::packages::Packages;
use crate::rust_types::{Form, RustTypes};
use crate::sets::Set;
use crate::{glue, manifest, signature, world};

/// `#[flowctl_sdk::processor(…)] mod … { … }`.
pub(crate) fn processor(args: TokenStream, item: TokenStream) -> syn::Result<TokenStream> {
    let args: Args = syn::parse2(args)?;
    let item: ItemMod = syn::parse2(item).map_err(|error| {
        let message = "the attribute stands on a module: `mod my_processor { struct …; impl … }`";
        let mut all = syn::Error::new(proc_macro2::Span::call_site(), message);
        all.combine(error);
        all
    })?;
    let packages = Packages::load(args.wit.as_ref())?;
    let find = |names: &[syn::LitStr]| {
        names.iter().map(|name| EventType::find(&packages, name)).collect::<syn::Result<Vec<_>>>()
    };
    let (inputs, outputs) = (find(&args.input)?, find(&args.output)?);
    let (input, output) = (Set::input(&inputs), Set::output(&outputs));
    let mut module = Module::new(item)?;
    signature::work(&module, &input, &output)?;
    let new = signature::new(&module)?;
    let key = signature::key(&module, &output)?;

    let types = RustTypes { resolve: &packages.resolve };
    let events = distinct(&inputs, &outputs);
    let config = match &new.config {
        Some(name) => Some(Config::read(&mut module.items, name, &event_enums(&types, &events))?),
        None => None,
    };
    let world = world::text(&packages, &input, &output, config.as_ref(), module.has_state, module.has_timer)
        .map_err(|message| syn::Error::new(module.processor.span(), message))?;
    let docs = processor_docs(&module);
    let manifest = manifest::json(&args, &packages, &events, config.as_ref(), &docs, key.is_some());

    let type_modules = types.modules(&events);
    let event_impls = events.iter().filter_map(|event| Some(types.event_impls(event.definition?, &event.name)));
    let is_same = matches!((input.single(), output.single()), (Some(a), Some(b)) if a.package == b.package);
    let mut sets = output.enums(&types);
    sets.extend(input.enums(&types));
    sets.extend(output.emits(&types, key.as_ref()));
    if !is_same {
        sets.extend(input.emits(&types, None));
    }
    sets.extend(output.passthrough(&input, &types, key.as_ref()));
    let implementation = implementation(&module, &new, &input, &output, &types);
    let glue = glue::exports(&module, &world, config.as_ref(), new.config.is_some(), &manifest);
    let rebuild = rebuild(&packages);

    let ItemMod { attrs, vis, unsafety, mod_token, ident, .. } = &module.item;
    let items = &module.items;
    Ok(quote! {
        #(#attrs)* #vis #unsafety #mod_token #ident {
            #[allow(unused_imports)]
            use ::flowctl_sdk::prelude::*;
            #(#items)*
            #type_modules
            #(#event_impls)*
            #sets
            #implementation
            #glue
            #rebuild
        }
    })
}

/// `flowctl_sdk::event_types!(…)`.
pub(crate) fn event_types(args: TokenStream) -> syn::Result<TokenStream> {
    let args: EventTypes = syn::parse2(args)?;
    let packages = Packages::load(args.wit.as_ref())?;
    let events = args.types.iter().map(|name| EventType::find(&packages, name)).collect::<syn::Result<Vec<_>>>()?;
    let types = RustTypes { resolve: &packages.resolve };
    let references: Vec<&EventType> = events.iter().collect();
    let modules = types.modules(&references);
    let impls = events.iter().filter_map(|event| Some(types.event_impls(event.definition?, &event.name)));
    let sets = events.iter().map(|event| {
        let set = Set::output(std::slice::from_ref(event));
        set.emits(&types, None)
    });
    let rebuild = rebuild(&packages);
    Ok(quote!(#modules #(#impls)* #(#sets)* #rebuild))
}

fn implementation(
    module: &Module,
    new: &signature::New,
    input: &Set<'_>,
    output: &Set<'_>,
    types: &RustTypes<'_>,
) -> TokenStream {
    let processor = &module.processor;
    let (input_ty, output_ty) = (input.ty(types), output.ty(types));
    let (inputs, outputs) = (ids(input), ids(output));
    let (config, argument) = match &new.config {
        Some(name) => (name.to_token_stream(), quote!(config)),
        None => (quote!(()), TokenStream::new()),
    };
    let create = if new.is_fallible {
        quote!(#processor::new(#argument).map_err(|error| ::std::string::ToString::to_string(&error)))
    } else {
        quote!(::core::result::Result::Ok(#processor::new(#argument)))
    };
    // An unusable return type is marked where it stands.
    let verdict = |function: &syn::ImplItemFn| {
        let span = match &function.sig.output {
            syn::ReturnType::Type(_, ty) => ty.span(),
            syn::ReturnType::Default => function.sig.ident.span(),
        };
        let answer = Ident::new("answer", span);
        (quote_spanned!(span => ::flowctl_sdk::__private::Verdict::into_result(#answer)), answer)
    };
    let run = match &module.work {
        Work::Each(function) => {
            let (verdict, answer) = verdict(function);
            quote! {
            ::flowctl_sdk::__private::each_event(events, first, out, |event, out| {
                let event = event.decode()?;
                let #answer = #processor::process(self, event, out);
                #verdict
            })
            }
        }
        Work::Batch(function) => {
            let (verdict, answer) = verdict(function);
            quote! {
            ::flowctl_sdk::__private::whole_batch(events, first, out, |out| {
                let #answer = #processor::process_batch(self, &events, out);
                #verdict
            })
            }
        }
    };
    quote! {
        #[allow(clippy::all, clippy::pedantic, unused_variables)]
        impl ::flowctl_sdk::Processor for #processor {
            type Config = #config;
            type Input = #input_ty;
            type Output = #output_ty;
            const INPUTS: &'static [&'static str] = &[#(#inputs),*];
            const OUTPUTS: &'static [&'static str] = &[#(#outputs),*];

            fn create(config: #config) -> ::core::result::Result<Self, ::std::string::String> { #create }

            #[inline]
            fn run<'b>(
                &mut self,
                events: ::flowctl_sdk::Events<'b>,
                first: usize,
                out: &mut ::flowctl_sdk::Emitter<'b, #output_ty>,
            ) -> ::core::result::Result<(), (usize, ::flowctl_sdk::Failure)> { #run }
        }
    }
}

fn ids(set: &Set<'_>) -> Vec<String> {
    set.events.iter().map(EventType::wit_id).collect()
}

/// Each event type once, though it goes in and comes out.
fn distinct<'e>(inputs: &'e [EventType], outputs: &'e [EventType]) -> Vec<&'e EventType> {
    let mut events: Vec<&EventType> = Vec::new();
    for event in inputs.iter().chain(outputs) {
        if !events.iter().any(|known| known.package == event.package) {
            events.push(event);
        }
    }
    events
}

/// The enums of the events, which settings may use.
fn event_enums(types: &RustTypes<'_>, events: &[&EventType]) -> EventEnums {
    let mut enums = EventEnums::new();
    for event in events {
        for (name, id) in &types.resolve.interfaces[event.interface].types {
            if let TypeDefKind::Enum(enumeration) = &types.resolve.types[*id].kind {
                let path = types.path(*id, Form::Owned);
                // From within the glue, which stands in the module too.
                let path: TokenStream = path.to_string().replacen("self", "super", 1).parse().unwrap_or(path);
                let cases: Vec<(Ident, String)> =
                    enumeration.cases.iter().map(|case| (type_ident(&case.name), case.name.clone())).collect();
                enums.push((type_ident(name).to_string(), path, cases));
            }
        }
    }
    enums
}

/// The doc comment of the processor's struct.
fn processor_docs(module: &Module) -> String {
    let found = crate::module::structure(&module.items, &module.processor);
    found.map(|structure| crate::config::docs(&structure.attrs)).unwrap_or_default()
}

/// Makes cargo build again when a WIT file of the author's changes.
fn rebuild(packages: &Packages) -> TokenStream {
    let files = packages.files.iter().map(|path| {
        let path = path.display().to_string();
        quote!(
            const _: &str = ::core::include_str!(#path);
        )
    });
    quote!(#(#files)*)
}
