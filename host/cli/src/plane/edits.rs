//! Edits of pipelines that run: from a change of a node to a file, and to what that is
//! planned to.
//!
//! Where an added node says nothing of who reads from it, every reader of what it reads is
//! tried, and those whose types fit read from it.

use flowctl_control_plane::controller::{Edit, Edited, PlanFailure, PlanFailureKind, PlanRequest, Planned};
use flowctl_intent::{Addition, Document, Draft, EditError, Place, Placed};
use flowctl_schema::Role;
use flowctl_topology::Topology;
use flowctl_types::{Code, NodeId, Reference, one_of};

use super::planner::HostPlanner;

/// Makes the file that a pipeline is after an edit, and plans it.
///
/// # Errors
///
/// [`PlanFailure`] where the edit cannot be made, or what comes of it cannot be planned: then
/// it says which types differ.
pub(super) fn edited(
    planner: &HostPlanner,
    request: &PlanRequest,
    running: &Topology,
    edit: &Edit,
) -> Result<Edited, PlanFailure> {
    let document = document(request)?;
    let draft = Draft::of(&document, &placed(running)).map_err(|error| refused(&error))?;
    let mut changed = draft.clone();
    match edit {
        Edit::Remove { node } => changed.remove(node).map_err(|error| refused(&error))?,
        Edit::Replace { node, component, values } => {
            changed.replace(node, component).map_err(|error| refused(&error))?;
            if !values.is_empty() {
                changed.configure(node, values).map_err(|error| refused(&error))?;
            }
        }
        Edit::Configure { node, values } => changed.configure(node, values).map_err(|error| refused(&error))?,
        Edit::Add { component, id, after, before, config } => {
            let addition = Addition {
                id: match id {
                    Some(said) => node_id(Some(said), component)?,
                    None => free(&draft, node_id(None, component)?),
                },
                place: place(planner, request, component)?,
                component: component.clone(),
                after: ids(&draft, after)?,
                before: ids(&draft, before)?,
                config: config.clone(),
            };
            return added(planner, request, &draft, &addition);
        }
    }
    planned(planner, request, &changed)
}

/// Adds a node: before those that are named, else before those that its events fit.
fn added(
    planner: &HostPlanner,
    request: &PlanRequest,
    draft: &Draft,
    addition: &Addition,
) -> Result<Edited, PlanFailure> {
    let attempt = |before: Vec<NodeId>| {
        let mut changed = draft.clone();
        changed.add(&Addition { before, ..addition.clone() }).map_err(|error| refused(&error))?;
        planned(planner, request, &changed)
    };
    if !addition.before.is_empty() || addition.place == Place::Sink {
        return attempt(addition.before.clone());
    }
    let mut readers = addition.after.iter().map(|node| draft.readers(node.as_str()));
    let mut shared = readers.next().unwrap_or_default();
    readers.for_each(|of_node| shared.retain(|reader| of_node.contains(reader)));
    let shared: Vec<NodeId> = shared.iter().filter_map(|reader| reader.parse().ok()).collect();
    if shared.is_empty() {
        return attempt(Vec::new());
    }
    // most often they all do
    let whole = match attempt(shared.clone()) {
        Err(failure) if shared.len() > 1 && failure.kind == PlanFailureKind::Invalid => failure,
        planned => return planned,
    };
    let fitting: Vec<NodeId> = shared.into_iter().filter(|reader| attempt(vec![reader.clone()]).is_ok()).collect();
    if fitting.is_empty() { Err(whole) } else { attempt(fitting) }
}

fn planned(planner: &HostPlanner, request: &PlanRequest, draft: &Draft) -> Result<Edited, PlanFailure> {
    let unwritten =
        |error| PlanFailure::new(PlanFailureKind::Unavailable, format!("the pipeline cannot be written: {error}"));
    let text = serde_saphyr::to_string(&draft.to_value()).map_err(|error| unwritten(error.to_string()))?;
    let mut request = request.clone();
    request.file.text.clone_from(&text);
    // a place in it is none in the file that somebody wrote
    request.file.name = format!("changed {}", request.file.name);
    let planned: Planned = planner.plan_here(&request)?;
    Ok(Edited { text, planned })
}

