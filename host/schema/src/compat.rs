//! Whether events of one schema can be read as another.
//!
//! Rule: event types are equal by name, and structures are equal but for `option`
//! fields at the end of records, which the schema of the later version has and the
//! earlier one lacks. Names of types and docs do not count; names and order of
//! fields and cases do.

use std::sync::Arc;

use flowctl_types::EventType;

use crate::fault::Outcome;
use crate::payload::PayloadReader;
use crate::plan::{Cases, Plan};
use crate::{PayloadError, Schema, Type, varint};

/// What events must go through to be read as another schema.
#[derive(Debug, Clone)]
pub enum Conversion {
    /// Nothing: the payloads are the same.
    Same,
    /// `option` fields that a later minor appended are dropped, or filled with none.
    Reencode(Reencoder),
}

/// Turns payloads of one minor version into those of another. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Reencoder(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    emitted: Schema,
    step: Step,
}

/// Why events of one schema cannot be read as another.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Mismatch {
    /// The event type that is expected.
    pub expected: EventType,
    /// The event type that is emitted.
    pub emitted: EventType,
    /// Where they differ, such as `items[].price-cents`; empty for the whole.
    pub path: String,
    /// How they differ, naming the field and both types.
    pub reason: String,
}

impl Conversion {
    /// Whether payloads go through as they are.
    #[must_use]
    pub fn is_same(&self) -> bool {
        matches!(self, Self::Same)
    }
}

impl Reencoder {
    /// Appends `payload`, re-encoded, to `out`.
    ///
    /// # Errors
    ///
    /// [`PayloadError`] when the payload is no value of the emitted schema; `out` is
    /// as it was then.
    pub fn convert(&self, payload: &[u8], out: &mut Vec<u8>) -> Result<(), PayloadError> {
        let start = out.len();
        let mut reader = PayloadReader::new(payload, out);
        self.0.step.run(&mut reader, out).and_then(|()| reader.finish()).map_err(|fault| {
            out.truncate(start);
            self.0.emitted.payload_error(&fault)
        })
    }
}

pub(crate) fn accepts(expected: &Schema, emitted: &Schema) -> Result<Conversion, Mismatch> {
    let mismatch = |path: String, reason: String| Mismatch {
        expected: expected.event_type().clone(),
        emitted: emitted.event_type().clone(),
        path,
        reason,
    };
    if expected.event_type() != emitted.event_type() {
        let reason = format!("expected `{}`, emitted `{}`", expected.event_type(), emitted.event_type());
        return Err(mismatch(String::new(), reason));
    }
    if expected.digest() == emitted.digest() {
        return Ok(Conversion::Same);
    }
    let comparison = Comparison { expected, emitted };
    let mut path = String::new();
    match comparison.types(expected.root(), emitted.root(), &mut path) {
        Ok(step) => Ok(Conversion::Reencode(Reencoder(Arc::new(Inner { emitted: emitted.clone(), step })))),
        Err(reason) => Err(mismatch(path.trim_start_matches('.').to_owned(), reason)),
    }
}

/// What to do with one value.
#[derive(Debug)]
enum Step {
    /// Both sides agree: copy it.
    Copy(Plan),
    List(Box<Step>),
    Option(Box<Step>),
    Tuple(Vec<Step>),
    Record {
        fields: Vec<Step>,
        /// Fields that only the emitted type has, by name.
        dropped: Vec<(String, Plan)>,
        /// Number of fields that only the expected type has.
        n_filled: usize,
    },
    /// A variant or a result: the plan bounds the discriminant.
    Cases(Box<Cases>, Vec<Option<Step>>),
}

