//! Why a connector cannot be made ready.

use std::path::PathBuf;

use flowctl_schema::ConfigFault;

/// Why a connector cannot be made ready. Nothing was read or written when it is returned.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectorError {
    /// No connector of this name and role is built in.
    #[error("no {role} `{name}` is built in; there are {known}")]
    Unknown {
        /// What was asked for: `source` or `sink`.
        role: &'static str,
        /// The name that was asked for.
        name: String,
        /// Those that there are.
        known: String,
    },
    /// Discovery knows the connector, but this build cannot run it.
    #[error("{role} `{name}` cannot be run by this build of flowctl")]
    Unavailable {
        /// What it is: `source` or `sink`.
        role: &'static str,
        /// Its name.
        name: String,
    },
    /// The configuration does not have the connector's fields.
    #[error("the configuration of `{connector}` cannot be read")]
    Config {
        /// The connector.
        connector: &'static str,
        /// Which field is wrong, and how.
        #[source]
        source: serde_json::Error,
    },
    /// A field of the configuration has a value that cannot be used.
    #[error("`{field}` of `{connector}` {reason}")]
    Field {
        /// The connector.
        connector: &'static str,
        /// The field.
        field: &'static str,
        /// What is wrong, as the rest of a sentence about the field, with the remedy.
        reason: String,
    },
    /// A file or directory cannot be used.
    #[error("`{connector}` cannot {action} `{}`", path.display())]
    File {
        /// The connector.
        connector: &'static str,
        /// What was tried: `read`, `create` or `write`.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the system answered.
        #[source]
        source: std::io::Error,
    },
    /// The node has other types than the connector can work with.
    #[error("`{connector}` cannot run node `{node}`: {reason}")]
    Types {
        /// The connector.
        connector: &'static str,
        /// The node.
        node: String,
        /// What is wrong with its types.
        reason: String,
    },
}

impl ConnectorError {
    /// The fault of a field, at its place in the configuration. What has other fields
    /// than it should is for the record to say.
    pub(crate) fn into_config_fault(self) -> Option<ConfigFault> {
        let Self::Field { field, reason, .. } = self else { return None };
        let path = field.split('.').map(str::to_owned).collect();
        Some(ConfigFault { path, is_key: false, message: format!("`{field}` {reason}"), hint: None })
    }

    pub(crate) fn field(connector: &'static str, field: &'static str, reason: impl Into<String>) -> Self {
        Self::Field { connector, field, reason: reason.into() }
    }

    /// What to do about it, where that is more than the message says.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Config { connector, .. } => {
                Some(format!("`flowctl processors show {connector}` lists the fields and what they mean"))
            }
            Self::File { source, .. } if source.kind() == std::io::ErrorKind::PermissionDenied => {
                Some("run flowctl as a user who may, or change the permissions".to_owned())
            }
            Self::File { action: "create" | "write", path, source, .. }
                if source.kind() == std::io::ErrorKind::NotFound =>
            {
                let parent = path.parent().unwrap_or(path);
                Some(format!("create the directory `{}` first", parent.display()))
            }
            Self::File { path, source, .. } if source.kind() == std::io::ErrorKind::NotFound && path.is_relative() => {
                Some("relative paths start at the directory that flowctl was started in".to_owned())
            }
            _ => None,
        }
    }
}