/// The file that runs.
fn document(request: &PlanRequest) -> Result<Document, PlanFailure> {
    // what the environment holds does not matter for its nodes
    let (document, _) = flowctl_intent::read(&request.file.name, &request.file.text, &|_| Some(String::new()));
    document.ok_or_else(|| {
        PlanFailure::new(PlanFailureKind::Unavailable, "the file that the pipeline was started with is no pipeline")
    })
}

/// The nodes that run, as a file would name them.
fn placed(running: &Topology) -> Vec<Placed> {
    let inputs = |id: &NodeId| {
        let edges = running.edges.iter().filter(|edge| edge.to == *id);
        edges.map(|edge| edge.from.clone()).collect::<Vec<_>>()
    };
    let placed = running.nodes.iter().map(|node| Placed {
        id: node.id.clone(),
        place: match node.role {
            Role::Source => Place::Source,
            Role::Processor => Place::Processor,
            Role::Sink => Place::Sink,
        },
        component: node.component.name().to_owned(),
        inputs: inputs(&node.id),
    });
    placed.collect()
}

/// Where a component stands in a pipeline. Plugins are processors.
fn place(planner: &HostPlanner, request: &PlanRequest, component: &str) -> Result<Place, PlanFailure> {
    if component.parse::<NodeId>().is_err() {
        return Ok(Place::Processor);
    }
    planner.place_of(request, component).ok_or_else(|| PlanFailure {
        hint: planner.near(request, component).or_else(|| {
            Some(
                "`flowctl processors list` shows what there is; a file is named with its folder, `./x.wasm`".to_owned(),
            )
        }),
        ..PlanFailure::new(PlanFailureKind::Missing, format!("there is no component `{component}`"))
    })
}

/// A node's id: what is said, else the component's name.
fn node_id(said: Option<&str>, component: &str) -> Result<NodeId, PlanFailure> {
    let name = match component.parse::<Reference>() {
        _ if said.is_some() => said.unwrap_or_default().to_owned(),
        _ if component.parse::<NodeId>().is_ok() => component.to_owned(),
        Ok(Reference::Oci { repository, .. }) => repository.rsplit('/').next().unwrap_or_default().to_owned(),
        Ok(Reference::Name { name, .. }) => name,
        _ => std::path::Path::new(component).file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().to_owned(),
    };
    let id = if said.is_some() { name.parse() } else { NodeId::from_any(&name) };
    id.map_err(|error| PlanFailure {
        hint: Some("name the node with `--id`".to_owned()),
        ..PlanFailure::new(PlanFailureKind::Invalid, format!("`{name}` is no node's id: {error}"))
    })
}

/// The id, or the first of `ID-2`, `ID-3`, … that no node has.
fn free(draft: &Draft, id: NodeId) -> NodeId {
    if draft.check(id.as_str()).is_err() {
        return id;
    }
    let mut numbered = (2..).filter_map(|number| NodeId::from_any(&format!("{id}-{number}")).ok());
    numbered.find(|id| draft.check(id.as_str()).is_err()).unwrap_or(id)
}

fn ids(draft: &Draft, names: &[String]) -> Result<Vec<NodeId>, PlanFailure> {
    let id = |name: &String| {
        draft.check(name).map_err(|error| refused(&error))?;
        name.parse().map_err(|_| refused(&EditError::NoNode { node: name.clone(), nearest: Vec::new() }))
    };
    names.iter().map(id).collect()
}

fn refused(error: &EditError) -> PlanFailure {
    let (kind, hint) = match error {
        EditError::NoNode { nearest, .. } if nearest.is_empty() => {
            (PlanFailureKind::Missing, Some("`flowctl topology show --live` lists the nodes".to_owned()))
        }
        EditError::NoNode { nearest, .. } => {
            (PlanFailureKind::Missing, Some(format!("did you mean {}?", one_of(nearest))))
        }
        EditError::Exists { .. } => {
            (PlanFailureKind::Invalid, Some("name the new node otherwise with `--id`".to_owned()))
        }
        _ => (PlanFailureKind::Invalid, None),
    };
    let code = match kind {
        PlanFailureKind::Missing => Code::NotThere,
        _ => Code::ChangeRefused,
    };
    PlanFailure { hint, code: Some(code), ..PlanFailure::new(kind, error.to_string()) }
}
