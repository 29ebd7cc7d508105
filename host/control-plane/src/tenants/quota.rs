//! How much a tenant may use at once, and whether a further run fits.

use serde::{Deserialize, Deserializer};

/// How much a tenant may use at once. What is left out has no limit.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quotas {
    /// Pipelines that run.
    #[serde(default)]
    pub pipelines: Option<u64>,
    /// Instances of all nodes that run.
    #[serde(default)]
    pub instances: Option<u64>,
    /// Bytes that the memories of all instances may grow to, as text such as `4GiB`.
    #[serde(default, deserialize_with = "size")]
    pub memory: Option<u64>,
    /// The share of one core's time that plugins may execute, such as `0.5`.
    #[serde(default)]
    pub cpu_share: Option<f64>,
    /// Events that its sources may read in a second, all pipelines together.
    #[serde(default)]
    pub events_per_second: Option<u64>,
    /// Hosts that its plugins are granted in one pipeline.
    #[serde(default)]
    pub egress_hosts: Option<u64>,
}

/// What a run takes of the quotas while it goes, and what all of a tenant's runs take
/// together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Demand {
    /// Pipelines.
    pub pipelines: u64,
    /// The sum of the nodes' parallelism.
    pub instances: u64,
    /// Bytes that their memories may grow to.
    pub memory_bytes: u64,
}

impl Demand {
    /// Both together.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            pipelines: self.pipelines.saturating_add(other.pipelines),
            instances: self.instances.saturating_add(other.instances),
            memory_bytes: self.memory_bytes.saturating_add(other.memory_bytes),
        }
    }
}

impl Quotas {
    /// Whether `more` still fits beside what is `used`.
    ///
    /// # Errors
    ///
    /// Which quota it would exceed, in words.
    pub fn check(&self, used: Demand, more: Demand) -> Result<(), String> {
        let wanted = used.plus(more);
        let size = flowctl_types::units::size_text;
        match (self.pipelines, self.instances, self.memory) {
            (Some(most), _, _) if wanted.pipelines > most => {
                Err(format!("{} pipelines run, and the quota is {most}", used.pipelines))
            }
            (_, Some(most), _) if wanted.instances > most => Err(format!(
                "it takes {} instances beside the {} that run, and the quota is {most}",
                more.instances, used.instances
            )),
            (_, _, Some(most)) if wanted.memory_bytes > most => Err(format!(
                "it may take {} of memory beside the {} of what runs, and the quota is {}",
                size(more.memory_bytes),
                size(used.memory_bytes),
                size(most)
            )),
            _ => Ok(()),
        }
    }
}

fn size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let size = flowctl_types::units::parse_size(&text);
    size.map(Some).ok_or_else(|| serde::de::Error::custom(format!("`{text}` is no size, such as `4GiB`")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_exactly_fits() {
        let quotas = Quotas { pipelines: Some(2), instances: Some(4), memory: Some(10), ..Quotas::default() };
        let one = Demand { pipelines: 1, instances: 2, memory_bytes: 5 };
        assert_eq!(quotas.check(one, one), Ok(()));
        assert_eq!(quotas.check(one.plus(one), one), Err("2 pipelines run, and the quota is 2".to_owned()));
        let wide = Demand { pipelines: 1, instances: 3, memory_bytes: 1 };
        let said = "it takes 3 instances beside the 2 that run, and the quota is 4";
        assert_eq!(quotas.check(one, wide), Err(said.to_owned()));
        let large = Demand { pipelines: 1, instances: 1, memory_bytes: 6 };
        assert!(quotas.check(one, large).unwrap_err().contains("of memory"));
    }
}