impl Step {
    fn run(&self, reader: &mut PayloadReader<'_>, out: &mut Vec<u8>) -> Outcome {
        match self {
            Self::Copy(plan) => {
                let start = reader.position();
                reader.skip(plan)?;
                out.extend_from_slice(reader.since(start));
            }
            Self::List(element) => {
                let n = reader.length()?;
                varint::push(out, n as u64);
                for index in 0..n {
                    element.run(reader, out).map_err(|fault| fault.in_element(index))?;
                    reader.check_size(out)?;
                }
            }
            Self::Option(inner) => {
                let is_some = reader.tag()?;
                out.push(u8::from(is_some));
                if is_some {
                    inner.run(reader, out)?;
                }
            }
            Self::Tuple(steps) => {
                for step in steps {
                    step.run(reader, out)?;
                }
            }
            Self::Record { fields, dropped, n_filled } => {
                for field in fields {
                    field.run(reader, out)?;
                }
                for (name, plan) in dropped {
                    reader.skip(plan).map_err(|fault| fault.in_field(name))?;
                }
                out.resize(out.len() + n_filled, 0);
            }
            Self::Cases(cases, steps) => {
                let index = reader.case(cases)?;
                varint::push(out, index as u64);
                if let Some(step) = &steps[index] {
                    step.run(reader, out)?;
                }
            }
        }
        Ok(())
    }
}

struct Comparison<'a> {
    expected: &'a Schema,
    emitted: &'a Schema,
}

impl Comparison<'_> {
    /// The step from one type to the other, or how they differ, with `path` left at
    /// the place.
    fn types(&self, expected: &Type, emitted: &Type, path: &mut String) -> Result<Step, String> {
        match (expected, emitted) {
            (Type::List(expected), Type::List(emitted)) => {
                let step = self.within("[]", expected, emitted, path)?;
                Ok(Step::List(Box::new(step)))
            }
            (Type::Option(expected), Type::Option(emitted)) => {
                Ok(Step::Option(Box::new(self.types(expected, emitted, path)?)))
            }
            (Type::Result { ok, err }, Type::Result { ok: emitted_ok, err: emitted_err }) => {
                let ok = self.carried(".ok", ok.as_deref(), emitted_ok.as_deref(), path)?;
                let err = self.carried(".err", err.as_deref(), emitted_err.as_deref(), path)?;
                Ok(cases(emitted, vec![ok, err]))
            }
            (Type::Tuple(expected), Type::Tuple(emitted)) if expected.len() == emitted.len() => {
                let pairs = expected.iter().zip(emitted.iter()).enumerate();
                let steps: Result<_, _> = pairs
                    .map(|(index, (expected, emitted))| self.within(&format!("[{index}]"), expected, emitted, path))
                    .collect();
                Ok(Step::Tuple(steps?))
            }
            (Type::Record(expected), Type::Record(emitted)) => self.fields(&expected.fields, &emitted.fields, path),
            (Type::Variant(wanted), Type::Variant(given)) => {
                let names = |cases: &[crate::Case]| cases.iter().map(|case| case.name.clone()).collect::<Vec<_>>();
                same_names("case", &names(&wanted.cases), &names(&given.cases), path)?;
                let pairs = wanted.cases.iter().zip(&given.cases);
                let steps: Result<_, _> = pairs
                    .map(|(wanted, given)| {
                        self.carried(&format!(".{}", wanted.name), wanted.ty.as_ref(), given.ty.as_ref(), path)
                    })
                    .collect();
                Ok(cases(emitted, steps?))
            }
            (Type::Enum(wanted), Type::Enum(given)) => {
                let names = |cases: &[crate::EnumCase]| cases.iter().map(|case| case.name.clone()).collect::<Vec<_>>();
                same_names("case", &names(&wanted.cases), &names(&given.cases), path)?;
                Ok(Step::Copy(Plan::of(emitted)))
            }
            (expected, emitted) if expected.canonical() == emitted.canonical() => Ok(Step::Copy(Plan::of(emitted))),
            (expected, emitted) => {
                Err(format!("`{}` is expected as `{}`, emitted as `{}`", place(path), kind(expected), kind(emitted)))
            }
        }
    }

    fn fields(&self, expected: &[crate::Field], emitted: &[crate::Field], path: &mut String) -> Result<Step, String> {
        let mut steps = Vec::with_capacity(expected.len());
        for (wanted, given) in expected.iter().zip(emitted) {
            if wanted.name != given.name {
                path.push_str(&format!(".{}", wanted.name));
                return Err(format!(
                    "`{}` (`{}`) is expected where `{}` (`{}`) is emitted",
                    place(path),
                    wanted.ty,
                    given.name,
                    given.ty
                ));
            }
            steps.push(self.within(&format!(".{}", wanted.name), &wanted.ty, &given.ty, path)?);
        }
        let common = steps.len();
        let (only_expected, only_emitted) = (&expected[common..], &emitted[common..]);
        self.appended(only_expected, (self.expected, "expected"), (self.emitted, "emitted"), path)?;
        self.appended(only_emitted, (self.emitted, "emitted"), (self.expected, "expected"), path)?;
        Ok(Step::Record {
            fields: steps,
            dropped: only_emitted.iter().map(|field| (field.snake_name.clone(), Plan::of(&field.ty))).collect(),
            n_filled: only_expected.len(),
        })
    }

    /// Checks that fields which only one side has may have been appended by it.
    fn appended(
        &self,
        fields: &[crate::Field],
        (with, with_word): (&Schema, &str),
        (without, without_word): (&Schema, &str),
        path: &mut String,
    ) -> Result<(), String> {
        let Some(first) = fields.first() else { return Ok(()) };
        let is_later = with.version() > without.version();
        let blamed = fields.iter().find(|field| !field.ty.is_option());
        if is_later && blamed.is_none() {
            return Ok(());
        }
        let field = blamed.unwrap_or(first);
        path.push_str(&format!(".{}", field.name));
        let place = place(path);
        let ty = kind(&field.ty);
        let (version, other) = (with.version(), without.version());
        Err(if is_later {
            format!(
                "`{place}` is `{ty}` in the {with_word} {version} and missing in the {without_word} {other}: a later minor may append `option` fields only"
            )
        } else {
            format!(
                "`{place}` is `{ty}` in the {with_word} {version} and missing in the {without_word} {other}: only a later version may append a field"
            )
        })
    }

    fn carried(
        &self,
        segment: &str,
        expected: Option<&Type>,
        emitted: Option<&Type>,
        path: &mut String,
    ) -> Result<Option<Step>, String> {
        match (expected, emitted) {
            (None, None) => Ok(None),
            (Some(expected), Some(emitted)) => self.within(segment, expected, emitted, path).map(Some),
            (expected, emitted) => {
                path.push_str(segment);
                let show = |ty: Option<&Type>| ty.map_or("nothing".to_owned(), |ty| format!("`{}`", kind(ty)));
                Err(format!(
                    "`{}` is expected to carry {}, emitted with {}",
                    place(path),
                    show(expected),
                    show(emitted)
                ))
            }
        }
    }

    fn within(&self, segment: &str, expected: &Type, emitted: &Type, path: &mut String) -> Result<Step, String> {
        let length = path.len();
        path.push_str(segment);
        let step = self.types(expected, emitted, path)?;
        path.truncate(length);
        Ok(step)
    }
}

