//! How the SDK names event types in Rust, and values of them as Rust and as JSON.
//!
//! Invariant: what is written compiles beside what the SDK's macro generates of the same
//! type, and a value's two forms say the same.

use std::collections::BTreeSet;

use flowctl_schema::{Schema, Type};

/// Words that Rust keeps for itself.
const KEYWORDS: &str = "abstract as async await become box break const continue crate do dyn else enum extern false \
                        final fn for gen if impl in let loop macro match mod move mut override priv pub ref return \
                        self static struct super trait true try type typeof unsafe unsized use virtual where while \
                        yield";

/// An event type, as the module of a processor sees it.
pub(super) struct RustForm<'a> {
    schema: &'a Schema,
    /// What stands before the names of its types.
    prefix: String,
}

/// Which value is meant.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Flavour {
    /// One that can be told apart from others: texts are the name of their field.
    Sample,
    /// One that says nothing.
    Blank,
}

impl<'a> RustForm<'a> {
    /// The type by its short names.
    pub(super) fn short(schema: &'a Schema) -> Self {
        Self { schema, prefix: String::new() }
    }

    /// The type by names that say its package, for where short ones are of two types.
    /// `others` are the types that may have packages of the same name.
    pub(super) fn qualified(schema: &'a Schema, others: &[Schema]) -> Self {
        let package = schema.event_type().package();
        let versions: BTreeSet<String> = (others.iter().chain([schema]))
            .filter(|other| other.event_type().package() == package)
            .map(|other| other.version().to_string())
            .collect();
        let mut module = format!("{}_{}", package.0, package.1.replace('-', "_"));
        if versions.len() > 1 {
            let version = schema.version();
            module.push_str(&format!("_v{}_{}_{}", version.major, version.minor, version.patch));
        }
        Self { schema, prefix: format!("events::{}::", value_name(&module)) }
    }

    /// The owned form of a whole event.
    pub(super) fn owned(&self) -> String {
        match self.root_name() {
            None => "Vec<u8>".to_owned(),
            Some(name) => format!("{}{}", self.prefix, type_name(&name)),
        }
    }

    /// A good name for a variable that holds an event.
    pub(super) fn variable(&self) -> String {
        match self.root_name().map(|name| value_name(&name.replace('-', "_"))) {
            Some(name) if name != "out" => name,
            _ => "event".to_owned(),
        }
    }

    /// The names of all types that the macro generates for it, short.
    pub(super) fn names(&self) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        collect(self.schema.root(), &mut names);
        names.extend(self.root_name());
        let owned: Vec<String> = names.iter().map(|name| type_name(name)).collect();
        owned.iter().map(|name| format!("{name}Ref")).chain(owned.clone()).collect()
    }

    /// A value of a whole event. `field` gives that of a field of a record, where it is
    /// another than `flavour` says. Lines of a record are indented by `indent`.
    pub(super) fn event(&self, flavour: Flavour, indent: &str, field: impl Fn(&str) -> Option<String>) -> String {
        match self.schema.root() {
            Type::Bytes => format!("b\"{}\".to_vec()", if flavour == Flavour::Sample { "sample" } else { "" }),
            Type::Record(record) => {
                let mut text = format!("{} {{\n", self.owned());
                for own in &record.fields {
                    let name = value_name(&own.snake_name);
                    let value = field(&own.name).unwrap_or_else(|| self.value(&own.ty, &own.snake_name, flavour));
                    text.push_str(&format!("{indent}    {name}: {value},\n"));
                }
                text.push_str(&format!("{indent}}}"));
                text
            }
            root => self.value(root, "", flavour),
        }
    }

    /// A value of a type within the event, at the field `name`.
    pub(super) fn value(&self, ty: &Type, name: &str, flavour: Flavour) -> String {
        let is_sample = flavour == Flavour::Sample;
        match ty {
            Type::Bool => is_sample.to_string(),
            Type::F32 | Type::F64 => format!("{}.0", u8::from(is_sample)),
            Type::Char => "'a'".to_owned(),
            Type::String if is_sample && !name.is_empty() => format!("\"{name}\".to_owned()"),
            Type::String => "String::new()".to_owned(),
            Type::Bytes | Type::List(_) => "Vec::new()".to_owned(),
            Type::Option(_) => "None".to_owned(),
            Type::Result { ok, err: _ } => {
                let carried = ok.as_ref().map_or_else(|| "()".to_owned(), |ty| self.value(ty, name, flavour));
                format!("Ok({carried})")
            }
            Type::Tuple(types) => {
                let values: Vec<String> = types.iter().map(|ty| self.value(ty, name, flavour)).collect();
                format!("({}{})", values.join(", "), if values.len() == 1 { "," } else { "" })
            }
            Type::Record(record) => {
                let field = |field: &flowctl_schema::Field| {
                    let value = self.value(&field.ty, &field.snake_name, flavour);
                    format!("{}: {value}", value_name(&field.snake_name))
                };
                let fields: Vec<String> = record.fields.iter().map(field).collect();
                format!("{} {{ {} }}", self.path(&record.name), fields.join(", "))
            }
            Type::Variant(variant) => {
                let carried = variant.cases[0].ty.as_ref().map(|ty| format!("({})", self.value(ty, name, flavour)));
                let case = type_name(&variant.cases[0].name);
                format!("{}::{case}{}", self.path(&variant.name), carried.unwrap_or_default())
            }
            Type::Enum(an_enum) => {
                format!("{}::{}", self.path(&an_enum.name), type_name(&an_enum.cases[0].name))
            }
            _ => u8::from(is_sample).to_string(),
        }
    }

    /// A named type of the event, by its name in WIT.
    fn path(&self, name: &str) -> String {
        let is_root = self.schema.root().name() == Some(name);
        let root = self.root_name().filter(|_| is_root);
        format!("{}{}", self.prefix, type_name(root.as_deref().unwrap_or(name)))
    }

    /// What the event's own type is called, in WIT's form: one that is called `event` has
    /// the name of its package.
    fn root_name(&self) -> Option<String> {
        let name = self.schema.root().name()?;
        if name != "event" {
            return Some(name.to_owned());
        }
        let (_, package) = self.schema.event_type().package();
        let mut names = BTreeSet::new();
        collect(self.schema.root(), &mut names);
        Some(if names.contains(&package) { format!("{package}-event") } else { package })
    }
}

