//! Joins nodes by the types of their events, and puts them in order.

use std::borrow::Cow;
use std::collections::BTreeSet;

use flowctl_intent::SinkSpec;
use flowctl_registry::{Accepts, ChainError, Entry, Refusal};
use flowctl_schema::{Role, Schema, Type};
use flowctl_types::{Code, all_of, did_you_mean};

use super::draft::{Draft, Input, Place};
use super::{Planner, remote};
use crate::suggest::full_text;
use crate::{Edge, Node, Route, dead_letter_schema};

/// A draft and the node that it became.
pub(super) struct Planned<'a> {
    pub(super) entry: Cow<'a, Entry>,
    place: Place,
    pub(super) inputs: Vec<Input>,
    pub(super) node: Node,
    /// None where a fault hides them.
    pub(super) outputs: Option<Vec<Schema>>,
}

impl<'a> Planner<'a> {
    /// The nodes of the drafts, each after those it reads from, and their edges.
    pub(super) fn connect(&mut self, drafts: Vec<Draft<'a>>) -> (Vec<Node>, Vec<Edge>) {
        let mut planned = Vec::new();
        for draft in drafts {
            let (node, outputs) = self.node(&draft);
            planned.push(Planned { entry: draft.entry, place: draft.place, inputs: draft.inputs, node, outputs });
        }
        remote::settle(&mut planned);
        let mut edges = Vec::new();
        for to in 0..planned.len() {
            let mut inputs = std::mem::take(&mut planned[to].node.inputs);
            for input in &planned[to].inputs {
                let routes = self.routes(&planned[input.from], &planned[to], input, &mut inputs);
                edges.push((input.from, to, routes));
            }
            planned[to].node.inputs = inputs;
            self.check_key(&planned[to]);
            self.check_sharing(&planned[to], &planned);
        }
        let order = order(planned.len(), &edges);
        let mut rank = vec![0; planned.len()];
        for (position, index) in order.iter().enumerate() {
            rank[*index] = position;
        }
        edges.sort_by_key(|(from, to, _)| (rank[*from], rank[*to]));
        let id = |index: usize| planned[index].node.id.clone();
        let edges = edges.into_iter().map(|(from, to, routes)| Edge { from: id(from), to: id(to), routes }).collect();
        let mut nodes: Vec<(usize, Node)> =
            planned.into_iter().enumerate().map(|(index, planned)| (rank[index], planned.node)).collect();
        nodes.sort_by_key(|(rank, _)| *rank);
        (nodes.into_iter().map(|(_, node)| node).collect(), edges)
    }

    /// The node of the sink for rejected events, which every node feeds: it is sent
    /// events of one type.
    pub(super) fn dead_letter(&mut self, spec: &'a SinkSpec) -> Option<Node> {
        let draft = self.dead_letter_draft(spec)?;
        let (entry, letter) = (&draft.entry, dead_letter_schema());
        let refused = match (&entry.accepts, entry.takes(letter)) {
            (_, Err(Refusal::Structure(source))) => Some(full_text(&ChainError::Structure {
                emitter: "flowctl".to_owned(),
                receiver: entry.name.clone(),
                event_type: letter.event_type().clone(),
                source: Box::new(source),
            })),
            (Accepts::Types(types), result) if result.is_err() || (types.len() > 1 && !entry.is_live()) => {
                Some(format!("it takes {}, not `{}` alone", names(types), letter.event_type()))
            }
            _ => None,
        };
        if let Some(why) = refused {
            let message = format!("`{}` cannot be the dead-letter sink: {why}", entry.name);
            let hint =
                "a `file` takes whatever is rejected: `dead_letter: {type: file, config: {path: rejected.jsonl}}`";
            let path = self.component_path(&draft.place);
            self.fault(&path, Code::BadDeadLetterSink, message, Some(hint.to_owned()));
        }
        let mut node = self.node(&draft).0;
        if entry.is_live() || !matches!(entry.accepts, Accepts::Types(_)) {
            node.inputs = vec![letter.clone()];
        }
        Some(node)
    }

    /// Which types of `from` take the edge to `to`. A sink that takes any type gets
    /// those in `inputs`.
    fn routes(&mut self, from: &Planned<'_>, to: &Planned<'_>, input: &Input, inputs: &mut Vec<Schema>) -> Vec<Route> {
        let mut routes = Vec::new();
        let Some(outputs) = &from.outputs else { return routes };
        let n_faults = self.faults.len();
        for (output_kind, emitted) in (0u32..).zip(outputs) {
            if input.only.as_ref().is_some_and(|only| !only.contains(emitted.event_type())) {
                continue;
            }
            match to.entry.takes(emitted) {
                Ok((index, conversion)) => {
                    let index = match to.entry.accepts {
                        _ if to.entry.is_live() => position_or_push(inputs, emitted),
                        Accepts::Types(_) | Accepts::Nothing => index,
                        Accepts::Any | Accepts::AnyRecord => position_or_push(inputs, emitted),
                    };
                    let input_kind = u32::try_from(index).expect("a node has far fewer types than 2^32");
                    routes.push(Route { output_kind, input_kind, conversion });
                }
                Err(Refusal::Structure(source)) => {
                    let error = ChainError::Structure {
                        emitter: from.node.id.to_string(),
                        receiver: to.node.id.to_string(),
                        event_type: emitted.event_type().clone(),
                        source: Box::new(source),
                    };
                    self.fault(&to.place.input(input.index), error.code(), full_text(&error), error.hint());
                }
                Err(Refusal::Type | Refusal::Opaque) => {}
            }
        }
        if routes.is_empty() && self.faults.len() == n_faults {
            let emitted = names(outputs);
            let takes = match &to.entry.accepts {
                Accepts::Types(types) => format!("takes {}", names(types)),
                Accepts::AnyRecord => "takes no opaque type".to_owned(),
                Accepts::Any => "takes any type".to_owned(),
                Accepts::Nothing => "takes nothing".to_owned(),
            };
            let message = format!("`{}` {takes}, but `{}` emits {emitted}", to.node.id, from.node.id);
            let hint = "put a processor between them: `flowctl processors list` shows what each takes and emits";
            self.fault(&to.place.input(input.index), Code::TypesDoNotMeet, message, Some(hint.to_owned()));
        }
        routes
    }