fn cases(emitted: &Type, steps: Vec<Option<Step>>) -> Step {
    match Plan::of(emitted) {
        Plan::Variant(cases) | Plan::Result(cases) => Step::Cases(cases, steps),
        plan => Step::Copy(plan),
    }
}

fn same_names(what: &str, expected: &[String], emitted: &[String], path: &str) -> Result<(), String> {
    let place = place(path);
    if let Some((wanted, given)) = expected.iter().zip(emitted).find(|(wanted, given)| wanted != given) {
        return Err(format!("{what} `{wanted}` of `{place}` is expected where `{given}` is emitted"));
    }
    match (expected.get(emitted.len()), emitted.get(expected.len())) {
        (Some(wanted), _) => Err(format!("{what} `{wanted}` of `{place}` is expected and not emitted")),
        (_, Some(given)) => Err(format!("{what} `{given}` of `{place}` is emitted and not expected")),
        _ => Ok(()),
    }
}

fn place(path: &str) -> &str {
    match path.trim_start_matches('.') {
        "" => "event",
        path => path,
    }
}

/// The type in words that tell two types of one name apart.
fn kind(ty: &Type) -> String {
    match ty {
        Type::Record(_) | Type::Variant(_) | Type::Enum(_) => format!("{} {ty}", ty.keyword()),
        _ => ty.to_string(),
    }
}
