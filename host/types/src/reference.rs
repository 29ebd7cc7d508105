//! References to plugins: a file, a name, or an artifact in a registry or a layout.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::{Digest, DigestError};

/// How a pipeline names a plugin.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Reference {
    /// A component on disk: the text ends in `.wasm`, or starts with `/`, `./` or `../`.
    File(PathBuf),
    /// A plugin by name among those that are known, `ttp-processor` or `ttp-processor@1.2.0`.
    Name {
        /// The plugin's name.
        name: String,
        /// The exact version, where one was written.
        version: Option<String>,
    },
    /// An OCI artifact, `registry/repository:tag` or `registry/repository@sha256:…`.
    Oci {
        /// Registry and repository, as written.
        repository: String,
        /// The tag, where one was written.
        tag: Option<String>,
        /// The digest, where one was written; it wins over the tag.
        digest: Option<Digest>,
    },
    /// An artifact in an OCI image layout on disk: `oci-layout:PATH`, `oci-layout:PATH:TAG`
    /// or `oci-layout:PATH@sha256:…`. What stands behind the last colon is a tag where it
    /// is spelled as one, and part of the path else.
    Layout {
        /// The layout's folder.
        path: PathBuf,
        /// The tag, where one was written.
        tag: Option<String>,
        /// The digest of the manifest, where one was written; it wins over the tag.
        digest: Option<Digest>,
    },
}

/// How a reference to an OCI image layout begins.
const LAYOUT: &str = "oci-layout:";

/// Most characters of a tag.
const MAX_TAG_CHARS: usize = 128;

/// Why a text is no reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReferenceError {
    /// Nothing, or white space, or control characters.
    #[error(
        "`{text}` is not a plugin reference: write a path, a name, `registry/repository:tag`, or `oci-layout:PATH`"
    )]
    Spelling {
        /// What was read.
        text: String,
    },
    /// The part after `@` is not a digest.
    #[error("reference `{text}` has no readable digest")]
    Digest {
        /// What was read.
        text: String,
        /// What is wrong with the digest.
        #[source]
        source: DigestError,
    },
}

impl Reference {
    /// The short name a person would use: the file's stem, the name, or the last
    /// part of the repository or of the layout's path.
    #[must_use]
    pub fn short_name(&self) -> &str {
        match self {
            Self::File(path) => path.file_stem().and_then(|stem| stem.to_str()).unwrap_or("plugin"),
            Self::Name { name, .. } => name,
            Self::Oci { repository, .. } => repository.rsplit('/').next().unwrap_or(repository),
            Self::Layout { path, .. } => path.file_name().and_then(|name| name.to_str()).unwrap_or("plugin"),
        }
    }

    /// Reads what stands behind `oci-layout:`.
    fn layout(text: &str, layout: &str) -> Result<Self, ReferenceError> {
        let (rest, digest) = match layout.rsplit_once('@') {
            Some((rest, digest)) if digest.starts_with("sha256:") => (rest, Some(read_digest(text, digest)?)),
            _ => (layout, None),
        };
        let (path, tag) = match rest.rsplit_once(':') {
            Some((path, tag)) if is_tag(tag) => (path, Some(tag.to_owned())),
            _ => (rest, None),
        };
        if path.is_empty() {
            return Err(ReferenceError::Spelling { text: text.to_owned() });
        }
        Ok(Self::Layout { path: path.into(), tag, digest })
    }
}

/// Whether `text` is spelled as the distribution specification has it for tags: a letter,
/// a digit or `_`, then up to 127 of these, `.` and `-`.
#[must_use]
pub fn is_tag(text: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.len() <= MAX_TAG_CHARS && text.starts_with(is_word) && text.chars().all(|c| is_word(c) || c == '.' || c == '-')
}

