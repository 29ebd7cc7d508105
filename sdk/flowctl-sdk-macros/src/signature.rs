//! Checks the author's functions against what the generated code will call, so
//! that a mistake is named where it stands.

use quote::ToTokens;
use syn::{FnArg, GenericArgument, Ident, ImplItemFn, PathArguments, ReturnType, Type};

use crate::module::{Module, Work};
use crate::rust_types::Form;
use crate::sets::{Key, Set};

/// What `new` is.
pub(crate) struct New {
    /// The type of its one argument.
    pub(crate) config: Option<Ident>,
    /// Whether it returns a `Result`.
    pub(crate) is_fallible: bool,
}

/// Checks `process` or `process_batch`.
pub(crate) fn work(module: &Module, input: &Set<'_>, output: &Set<'_>) -> syn::Result<()> {
    let (event, out) = (input.owned_name(), output.owned_name());
    let (function, shape) = match &module.work {
        Work::Each(function) => {
            (function, format!("fn process(&mut self, event: {event}, out: &mut Emitter<{out}>) -> Result<(), Reject>"))
        }
        Work::Batch(function) => (
            function,
            format!(
                "fn process_batch(&mut self, events: &Events<'_>, out: &mut Emitter<{out}>) -> Result<(), Failure>"
            ),
        ),
    };
    let error =
        |tokens: &dyn ToTokens, what: String| syn::Error::new_spanned(tokens, format!("{what}\nexpected `{shape}`"));
    plain(function).map_err(|what| error(&function.sig, what))?;
    let mut arguments = function.sig.inputs.iter();
    match arguments.next() {
        Some(FnArg::Receiver(receiver)) if receiver.reference.is_some() && receiver.mutability.is_some() => {}
        Some(other) => return Err(error(other, format!("`{}` takes `&mut self` first", function.sig.ident))),
        None => return Err(error(&function.sig, format!("`{}` takes `&mut self` first", function.sig.ident))),
    }
    let (Some(FnArg::Typed(first)), Some(FnArg::Typed(second)), None) =
        (arguments.next(), arguments.next(), arguments.next())
    else {
        return Err(error(&function.sig, format!("`{}` takes two arguments after `&mut self`", function.sig.ident)));
    };
    match &module.work {
        Work::Each(_) => {
            if event_form(&first.ty, input).is_none() {
                let names = input.events.iter().map(|event| event.name.as_str()).collect::<Vec<_>>();
                let what = format!(
                    "the input is {}: take {}",
                    crate::names::listed(&names).replace(" or ", " and "),
                    forms(input)
                );
                return Err(error(&first.ty, what));
            }
        }
        Work::Batch(_) => {
            if !matches!(&*first.ty, Type::Reference(r) if last_ident(&r.elem).is_some_and(|i| i == "Events")) {
                return Err(error(&first.ty, "`process_batch` takes the events as `&Events<'_>`".to_owned()));
            }
        }
    }
    let emitted = match &*second.ty {
        Type::Reference(reference) if reference.mutability.is_some() => emitter_argument(&reference.elem),
        _ => None,
    };
    let is_output = emitted.as_ref().is_some_and(|ty| {
        let is_bytes = output.single().is_some_and(|event| event.is_opaque()) && is_byte_vec(ty);
        is_bytes || last_ident(ty).is_some_and(|ident| ident == out)
    });
    if is_output { Ok(()) } else { Err(error(&second.ty, format!("the output goes to `&mut Emitter<{out}>`"))) }
}

/// Checks `new`.
pub(crate) fn new(module: &Module) -> syn::Result<New> {
    let function = &module.new;
    let shape = "fn new(config: Config) -> Result<Self, String>";
    let error = |tokens: &dyn ToTokens, what: &str| {
        syn::Error::new_spanned(tokens, format!("{what}\nexpected `{shape}`, or `fn new() -> Self`"))
    };
    plain(function).map_err(|what| error(&function.sig, &what))?;
    let config = match function.sig.inputs.iter().collect::<Vec<_>>().as_slice() {
        [] => None,
        [FnArg::Typed(argument)] => match (&*argument.ty, last_ident(&argument.ty)) {
            (Type::Path(_), Some(ident)) => Some(ident),
            (ty, _) => return Err(error(ty, "`new` takes its settings by value")),
        },
        _ => return Err(error(&function.sig.inputs, "`new` takes its settings and nothing else")),
    };
    let returned = match &function.sig.output {
        ReturnType::Type(_, ty) => last_ident(ty),
        ReturnType::Default => None,
    };
    match returned {
        Some(ident) if ident == "Result" => Ok(New { config, is_fallible: true }),
        Some(ident) if ident == "Self" || ident == module.processor => Ok(New { config, is_fallible: false }),
        _ => Err(error(&function.sig, "`new` returns the processor")),
    }
}

