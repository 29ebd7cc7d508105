//! What was said before anything is asked: by flags, or by a preset.

use std::path::Path;

use flowctl_types::{EventType, NodeId};

/// Answers, as far as they are known.
#[derive(Debug, Clone, Default)]
pub(super) struct Said {
    pub(super) name: Option<NodeId>,
    /// Files with event types of its own.
    pub(super) types: Vec<String>,
    pub(super) from: Option<EventType>,
    pub(super) source: Option<String>,
    pub(super) to: Option<String>,
    /// Processors to pass through; none where that is open.
    pub(super) via: Option<Vec<String>>,
    pub(super) settings: Vec<Setting>,
    /// Files to write beside the pipeline's: their names and texts.
    pub(super) files: Vec<(&'static str, &'static str)>,
}

/// A setting of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Setting {
    /// The node, or its component's name.
    pub(super) node: String,
    /// The setting; fields of fields joined with dots.
    pub(super) path: String,
    pub(super) value: String,
}

impl Said {
    /// Whether nothing was said of what the pipeline is.
    pub(super) const fn is_open(&self) -> bool {
        self.types.is_empty() && self.from.is_none() && self.source.is_none() && self.to.is_none() && self.via.is_none()
    }

    /// These answers, and in their place those of `others`.
    pub(super) fn with(mut self, others: Self) -> Self {
        self.name = others.name.or(self.name);
        // the last value of a setting counts
        self.settings.extend(others.settings);
        self
    }

    /// The same with its own files in a folder: paths start where flowctl runs. What is said
    /// besides joins later, so that a path of one's own stays what it is.
    pub(super) fn in_folder(mut self, folder: &Path) -> Self {
        let names: Vec<&str> = self.files.iter().map(|(name, _)| *name).collect();
        let place = |text: &mut String| {
            if names.contains(&text.as_str()) {
                *text = folder.join(&text).display().to_string();
            }
        };
        self.types.iter_mut().for_each(place);
        self.settings.iter_mut().map(|setting| &mut setting.value).for_each(place);
        self
    }
}

/// Reads `NODE.KEY=VALUE`. What is wrong is said without the value, which may be a secret.
pub(super) fn setting(text: &str) -> Result<Setting, String> {
    let parts = text.split_once('=').and_then(|(name, value)| Some((name.split_once('.')?, value)));
    match parts {
        Some(((node, path), value)) if !node.is_empty() && path.split('.').all(|step| !step.is_empty()) => {
            Ok(Setting { node: node.to_owned(), path: path.to_owned(), value: value.to_owned() })
        }
        _ => Err("write NODE.KEY=VALUE".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_have_a_node_a_path_and_a_value() {
        let read = setting("stellar-ledgers.generate.ledgers=a=b").unwrap();
        assert_eq!((&*read.node, &*read.path, &*read.value), ("stellar-ledgers", "generate.ledgers", "a=b"));
        for wrong in ["a", "a=b", ".a=b", "a.=b", "a..b=c", "=a.b"] {
            assert!(setting(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn files_of_its_own_are_named_from_where_flowctl_runs() {
        let said = Said {
            types: vec!["orders.wit".to_owned()],
            settings: vec![setting("file.path=orders.jsonl").unwrap(), setting("file.other=x").unwrap()],
            files: vec![("orders.wit", ""), ("orders.jsonl", "")],
            ..Said::default()
        };
        let placed = said.clone().in_folder(Path::new("sub"));
        assert_eq!((&*placed.types[0], &*placed.settings[0].value), ("sub/orders.wit", "sub/orders.jsonl"));
        assert_eq!(placed.settings[1].value, "x");
        assert_eq!(said.in_folder(Path::new("")).types[0], "orders.wit");
    }
}