fn read_digest(text: &str, digest: &str) -> Result<Digest, ReferenceError> {
    digest.parse().map_err(|source| ReferenceError::Digest { text: text.to_owned(), source })
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let spelling = || ReferenceError::Spelling { text: text.to_owned() };
        if text.is_empty() || text.chars().any(|c| c.is_whitespace() && c != ' ' || c.is_control()) {
            return Err(spelling());
        }
        if let Some(layout) = text.strip_prefix(LAYOUT) {
            return Self::layout(text, layout);
        }
        let starts_as_path = ["/", "./", "../"].iter().any(|start| text.starts_with(start));
        if starts_as_path || Path::new(text).extension().is_some_and(|extension| extension == "wasm") {
            return Ok(Self::File(text.into()));
        }
        if text.contains(' ') {
            return Err(spelling());
        }
        if !text.contains('/') {
            let (name, version) = match text.split_once('@') {
                Some((name, version)) => (name, Some(version.to_owned())),
                None => (text, None),
            };
            if name.is_empty() || name.contains(':') || version.as_deref() == Some("") {
                return Err(spelling());
            }
            return Ok(Self::Name { name: name.to_owned(), version });
        }
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(read_digest(text, digest)?)),
            None => (text, None),
        };
        let (repository, tag) = match rest.rsplit_once(':') {
            Some((repository, tag)) if !tag.contains('/') => (repository, Some(tag.to_owned())),
            _ => (rest, None),
        };
        if repository.ends_with('/') || tag.as_deref() == Some("") {
            return Err(spelling());
        }
        Ok(Self::Oci { repository: repository.to_owned(), tag, digest })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Name { name, version: None } => f.write_str(name),
            Self::Name { name, version: Some(version) } => write!(f, "{name}@{version}"),
            Self::Oci { repository, tag, digest } => {
                f.write_str(repository)?;
                write_version(f, tag.as_deref(), digest.as_ref())
            }
            Self::Layout { path, tag, digest } => {
                write!(f, "{LAYOUT}{}", path.display())?;
                write_version(f, tag.as_deref(), digest.as_ref())
            }
        }
    }
}

fn write_version(f: &mut fmt::Formatter<'_>, tag: Option<&str>, digest: Option<&Digest>) -> fmt::Result {
    if let Some(tag) = tag {
        write!(f, ":{tag}")?;
    }
    if let Some(digest) = digest {
        write!(f, "@{digest}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_told_apart_by_their_spelling() {
        let kind = |text: &str| match text.parse::<Reference>().unwrap() {
            Reference::File(_) => "file",
            Reference::Name { .. } => "name",
            Reference::Oci { .. } => "oci",
            Reference::Layout { .. } => "layout",
        };
        assert_eq!(kind("plugins/ttp.wasm"), "file");
        assert_eq!(kind("./ttp"), "file");
        assert_eq!(kind("ttp-processor"), "name");
        assert_eq!(kind("ttp-processor@1.2.0"), "name");
        assert_eq!(kind("registry.example:5000/acme/ttp:1.2.0"), "oci");
    }

    #[test]
    fn references_survive_text() {
        let digest = Digest::of(b"x");
        for text in [
            "ttp",
            "ttp@1.0.0",
            "r.example:5000/a/b",
            "r.example/a/b:1",
            &format!("r.example/a/b:1@{digest}"),
            "oci-layout:shelf",
            "oci-layout:/srv/a b/shelf.wasm:1.2.0",
            &format!("oci-layout:./shelf@{digest}"),
            &format!("oci-layout:./shelf:1@{digest}"),
        ] {
            assert_eq!(text.parse::<Reference>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn the_tag_of_a_layout_is_told_from_its_path() {
        let check = |text: &str, path: &str, tag: Option<&str>| {
            let want = Reference::Layout { path: path.into(), tag: tag.map(str::to_owned), digest: None };
            assert_eq!(text.parse(), Ok(want), "{text}");
        };
        check("oci-layout:shelf:latest", "shelf", Some("latest"));
        check("oci-layout:/a:b/shelf", "/a:b/shelf", None);
        check("oci-layout:/a@b/shelf:v1", "/a@b/shelf", Some("v1"));
        check("oci-layout:shelf:", "shelf:", None);
    }

    #[test]
    fn nonsense_is_refused() {
        for bad in ["", "a b", "a\nb", "name@", "r.example/a@md5:1", "r.example/a/", "oci-layout:", "oci-layout::v1"] {
            assert!(bad.parse::<Reference>().is_err(), "{bad}");
        }
    }
}
