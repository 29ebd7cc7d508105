//! Writes an event type as WIT text: a package of its own, which uses no other.
//!
//! Types that come from other packages are written out where the event stands. Invariant:
//! the text reads back as a schema that equals the one it was written from.

use std::fmt::Write as _;

use crate::{Schema, Type};

/// Words that WIT has a meaning for; as a name they are written with `%` before them.
const KEYWORDS: &str = "as async bool borrow char constructor enum error-context export f32 f64 flags from func future \
                        import include interface list map option own package record resource result s16 s32 s64 s8 \
                        static stream string tuple type u16 u32 u64 u8 use variant with world";

/// The name that makes a type the event of its interface.
const EVENT: &str = "event";

/// The package that defines `schema`.
pub(crate) fn package(schema: &Schema) -> String {
    let (namespace, name) = schema.event_type().package();
    let mut printer = Printer::default();
    let root = match schema.root() {
        Type::Record(_) | Type::Variant(_) | Type::Enum(_) => {
            let name = schema.root().name().unwrap_or(EVENT);
            printer.named(schema.root(), name);
            String::new()
        }
        plain => {
            let ty = printer.reference(plain);
            format!("  type event = {ty};\n")
        }
    };
    let mut text = format!(
        "/// The event type `{}`.\npackage {}:{}@{};\n\ninterface event {{\n",
        schema.event_type(),
        escaped(namespace),
        escaped(&name),
        schema.version()
    );
    let definitions = printer.definitions.into_iter().map(|(_, _, text)| text).chain([root]);
    text.push_str(&definitions.filter(|text| !text.is_empty()).collect::<Vec<_>>().join("\n"));
    text.push_str("}\n");
    text
}

/// The definitions that were written, those before others that these mention.
#[derive(Default)]
struct Printer {
    /// Name, the type, and its text.
    definitions: Vec<(String, Type, String)>,
}

impl Printer {
    /// How a type is mentioned, defined before where it has a name.
    fn reference(&mut self, ty: &Type) -> String {
        let mut side = |ty: Option<&Type>| ty.map(|ty| self.reference(ty));
        match ty {
            // one of that name would be taken for the event
            Type::Record(_) | Type::Variant(_) | Type::Enum(_) if ty.name() == Some(EVENT) => {
                self.named(ty, "event-part")
            }
            Type::Record(_) | Type::Variant(_) | Type::Enum(_) => escaped(&self.named(ty, ty.name().unwrap_or("part"))),
            Type::List(inner) => format!("list<{}>", self.reference(inner)),
            Type::Option(inner) => format!("option<{}>", self.reference(inner)),
            Type::Tuple(types) => {
                let types: Vec<String> = types.iter().map(|ty| self.reference(ty)).collect();
                format!("tuple<{}>", types.join(", "))
            }
            Type::Result { ok, err } => match (side(ok.as_deref()), side(err.as_deref())) {
                (None, None) => "result".to_owned(),
                (Some(ok), None) => format!("result<{ok}>"),
                (ok, Some(err)) => format!("result<{}, {err}>", ok.as_deref().unwrap_or("_")),
            },
            plain => plain.keyword().to_owned(),
        }
    }

    /// Defines a type under the name `wished`, and answers the one it has: types that differ
    /// have names that do.
    fn named(&mut self, ty: &Type, wished: &str) -> String {
        if let Some((name, ..)) = self.definitions.iter().find(|(_, known, _)| known == ty) {
            return name.clone();
        }
        let (docs, members) = self.members(ty);
        let names = std::iter::once(wished.to_owned()).chain((2..).map(|number| format!("{wished}-n{number}")));
        let is_free = |name: &String| !self.definitions.iter().any(|(taken, ..)| taken == name);
        let name = names.into_iter().find(is_free).unwrap_or_else(|| wished.to_owned());
        let mut text = String::new();
        push_docs(&mut text, "  ", docs);
        let _ = writeln!(text, "  {} {} {{", ty.keyword(), escaped(&name));
        for (docs, member) in members {
            push_docs(&mut text, "    ", docs.as_deref());
            let _ = writeln!(text, "    {member},");
        }
        text.push_str("  }\n");
        self.definitions.push((name.clone(), ty.clone(), text));
        name
    }

