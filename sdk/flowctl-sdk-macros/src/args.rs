//! The arguments of the attribute: `input`, `output`, `wit`, `metadata`.

use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Ident, LitStr, Token, bracketed, parenthesized};

/// What stands between the parentheses of `#[flowctl_sdk::processor(…)]`.
#[derive(Default)]
pub(crate) struct Args {
    /// Names of event types; one at least.
    pub(crate) input: Vec<LitStr>,
    /// Names of event types; one at least.
    pub(crate) output: Vec<LitStr>,
    /// The folder of the author's own WIT packages, from the crate's folder.
    pub(crate) wit: Option<LitStr>,
    /// Facts for the registry, such as `network`.
    pub(crate) metadata: Vec<(String, LitStr)>,
}

const EXAMPLE: &str = "#[flowctl_sdk::processor(input = \"stellar.ledger.v1\", output = \"example.order.v1\")]";

impl Parse for Args {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let mut args = Self::default();
        while !input.is_empty() {
            let name: Ident = input.parse()?;
            match name.to_string().as_str() {
                "input" => set(&mut args.input, &name, input)?,
                "output" => set(&mut args.output, &name, input)?,
                "wit" => {
                    input.parse::<Token![=]>()?;
                    args.wit = Some(input.parse()?);
                }
                "metadata" => args.metadata.extend(metadata(input)?),
                other => {
                    let message =
                        format!("unknown argument `{other}`: there are `input`, `output`, `wit` and `metadata`");
                    return Err(syn::Error::new(name.span(), message));
                }
            }
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        for (argument, types) in [("input", &args.input), ("output", &args.output)] {
            if types.is_empty() {
                let message = format!("`{argument}` is missing: say which event type it is, as in `{EXAMPLE}`");
                return Err(syn::Error::new(proc_macro2::Span::call_site(), message));
            }
        }
        Ok(args)
    }
}

/// The arguments of `event_types!`.
pub(crate) struct EventTypes {
    pub(crate) types: Vec<LitStr>,
    pub(crate) wit: Option<LitStr>,
}

impl Parse for EventTypes {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let (mut types, mut wit) = (Vec::new(), None);
        while !input.is_empty() {
            if input.peek(LitStr) {
                types.push(input.parse()?);
            } else {
                let name: Ident = input.parse()?;
                if name != "wit" {
                    return Err(syn::Error::new(
                        name.span(),
                        "expected event types, as in `\"example.order.v1\"`, or `wit = \"…\"`",
                    ));
                }
                input.parse::<Token![=]>()?;
                wit = Some(input.parse()?);
            }
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        if types.is_empty() {
            return Err(input.error("expected at least one event type, as in `\"example.order.v1\"`"));
        }
        Ok(Self { types, wit })
    }
}

fn set(types: &mut Vec<LitStr>, name: &Ident, input: ParseStream<'_>) -> syn::Result<()> {
    if !types.is_empty() {
        let message = format!("`{name}` is given twice: write several types as `{name} = [\"a.x.v1\", \"b.y.v1\"]`");
        return Err(syn::Error::new(name.span(), message));
    }
    input.parse::<Token![=]>()?;
    if input.peek(syn::token::Bracket) {
        let list;
        bracketed!(list in input);
        types.extend(Punctuated::<LitStr, Token![,]>::parse_terminated(&list)?);
    } else {
        types.push(input.parse()?);
    }
    for (index, one) in types.iter().enumerate() {
        if types[..index].iter().any(|earlier| earlier.value() == one.value()) {
            return Err(syn::Error::new(one.span(), format!("`{}` is named twice in `{name}`", one.value())));
        }
    }
    Ok(())
}

fn metadata(input: ParseStream<'_>) -> syn::Result<Vec<(String, LitStr)>> {
    let list;
    parenthesized!(list in input);
    let pair = |input: ParseStream<'_>| -> syn::Result<(String, LitStr)> {
        let key: Ident = input.parse()?;
        input.parse::<Token![=]>()?;
        Ok((key.to_string(), input.parse()?))
    };
    Ok(list.parse_terminated(pair, Token![,])?.into_iter().collect())
}
