//! The files of a new processor's crate: it builds, and its tests pass, before anything is
//! written into it.
//!
//! Where one type goes in and comes out, events are passed on. Where it is another, what
//! both have under one name and type is taken over, and the rest is blank. No I/O.

use std::path::PathBuf;

use flowctl_schema::{Field, Schema, Type};

use super::rust_form::{Flavour, RustForm, is_shared, json, json_value, type_name};

/// Names that mean something else where the processor's struct stands.
const TAKEN: [&str; 18] = [
    "Emitter",
    "Err",
    "Event",
    "EventRef",
    "Events",
    "Failure",
    "None",
    "Ok",
    "Option",
    "Output",
    "Processor",
    "Received",
    "Reject",
    "Result",
    "Some",
    "State",
    "Timer",
    "Vec",
];

/// What a crate is made of.
pub(super) struct Scaffold<'a> {
    /// The crate's name, `big-orders`.
    pub(super) name: &'a str,
    /// What goes in.
    pub(super) input: &'a Schema,
    /// What comes out.
    pub(super) output: &'a Schema,
    /// The types that the SDK has built in.
    pub(super) built_in: &'a [Schema],
    /// What the manifest says of the SDK, such as `"0.1"`.
    pub(super) sdk: &'a str,
}

impl Scaffold<'_> {
    /// The files, by their paths in the crate's folder.
    pub(super) fn files(&self) -> Vec<(PathBuf, String)> {
        let mut files = vec![
            ("Cargo.toml".into(), self.manifest()),
            (".gitignore".into(), "/target\n".to_owned()),
            ("src/lib.rs".into(), self.library()),
            ("cases/first/input.jsonl".into(), json(self.input, Flavour::Sample, |_| None) + "\n"),
            ("cases/first/expected.jsonl".into(), self.expected() + "\n"),
            ("pipeline.yaml".into(), self.pipeline()),
        ];
        files.extend(self.own_types().map(|schema| (wit_file(schema), schema.to_wit())));
        files
    }

    /// The types that the crate brings along, each once.
    pub(super) fn own_types(&self) -> impl Iterator<Item = &Schema> {
        let output = (self.output != self.input).then_some(self.output);
        [self.input].into_iter().chain(output).filter(|schema| !self.built_in.contains(schema))
    }

    fn manifest(&self) -> String {
        let Self { name, sdk, .. } = self;
        let rust = env!("CARGO_PKG_RUST_VERSION");
        format!(
            r#"[package]
name = "{name}"
version = "0.1.0"
edition = "2024"
rust-version = "{rust}"

[lib]
# a component for flowctl, and a library for its tests
crate-type = ["cdylib", "rlib"]

[dependencies]
flowctl-sdk = {sdk}

# small and fast, with the names that backtraces need
[profile.release]
lto = true
codegen-units = 1
panic = "abort"
strip = "debuginfo"

# a workspace of its own, wherever it lies
[workspace]
"#
        )
    }

    fn library(&self) -> String {
        let Self { name, .. } = self;
        let (input, output) = self.forms();
        let (input_type, output_type) = (self.input.event_type(), self.output.event_type());
        let module = name.replace('-', "_");
        let processor = self.processor(&input, &output);
        let is_same = self.input == self.output;
        let variable = input.variable();
        let taken_over = |field: &str| self.shared(field).map(|field| format!("{variable}.{}", rust_field(field)));
        let emitted = match is_same {
            true => variable.clone(),
            false => output.event(Flavour::Blank, "            ", taken_over),
        };
        // what nothing is taken of is not used
        let unused = if is_same || emitted.contains(&format!("{variable}.")) { "" } else { "_" };
        let (input_name, output_name) = (input.owned(), output.owned());
        let docs = match is_same {
            true => format!("Passes on each `{input_type}`."),
            false => format!("Turns each `{input_type}` into one `{output_type}`."),
        };
        let sample = input.event(Flavour::Sample, "        ", |_| None);
        let expected = match is_same {
            true => format!("{variable}.clone()"),
            false => {
                let test_form = |field: &str| self.shared(field).map(|field| sample_of(field, &output));
                output.event(Flavour::Blank, "        ", test_form)
            }
        };
        let test = if is_same { "events_are_passed_on" } else { "every_event_becomes_another" };
        format!(
            r#"//! The processor `{name}`: `{input_type}` in, `{output_type}` out.

#[flowctl_sdk::processor(input = "{input_type}", output = "{output_type}")]
pub mod {module} {{
    /// {docs}
    pub struct {processor};

    impl {processor} {{
        fn new() -> Self {{
            Self
        }}

        fn process(&mut self, {unused}{variable}: {input_name}, out: &mut Emitter<{output_name}>) -> Result<(), Reject> {{
            out.emit({emitted});
            Ok(())
        }}
    }}
}}

#[cfg(test)]
mod tests {{
    use flowctl_sdk::testing::Host;

    use super::{module}::*;

    #[test]
    fn {test}() {{
        let {variable} = {sample};
        let expected = {expected};
        let mut host = Host::<{processor}>::start(()).unwrap();
        let answer = host.send([{variable}]).unwrap();
        assert_eq!(answer.events, [expected]);
        assert_eq!(answer.rejected, []);
    }}
}}
"#
        )
    }

    fn expected(&self) -> String {
        if self.input == self.output {
            return json(self.input, Flavour::Sample, |_| None);
        }
        let taken_over =
            |name: &str| self.shared(name).map(|field| json_value(&field.ty, &field.snake_name, Flavour::Sample));
        json(self.output, Flavour::Blank, taken_over)
    }

    fn pipeline(&self) -> String {
        let Self { name, .. } = self;
        let file = name.replace('-', "_");
        let input = self.input.event_type();
        format!(
            r#"# Runs the processor on events that flowctl makes up, ten a second.
apiVersion: flowctl/v1
kind: Pipeline
metadata: {{name: {name}}}
spec:
  sources: [{{id: events, type: generate, config: {{type: {input}, rate: 10}}}}]
  processors: [{{id: {name}, plugin: ./target/wasm32-wasip2/release/{file}.wasm, inputs: [events]}}]
  sinks: [{{id: out, type: stdout, inputs: [{name}]}}]
"#
        )
    }

    /// The two types, by names that say which is which.
    fn forms(&self) -> (RustForm<'_>, RustForm<'_>) {
        let (input, output) = (RustForm::short(self.input), RustForm::short(self.output));
        if self.input == self.output || input.names().is_disjoint(&output.names()) {
            return (input, output);
        }
        let mut others = self.built_in.to_vec();
        others.extend([self.input.clone(), self.output.clone()]);
        (RustForm::qualified(self.input, &others), RustForm::qualified(self.output, &others))
    }

    /// The name of the processor's struct, which no type of its events has.
    fn processor(&self, input: &RustForm<'_>, output: &RustForm<'_>) -> String {
        let name = type_name(self.name);
        let is_taken =
            TAKEN.contains(&name.as_str()) || input.names().contains(&name) || output.names().contains(&name);
        if is_taken { format!("{name}Processor") } else { name }
    }

    /// The field of both types that has this name and one type.
    fn shared(&self, name: &str) -> Option<&Field> {
        let (Type::Record(input), Type::Record(output)) = (self.input.root(), self.output.root()) else { return None };
        let found = |fields: &'_ [Field]| fields.iter().position(|field| field.name == name);
        let of_input = &input.fields[found(&input.fields)?];
        let of_output = &output.fields[found(&output.fields)?];
        is_shared(&of_input.ty, &of_output.ty).then_some(of_input)
    }
}

/// Where a crate has the WIT of a type of its own.
fn wit_file(schema: &Schema) -> PathBuf {
    let (namespace, name) = schema.event_type().package();
    format!("wit/{namespace}-{name}-v{}/event.wit", schema.event_type().major()).into()
}

fn rust_field(field: &Field) -> String {
    super::rust_form::value_name(&field.snake_name)
}

fn sample_of(field: &Field, form: &RustForm<'_>) -> String {
    form.value(&field.ty, &field.snake_name, Flavour::Sample)
}