/// Checks `key`, where there is one.
pub(crate) fn key(module: &Module, output: &Set<'_>) -> syn::Result<Option<Key>> {
    let Some(function) = &module.key else { return Ok(None) };
    let event = match output.single() {
        Some(event) if !event.is_opaque() => event,
        _ => {
            let message = "`key` needs one output type that is not opaque; here, set the key with `out.emit(…).key(…)`";
            return Err(syn::Error::new(function.sig.ident.span(), message));
        }
    };
    let name = output.owned_name();
    let error = |tokens: &dyn ToTokens, what: &str| {
        syn::Error::new_spanned(
            tokens,
            format!("{what}\nexpected `fn key(event: &{name}) -> String`, or another `AsRef<[u8]>`"),
        )
    };
    plain(function).map_err(|what| error(&function.sig, &what))?;
    let [FnArg::Typed(argument)] = function.sig.inputs.iter().collect::<Vec<_>>()[..] else {
        return Err(error(&function.sig, "`key` takes the event that came out, and no `self`"));
    };
    let form = match &*argument.ty {
        Type::Reference(reference) => event_form(&reference.elem, output),
        _ => None,
    };
    match form {
        Some(form) => Ok(Some(Key { processor: module.processor.clone(), form })),
        None => Err(error(&argument.ty, &format!("`key` takes the event that came out, of `{}`", event.name))),
    }
}

/// Which form of the set's events a type is.
fn event_form(ty: &Type, set: &Set<'_>) -> Option<Form> {
    if set.single().is_some_and(|event| event.is_opaque()) {
        if is_byte_vec(ty) {
            return Some(Form::Owned);
        }
        if matches!(ty, Type::Reference(r) if r.mutability.is_none() && matches!(&*r.elem, Type::Slice(s) if is_u8(&s.elem)))
        {
            return Some(Form::Borrowed);
        }
    }
    let ident = last_ident(ty)?;
    if ident == set.owned_name() {
        Some(Form::Owned)
    } else if ident == set.borrowed_name() {
        Some(Form::Borrowed)
    } else {
        None
    }
}

fn forms(set: &Set<'_>) -> String {
    match set.single() {
        Some(event) if event.is_opaque() => "`&[u8]` (borrowed) or `Vec<u8>` (owned)".to_owned(),
        _ => format!("`{}` (owned) or `{}<'_>` (borrowed)", set.owned_name(), set.borrowed_name()),
    }
}

/// Neither async, unsafe, nor generic over types.
fn plain(function: &ImplItemFn) -> Result<(), String> {
    let name = &function.sig.ident;
    if function.sig.asyncness.is_some() {
        return Err(format!("`{name}` cannot be async: a component is called and answers"));
    }
    if function.sig.generics.type_params().next().is_some() {
        return Err(format!("`{name}` cannot have type parameters"));
    }
    Ok(())
}

/// The `T` of `Emitter<T>` or `Emitter<'_, T>`.
fn emitter_argument(ty: &Type) -> Option<Type> {
    let Type::Path(path) = ty else { return None };
    let segment = path.path.segments.last().filter(|segment| segment.ident == "Emitter")?;
    let PathArguments::AngleBracketed(arguments) = &segment.arguments else { return None };
    arguments.args.iter().find_map(|argument| match argument {
        GenericArgument::Type(ty) => Some(ty.clone()),
        _ => None,
    })
}

fn last_ident(ty: &Type) -> Option<Ident> {
    match ty {
        Type::Path(path) => path.path.segments.last().map(|segment| segment.ident.clone()),
        _ => None,
    }
}

fn is_byte_vec(ty: &Type) -> bool {
    let Type::Path(path) = ty else { return false };
    let Some(segment) = path.path.segments.last().filter(|segment| segment.ident == "Vec") else { return false };
    matches!(&segment.arguments, PathArguments::AngleBracketed(a)
        if matches!(a.args.first(), Some(GenericArgument::Type(ty)) if is_u8(ty)))
}

fn is_u8(ty: &Type) -> bool {
    last_ident(ty).is_some_and(|ident| ident == "u8")
}
