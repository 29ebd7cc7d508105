//! Where two structures of one event type contradict each other, in words that favour
//! neither side.
//!
//! Invariant: there is such a place exactly where neither structure can be read as the
//! other (see [`Schema::accepts`]).

use crate::{Field, Schema, Type};

/// The first place where two structures contradict each other, and what each has there.
///
/// What is had reads on from a verb: "`amount` is" `here` "in the one and" `there` "in
/// the other".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The field, such as `items[].price-cents`; `event` for the whole.
    pub path: String,
    /// What the first structure has.
    pub here: String,
    /// What the second one has.
    pub there: String,
}

impl Schema {
    /// The first place, in the order of fields, where this structure contradicts that of
    /// `other`; none where events of one can be read as the other. Both are of one event
    /// type.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Option<Difference> {
        let sides =
            Sides { here_is_later: self.version() > other.version(), there_is_later: other.version() > self.version() };
        let found = sides.types(self.root(), other.root())?;
        let path = found.path.trim_start_matches('.');
        Some(Difference { path: if path.is_empty() { "event".to_owned() } else { path.to_owned() }, ..found })
    }
}

/// Which side may have appended fields.
struct Sides {
    here_is_later: bool,
    there_is_later: bool,
}

impl Sides {
    fn types(&self, here: &Type, there: &Type) -> Option<Difference> {
        match (here, there) {
            (Type::List(here), Type::List(there)) => self.within("[]", here, there),
            (Type::Option(here), Type::Option(there)) => self.types(here, there),
            (Type::Result { ok, err }, Type::Result { ok: other_ok, err: other_err }) => self
                .carried(".ok", ok.as_deref(), other_ok.as_deref())
                .or_else(|| self.carried(".err", err.as_deref(), other_err.as_deref())),
            (Type::Tuple(here), Type::Tuple(there)) if here.len() == there.len() => {
                let mut pairs = here.iter().zip(there.iter()).enumerate();
                pairs.find_map(|(index, (here, there))| self.within(&format!("[{index}]"), here, there))
            }
            (Type::Record(here), Type::Record(there)) => self.fields(&here.fields, &there.fields),
            (Type::Variant(here), Type::Variant(there)) => {
                let names = |variant: &crate::Variant| -> Vec<String> {
                    variant.cases.iter().map(|case| case.name.clone()).collect()
                };
                cases("a variant", &names(here), &names(there)).or_else(|| {
                    let mut pairs = here.cases.iter().zip(&there.cases);
                    pairs.find_map(|(here, there)| {
                        self.carried(&format!(".{}", here.name), here.ty.as_ref(), there.ty.as_ref())
                    })
                })
            }
            (Type::Enum(here), Type::Enum(there)) => {
                let names = |cases: &crate::EnumType| -> Vec<String> {
                    cases.cases.iter().map(|case| case.name.clone()).collect()
                };
                cases("an enum", &names(here), &names(there))
            }
            (here, there) if here.canonical() == there.canonical() => None,
            (here, there) => Some(at("", spelled(here), spelled(there))),
        }
    }

    fn fields(&self, here: &[Field], there: &[Field]) -> Option<Difference> {
        for (index, (left, right)) in here.iter().zip(there).enumerate() {
            let path = format!(".{}", left.name);
            if left.name != right.name {
                let place = |index: usize| format!("field {}", index + 1);
                return Some(match there.iter().position(|field| field.name == left.name) {
                    Some(moved) => at(&path, place(index), place(moved)),
                    None => at(&path, spelled(&left.ty), MISSING.to_owned()),
                });
            }
            if let Some(found) = self.within(&path, &left.ty, &right.ty) {
                return Some(found);
            }
        }
        let common = here.len().min(there.len());
        if let Some(field) = unappended(&here[common..], self.here_is_later) {
            return Some(at(&format!(".{}", field.name), spelled(&field.ty), MISSING.to_owned()));
        }
        let field = unappended(&there[common..], self.there_is_later)?;
        Some(at(&format!(".{}", field.name), MISSING.to_owned(), spelled(&field.ty)))
    }

    fn carried(&self, segment: &str, here: Option<&Type>, there: Option<&Type>) -> Option<Difference> {
        match (here, there) {
            (None, None) => None,
            (Some(here), Some(there)) => self.within(segment, here, there),
            (here, there) => {
                let show = |ty: Option<&Type>| ty.map_or("nothing".to_owned(), spelled);
                Some(at(segment, show(here), show(there)))
            }
        }
    }

    fn within(&self, segment: &str, here: &Type, there: &Type) -> Option<Difference> {
        let found = self.types(here, there)?;
        Some(Difference { path: format!("{segment}{}", found.path), ..found })
    }
}

const MISSING: &str = "missing";

/// Of fields that one side alone has, the one that it may not have appended.
fn unappended(fields: &[Field], is_later: bool) -> Option<&Field> {
    let blamed = fields.iter().find(|field| !field.ty.is_option());
    blamed.or_else(|| fields.first().filter(|_| !is_later))
}

fn cases(what: &str, here: &[String], there: &[String]) -> Option<Difference> {
    let index = (0..here.len().max(there.len())).find(|index| here.get(*index) != there.get(*index))?;
    let has = |cases: &[String]| match cases.get(index) {
        Some(name) => format!("{what} whose case {} is `{name}`", index + 1),
        None => format!("{what} of {} cases", cases.len()),
    };
    Some(at("", has(here), has(there)))
}

fn at(path: &str, here: String, there: String) -> Difference {
    Difference { path: path.to_owned(), here, there }
}

/// The type in words that tell two types of one name apart.
fn spelled(ty: &Type) -> String {
    match ty {
        Type::Record(_) | Type::Variant(_) | Type::Enum(_) => format!("`{} {ty}`", ty.keyword()),
        _ => format!("`{ty}`"),
    }
}