    /// The docs of a type, and its members with theirs.
    fn members<'t>(&mut self, ty: &'t Type) -> (Option<&'t str>, Vec<(Option<String>, String)>) {
        match ty {
            Type::Record(record) => {
                let field = |field: &crate::Field| {
                    (field.docs.clone(), format!("{}: {}", escaped(&field.name), self.reference(&field.ty)))
                };
                (record.docs.as_deref(), record.fields.iter().map(field).collect())
            }
            Type::Variant(variant) => {
                let case = |case: &crate::Case| {
                    let carried = case.ty.as_ref().map(|ty| format!("({})", self.reference(ty)));
                    (case.docs.clone(), format!("{}{}", escaped(&case.name), carried.unwrap_or_default()))
                };
                (variant.docs.as_deref(), variant.cases.iter().map(case).collect())
            }
            Type::Enum(an_enum) => {
                let cases = an_enum.cases.iter().map(|case| (case.docs.clone(), escaped(&case.name)));
                (an_enum.docs.as_deref(), cases.collect())
            }
            _ => (None, Vec::new()),
        }
    }
}

fn push_docs(text: &mut String, indent: &str, docs: Option<&str>) {
    for line in docs.unwrap_or_default().lines() {
        let _ = writeln!(text, "{}", format!("{indent}/// {line}").trim_end());
    }
}

/// A name, which may be a word of WIT's own.
fn escaped(name: &str) -> String {
    let is_keyword = KEYWORDS.split_ascii_whitespace().any(|word| word == name);
    if is_keyword { format!("%{name}") } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn check(wit: &str, expected: &Expect) {
        let schema = Schema::from_wit(wit).unwrap().remove(0);
        let text = schema.to_wit();
        expected.assert_eq(&text);
        let read = Schema::from_wit(&text).unwrap_or_else(|error| panic!("{error}\n{text}")).remove(0);
        assert_eq!(read, schema);
        assert_eq!((read.version(), read.docs()), (schema.version(), schema.docs()));
        assert_eq!(read.to_wit(), text);
    }

    #[test]
    fn every_kind_of_type_reads_back_as_it_was() {
        check(
            "package test:%list@1.2.0; interface event {
                 /// How it is.
                 enum status { %use, done }
                 variant choice { nothing, pair(tuple<u8, list<status>>) }
                 /// What happened.
                 ///
                 /// In two paragraphs.
                 record happened {
                     /// Whether.
                     %from: bool, bytes: list<u8>, choice: option<choice>,
                     a: result, b: result<u8>, c: result<_, string>, d: result<f64, s32>,
                 }
             }",
            &expect![[r#"
                /// The event type `test.list.v1`.
                package test:%list@1.2.0;

                interface event {
                  /// How it is.
                  enum status {
                    %use,
                    done,
                  }

                  variant choice {
                    nothing,
                    pair(tuple<u8, list<status>>),
                  }

                  /// What happened.
                  ///
                  /// In two paragraphs.
                  record happened {
                    /// Whether.
                    %from: bool,
                    bytes: list<u8>,
                    choice: option<choice>,
                    a: result,
                    b: result<u8>,
                    c: result<_, string>,
                    d: result<f64, s32>,
                  }
                }
            "#]],
        );
    }

    #[test]
    fn bytes_are_an_alias() {
        check(
            "package test:blob@2.0.1; interface event { type blob = list<u8>; }",
            &expect![[r#"
                /// The event type `test.blob.v2`.
                package test:blob@2.0.1;

                interface event {
                  type event = list<u8>;
                }
            "#]],
        );
    }

    #[test]
    fn two_types_of_one_name_from_two_packages_are_told_apart() {
        let files = [
            ("a.wit", "package test:a@1.0.0; interface event { record part { x: u8 } record a { part: part } }"),
            (
                "b.wit",
                "package test:b@1.0.0; interface event { use test:a/event@1.0.0.{a}; record part { y: u8 } record b { a: a, part: part, again: part } }",
            ),
        ];
        let schemas = Schema::from_wit_files(files).unwrap();
        let text = schemas[1].to_wit();
        assert!(text.contains("part: part-n2,\n    again: part-n2,"), "{text}");
        assert_eq!(Schema::from_wit(&text).unwrap(), [schemas[1].clone()]);
    }
}