/// Whether a value of one type is one of the other as it stands: types that Rust has itself.
pub(super) fn is_shared(a: &Type, b: &Type) -> bool {
    let mut names = BTreeSet::new();
    collect(a, &mut names);
    names.is_empty() && a == b
}

/// The JSON form of a value; `field` as for [`RustForm::event`].
pub(super) fn json(schema: &Schema, flavour: Flavour, field: impl Fn(&str) -> Option<String>) -> String {
    match schema.root() {
        Type::Bytes if flavour == Flavour::Sample => "\"c2FtcGxl\"".to_owned(),
        Type::Record(record) => {
            let fields = record.fields.iter().map(|own| {
                let value = field(&own.name).unwrap_or_else(|| json_value(&own.ty, &own.snake_name, flavour));
                format!("{:?}:{value}", own.snake_name)
            });
            format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
        }
        root => json_value(root, "", flavour),
    }
}

/// The JSON form of what `RustForm` has as Rust.
pub(super) fn json_value(ty: &Type, name: &str, flavour: Flavour) -> String {
    let is_sample = flavour == Flavour::Sample;
    match ty {
        Type::Bool => is_sample.to_string(),
        Type::F32 | Type::F64 => format!("{}.0", u8::from(is_sample)),
        Type::Char => "\"a\"".to_owned(),
        Type::String if is_sample => format!("{name:?}"),
        Type::String | Type::Bytes => "\"\"".to_owned(),
        Type::List(_) => "[]".to_owned(),
        Type::Option(_) => "null".to_owned(),
        Type::Result { ok: None, .. } => "{\"ok\":null}".to_owned(),
        Type::Result { ok: Some(ok), .. } => format!("{{\"ok\":{}}}", json_value(ok, name, flavour)),
        Type::Tuple(types) => {
            let values: Vec<String> = types.iter().map(|ty| json_value(ty, name, flavour)).collect();
            format!("[{}]", values.join(","))
        }
        Type::Record(record) => {
            let fields = record.fields.iter();
            let fields = fields
                .map(|field| format!("{:?}:{}", field.snake_name, json_value(&field.ty, &field.snake_name, flavour)));
            format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
        }
        Type::Variant(variant) => match &variant.cases[0].ty {
            None => format!("{:?}", variant.cases[0].snake_name),
            Some(ty) => format!("{{{:?}:{}}}", variant.cases[0].snake_name, json_value(ty, name, flavour)),
        },
        Type::Enum(an_enum) => format!("{:?}", an_enum.cases[0].snake_name),
        _ => u8::from(is_sample).to_string(),
    }
}