    /// Checks that there is something to divide the events of a node by whose instances
    /// have to own their keys.
    fn check_sharing(&mut self, planned: &Planned<'_>, all: &[Planned<'_>]) {
        let node = &planned.node;
        if node.role != Role::Processor || !node.is_stateful || node.parallelism.get() == 1 || node.key.is_some() {
            return;
        }
        let keyless = planned.inputs.iter().map(|input| &all[input.from].node).filter(|from| !from.brings_keys);
        let keyless: Vec<&str> = keyless.map(|from| from.id.as_str()).collect();
        if !keyless.is_empty() {
            let message = format!(
                "`{}` keeps state, so its instances cannot share the work without a key, and the events of {} bring none",
                node.id,
                all_of(&keyless)
            );
            let hint = "name the field to partition by: `key: FIELD`";
            self.fault(&planned.place.option(&["parallelism"]), Code::BadKey, message, Some(hint.to_owned()));
        }
    }

    /// Checks that every type that reaches the node has the field it is partitioned by.
    fn check_key(&mut self, planned: &Planned<'_>) {
        let Some(key) = &planned.node.key else { return };
        for schema in &planned.node.inputs {
            let name = schema.event_type();
            let Type::Record(record) = schema.root() else {
                let message = format!("`{name}` has no field `{key}`: it is not a record");
                self.fault(&planned.place.option(&["key"]), Code::BadKey, message, Some("leave `key` out".to_owned()));
                continue;
            };
            let field = record.fields.iter().find(|field| field.snake_name == *key || field.name == *key);
            let (message, hint) = match field {
                Some(field) if is_key(&field.ty) => continue,
                Some(field) => {
                    let fit: Vec<&str> = record
                        .fields
                        .iter()
                        .filter(|field| is_key(&field.ty))
                        .map(|field| field.snake_name.as_str())
                        .collect();
                    let hint = (!fit.is_empty()).then(|| format!("fields that can be a key: {}", all_of(&fit)));
                    (format!("`{key}` of `{name}` is `{}`: a key is a string or an integer", field.ty), hint)
                }
                None => {
                    let fields: Vec<&str> = record.fields.iter().map(|field| field.snake_name.as_str()).collect();
                    let near = did_you_mean(key, fields.iter().copied());
                    let hint = near.unwrap_or_else(|| format!("its fields are {}", all_of(&fields)));
                    (format!("`{name}` has no field `{key}`"), Some(hint))
                }
            };
            self.fault(&planned.place.option(&["key"]), Code::BadKey, message, hint);
        }
    }
}

fn position_or_push(schemas: &mut Vec<Schema>, schema: &Schema) -> usize {
    schemas.iter().position(|known| known == schema).unwrap_or_else(|| {
        schemas.push(schema.clone());
        schemas.len() - 1
    })
}

fn names(schemas: &[Schema]) -> String {
    all_of(&schemas.iter().map(|schema| schema.event_type().as_str()).collect::<Vec<_>>())
}

/// Where an option is none, its events are of one key.
fn is_key(ty: &Type) -> bool {
    let ty = match ty {
        Type::Option(inner) => &**inner,
        ty => ty,
    };
    matches!(
        ty,
        Type::String | Type::U8 | Type::S8 | Type::U16 | Type::S16 | Type::U32 | Type::S32 | Type::U64 | Type::S64
    )
}

/// Indices so that each comes after those it reads from, else as they were written.
/// Both formats are free of cycles: one is refused when it is read, the other grows
/// from its sources.
fn order(n_nodes: usize, edges: &[(usize, usize, Vec<Route>)]) -> Vec<usize> {
    let mut n_inputs = vec![0; n_nodes];
    for (_, to, _) in edges {
        n_inputs[*to] += 1;
    }
    let mut ready: BTreeSet<usize> = (0..n_nodes).filter(|index| n_inputs[*index] == 0).collect();
    let mut order = Vec::new();
    while let Some(index) = ready.pop_first() {
        order.push(index);
        for (_, to, _) in edges.iter().filter(|(from, _, _)| *from == index) {
            n_inputs[*to] -= 1;
            if n_inputs[*to] == 0 {
                ready.insert(*to);
            }
        }
    }
    order
}
