//! Looking for plugins by words and by types.

use flowctl_types::EventType;

use crate::index::{Listed, PluginIndex};

/// What is looked for. The default finds everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    /// Words that must all stand in the name, the reference, the description or the metadata
    /// of the plugin, in whatever case.
    pub text: String,
    /// A type that it must take.
    pub input: Option<EventType>,
    /// A type that it must give.
    pub output: Option<EventType>,
}

/// How well an entry fits; less is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// Its name is what was asked for.
    Name,
    /// Its name begins with it.
    Beginning,
    /// Its name holds it.
    InName,
    /// It stands elsewhere, or no words were asked for.
    Elsewhere,
}

impl PluginIndex {
    /// The entries that fit: repositories whose plugin's name fits best first, else in their
    /// order; of one repository, the newest first.
    #[must_use]
    pub fn search(&self, query: &Query) -> Vec<&Listed> {
        let text = query.text.trim().to_lowercase();
        let words: Vec<&str> = text.split_whitespace().collect();
        let mut found: Vec<(Rank, Vec<&Listed>)> = Vec::new();
        for tags in self.repositories() {
            let mut fitting: Vec<&Listed> = tags.iter().filter(|listed| query.fits(listed, &words)).collect();
            let Some(rank) = fitting.iter().map(|listed| rank(listed, &text)).min() else { continue };
            fitting.sort_by(|a, b| a.newest_first(b));
            found.push((rank, fitting));
        }
        found.sort_by_key(|(rank, _)| *rank);
        found.into_iter().flat_map(|(_, fitting)| fitting).collect()
    }
}

impl Query {
    fn fits(&self, listed: &Listed, words: &[&str]) -> bool {
        let facts = listed.facts();
        let takes = self.input.as_ref().is_none_or(|wanted| facts.inputs.contains(wanted));
        let gives = self.output.as_ref().is_none_or(|wanted| facts.outputs.contains(wanted));
        if !takes || !gives || words.is_empty() {
            return takes && gives;
        }
        let mut texts = vec![facts.name.to_lowercase(), listed.reference().to_string()];
        texts.extend(listed.description().map(str::to_lowercase));
        texts.extend(facts.metadata.values().map(|value| value.to_lowercase()));
        words.iter().all(|word| texts.iter().any(|text| text.contains(word)))
    }
}

fn rank(listed: &Listed, text: &str) -> Rank {
    let name = listed.facts().name.to_lowercase();
    match name.find(text) {
        _ if text.is_empty() => Rank::Elsewhere,
        Some(0) if name.len() == text.len() => Rank::Name,
        Some(0) => Rank::Beginning,
        Some(_) => Rank::InName,
        None => Rank::Elsewhere,
    }
}