/// The Rust name of a type or case: `token-transfer` is `TokenTransfer`.
pub(super) fn type_name(wit: &str) -> String {
    let word = |word: &str| {
        let (first, rest) = word.split_at(word.chars().next().map_or(0, char::len_utf8));
        first.to_uppercase() + &rest.to_lowercase()
    };
    let name: String = wit.split('-').map(word).collect();
    if name == "Self" { "Self_".to_owned() } else { name }
}

/// The Rust name of a field, a variable or a module.
pub(super) fn value_name(snake: &str) -> String {
    if is_keyword(snake) { format!("{snake}_") } else { snake.to_owned() }
}

/// Whether Rust has a meaning for a word.
pub(super) fn is_keyword(word: &str) -> bool {
    KEYWORDS.split_ascii_whitespace().any(|keyword| keyword == word)
}

/// The names in WIT of the types that a type is made of.
fn collect(ty: &Type, names: &mut BTreeSet<String>) {
    names.extend(ty.name().map(ToOwned::to_owned));
    match ty {
        Type::List(inner) | Type::Option(inner) => collect(inner, names),
        Type::Result { ok, err } => ok.iter().chain(err).for_each(|ty| collect(ty, names)),
        Type::Tuple(types) => types.iter().for_each(|ty| collect(ty, names)),
        Type::Record(record) => record.fields.iter().for_each(|field| collect(&field.ty, names)),
        Type::Variant(variant) => {
            variant.cases.iter().filter_map(|case| case.ty.as_ref()).for_each(|ty| collect(ty, names));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIT: &str = "package test:things@1.0.0; interface event {
        enum colour { dark-red, green }
        variant choice { number(u64), none }
        record part { colour: colour, %type: string }
        record thing { id: string, n: s64, f: f32, c: char, part: part, choice: choice, maybe: option<part>,
                       many: list<part>, both: tuple<u8, bool>, res: result<string, u8>, done: result }
    }";

    #[test]
    fn both_forms_of_a_value_say_the_same() {
        let schema = Schema::from_wit(WIT).unwrap().remove(0);
        let rust = RustForm::short(&schema).event(Flavour::Sample, "", |name| (name == "n").then(|| "order.n".into()));
        let expected = "Thing {\n    id: \"id\".to_owned(),\n    n: order.n,\n    f: 1.0,\n    c: 'a',\n    \
                        part: Part { colour: Colour::DarkRed, type_: \"type\".to_owned() },\n    \
                        choice: Choice::Number(1),\n    maybe: None,\n    many: Vec::new(),\n    both: (1, true),\n    \
                        res: Ok(\"res\".to_owned()),\n    done: Ok(()),\n}";
        assert_eq!(rust, expected);
        for flavour in [Flavour::Sample, Flavour::Blank] {
            let json = json(&schema, flavour, |_| None);
            let (mut payload, mut again) = (Vec::new(), Vec::new());
            schema.json_to_payload(json.as_bytes(), &mut payload).unwrap_or_else(|error| panic!("{error}: {json}"));
            schema.payload_to_json(&payload, &mut again).unwrap();
            assert_eq!(String::from_utf8(again).unwrap().replace(".0", ""), json.replace(".0", ""));
        }
    }

    #[test]
    fn a_type_called_event_has_the_name_of_its_package() {
        let wit = "package test:big-thing@1.0.0; interface event { record event { a: u8 } }";
        let schema = Schema::from_wit(wit).unwrap().remove(0);
        let form = RustForm::qualified(&schema, &[]);
        assert_eq!(
            (form.owned().as_str(), form.variable().as_str()),
            ("events::test_big_thing::BigThing", "big_thing")
        );
    }

    #[test]
    fn two_majors_of_a_type_are_told_apart() {
        let of = |version: &str| {
            let wit = format!("package test:thing@{version}; interface event {{ record thing {{ a: u8 }} }}");
            Schema::from_wit(&wit).unwrap().remove(0)
        };
        let (one, two) = (of("1.0.0"), of("2.1.0"));
        assert_eq!(RustForm::qualified(&two, std::slice::from_ref(&one)).owned(), "events::test_thing_v2_1_0::Thing");
    }
}
