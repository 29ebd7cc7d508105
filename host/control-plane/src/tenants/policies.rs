//! The policy file: what each tenant may.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;

use super::{Policy, Tenant};

/// What each tenant may.
#[derive(Debug, Clone)]
pub struct Policies {
    by_tenant: BTreeMap<Tenant, Arc<Policy>>,
    nothing: Arc<Policy>,
}

/// Why a policy file cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the policy cannot be read: {reason}")]
pub struct PolicyError {
    /// What is wrong, with line and column.
    pub reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicyFile {
    tenants: BTreeMap<Tenant, Policy>,
}

impl Policies {
    /// What holds without a policy file: the tenant `default` may everything, others
    /// nothing.
    #[must_use]
    pub fn without_file() -> Self {
        let everything = Arc::new(Policy::everything());
        Self { by_tenant: [(Tenant::unnamed(), everything)].into(), nothing: Arc::default() }
    }

    /// Reads a policy file. Tenants that it does not name may nothing.
    ///
    /// # Errors
    ///
    /// [`PolicyError`] where it is no YAML, names a field that there is not, or says
    /// something that is no size, number or name.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        let file: PolicyFile = serde_saphyr::from_str(text).map_err(|error| {
            let text = error.to_string();
            // the first line says it; the rest shows the place in the file
            PolicyError { reason: text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned() }
        })?;
        let by_tenant = file.tenants.into_iter().map(|(tenant, policy)| (tenant, Arc::new(policy))).collect();
        Ok(Self { by_tenant, nothing: Arc::default() })
    }

    /// What `tenant` may.
    #[must_use]
    pub fn of(&self, tenant: &Tenant) -> Arc<Policy> {
        Arc::clone(self.by_tenant.get(tenant).unwrap_or(&self.nothing))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenants_that_the_file_does_not_name_may_nothing() {
        let policies = Policies::parse("tenants: {acme: {connectors: [stdout]}}").unwrap();
        assert_eq!(policies.of(&"acme".parse().unwrap()).connectors, ["stdout"]);
        assert_eq!(*policies.of(&Tenant::unnamed()), Policy::default());
        assert_eq!(*Policies::without_file().of(&Tenant::unnamed()), Policy::everything());
        assert_eq!(*Policies::without_file().of(&"acme".parse().unwrap()), Policy::default());
    }

    #[test]
    fn a_field_that_there_is_not_is_an_error_that_names_it() {
        for (text, part) in [
            ("tenants: {acme: {conectors: [stdout]}}", "conectors"),
            ("tenants: {acme: {quotas: {memory: lots}}}", "lots"),
            ("tenants: {ACME: {}}", "ACME"),
            ("tenant: {}", "tenant"),
            ("", "tenants"),
        ] {
            let error = Policies::parse(text).unwrap_err().to_string();
            assert!(error.contains(part) && error.contains("line") || text.is_empty(), "{text}: {error}");
        }
    }
}
