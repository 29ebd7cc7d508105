//! What the author wrote: the module's parts, found by their names.

use syn::{Ident, ImplItem, ImplItemFn, Item, ItemImpl, ItemMod, ItemStruct, Type};

/// The module that the attribute stands on, taken apart.
pub(crate) struct Module {
    pub(crate) item: ItemMod,
    pub(crate) items: Vec<Item>,
    /// The processor's struct.
    pub(crate) processor: Ident,
    pub(crate) new: ImplItemFn,
    pub(crate) work: Work,
    pub(crate) key: Option<ImplItemFn>,
    /// The `impl State for …`, where there is one.
    pub(crate) has_state: bool,
    /// The `impl Timer for …`, where there is one.
    pub(crate) has_timer: bool,
}

/// The function that takes events.
pub(crate) enum Work {
    Each(ImplItemFn),
    Batch(ImplItemFn),
}

const SHAPE: &str = "a processor is a struct with\n\
    impl MyProcessor {\n    \
        fn new(config: Config) -> Result<Self, String> { … }\n    \
        fn process(&mut self, event: Order, out: &mut Emitter<Order>) -> Result<(), Reject> { … }\n\
    }";

impl Module {
    /// Finds the parts.
    pub(crate) fn new(mut item: ItemMod) -> syn::Result<Self> {
        let Some((_, items)) = item.content.take() else {
            let message = "the attribute needs the module's contents: write `mod name { … }` here, not `mod name;`";
            return Err(syn::Error::new_spanned(&item, message));
        };
        let mut found: Vec<(Ident, &ImplItemFn)> = Vec::new();
        for implementation in inherent(&items) {
            for function in functions(implementation) {
                if function.sig.ident == "process" || function.sig.ident == "process_batch" {
                    found.push((self_ident(implementation)?, function));
                }
            }
        }
        let (processor, function) = match found.as_slice() {
            [] => return Err(syn::Error::new(item.ident.span(), format!("no `fn process` in this module: {SHAPE}"))),
            [one] => one,
            [(first, _), (second, function), ..] if first == second => {
                let message = format!("`{first}` has both `process` and `process_batch`: keep one of them");
                return Err(syn::Error::new(function.sig.ident.span(), message));
            }
            [(first, _), (second, function), ..] => {
                let message = format!(
                    "`{first}` and `{second}` are both processors: a component holds one, move the other to a crate of its own"
                );
                return Err(syn::Error::new(function.sig.ident.span(), message));
            }
        };
        if structure(&items, processor).is_none()
            && !items.iter().any(|i| matches!(i, Item::Enum(e) if e.ident == *processor))
        {
            let message = format!("the struct `{processor}` is not in this module: move it here");
            return Err(syn::Error::new(processor.span(), message));
        }
        let of_processor = |name: &str| {
            let own = inherent(&items).filter(|i| self_ident(i).is_ok_and(|ident| ident == *processor));
            own.flat_map(functions).find(|function| function.sig.ident == name).cloned()
        };
        let new = of_processor("new").ok_or_else(|| {
            let message = format!("`{processor}` has no `fn new`: {SHAPE}\nwithout settings, `fn new() -> Self`");
            syn::Error::new(processor.span(), message)
        })?;
        let work = match function.sig.ident == "process" {
            true => Work::Each((*function).clone()),
            false => Work::Batch((*function).clone()),
        };
        let (processor, key) = (processor.clone(), of_processor("key"));
        let has_trait = |name: &str| {
            items.iter().any(|item| match item {
                Item::Impl(i) => {
                    let is_named = i
                        .trait_
                        .as_ref()
                        .and_then(|(_, path, _)| path.segments.last())
                        .is_some_and(|s| s.ident == name);
                    is_named && self_ident(i).is_ok_and(|ident| ident == processor)
                }
                _ => false,
            })
        };
        let (has_state, has_timer) = (has_trait("State"), has_trait("Timer"));
        let mut items = items;
        allow_by_value(&mut items);
        Ok(Self { item, items, processor, new, work, key, has_state, has_timer })
    }
}

/// The struct of that name.
pub(crate) fn structure<'i>(items: &'i [Item], name: &Ident) -> Option<&'i ItemStruct> {
    items.iter().find_map(|item| match item {
        Item::Struct(structure) if structure.ident == *name => Some(structure),
        _ => None,
    })
}

/// Their signatures are given, so that a lint against them would be of no use.
fn allow_by_value(items: &mut [Item]) {
    for item in items {
        let Item::Impl(implementation) = item else {
            continue;
        };
        for part in &mut implementation.items {
            if let ImplItem::Fn(function) = part
                && ["new", "process"].iter().any(|name| function.sig.ident == name)
            {
                let allow = syn::parse_quote!(#[allow(clippy::needless_pass_by_value, clippy::unnecessary_wraps)]);
                function.attrs.push(allow);
            }
        }
    }
}

fn inherent(items: &[Item]) -> impl Iterator<Item = &ItemImpl> {
    items.iter().filter_map(|item| match item {
        Item::Impl(implementation) if implementation.trait_.is_none() => Some(implementation),
        _ => None,
    })
}

fn functions(implementation: &ItemImpl) -> impl Iterator<Item = &ImplItemFn> {
    implementation.items.iter().filter_map(|item| match item {
        ImplItem::Fn(function) => Some(function),
        _ => None,
    })
}

fn self_ident(implementation: &ItemImpl) -> syn::Result<Ident> {
    let error = || {
        syn::Error::new_spanned(&implementation.self_ty, "a processor is a struct without type or lifetime parameters")
    };
    let Type::Path(path) = &*implementation.self_ty else { return Err(error()) };
    match path.path.segments.last() {
        Some(segment) if segment.arguments.is_none() => Ok(segment.ident.clone()),
        _ => Err(error()),
    }
}
