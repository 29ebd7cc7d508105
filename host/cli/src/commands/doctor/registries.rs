//! Registries, and what lies here for them: settings, logins, the policy of signatures.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use flowctl_oci::auth::{Credentials, Login};
use flowctl_oci::policy::Policy;
use flowctl_oci::{Client, ClientOptions, OciError, Patience, RegistryRef};
use flowctl_types::Reference;

use super::check::{Check, count};
use super::clock::Reading;
use super::{Findings, within};
use crate::artifacts::settings::Settings;
use crate::artifacts::{refused, trust};
use crate::output::shell_word;
use crate::report::hinted;
use crate::{artifacts, paths};

/// How long a credential helper is waited for: less than a registry, so that it is told from one.
const HELPER_LIMIT: Duration = Duration::from_secs(4);

pub(super) async fn check(named: &[String], is_insecure: bool, ca_files: &[PathBuf]) -> Findings {
    let loaded = Settings::load();
    let settings = loaded.as_ref().cloned().unwrap_or_default();
    let credentials = credentials();
    let insecure = if is_insecure { named } else { &[] };
    let client_with = |logins: &Credentials| client(&settings, logins, insecure, ca_files);
    let mut checks = vec![settings_check(&loaded), logins(&credentials), policy(&settings)];
    let registries = registries(&settings, named);
    let asked = registries.iter().map(|registry| ask(registry, &credentials, &client_with));
    let mut readings = Vec::new();
    for (check, reading) in futures_util::future::join_all(asked).await {
        checks.push(check);
        readings.extend(reading);
    }
    Findings { checks, readings }
}

/// The logins that are kept.
pub(super) fn credentials() -> Credentials {
    artifacts::credentials().with_helper_limit(HELPER_LIMIT)
}

/// A client that asks once: how a registry is now is what counts.
pub(super) fn client(settings: &Settings, logins: &Credentials, insecure: &[String], ca_files: &[PathBuf]) -> Client {
    Client::new(ClientOptions {
        logins: Some(Arc::new(logins.clone())),
        insecure: settings.insecure.iter().chain(insecure).cloned().collect(),
        ca_files: settings.ca_files.iter().chain(ca_files).cloned().collect(),
        patience: Patience { attempts: 1, first_wait: Duration::ZERO, longest_wait: Duration::ZERO },
    })
}

fn settings_check(loaded: &anyhow::Result<Settings>) -> Check {
    match loaded {
        Err(error) => Check::of_error("settings", error),
        Ok(settings) => {
            let registry = settings.registry.as_ref();
            let registry = registry.map_or("no default registry".to_owned(), |name| format!("registry `{name}`"));
            let indexes = match settings.indexes.len() {
                1 => "1 index".to_owned(),
                n => format!("{n} indexes"),
            };
            Check::ok("settings", format!("{registry}, {indexes}"))
        }
    }
}

/// The registries that are named, those of the settings first.
fn registries(settings: &Settings, named: &[String]) -> Vec<String> {
    let host = |text: &String| text.split('/').next().unwrap_or_default().to_owned();
    let of_indexes = settings.indexes.iter().filter_map(|text| text.parse::<Reference>().ok());
    let of_indexes = of_indexes
        .filter_map(|reference| RegistryRef::from_reference(&reference, settings.registry.as_deref()).ok())
        .map(|reference| reference.registry().to_owned());
    let mut seen = BTreeSet::new();
    let all = settings.registry.iter().map(host).chain(of_indexes).chain(named.iter().map(host));
    all.filter(|registry| seen.insert(registry.clone())).collect()
}

/// Whether a registry answers, and takes the login that is kept for it. Whoever keeps that is
/// asked once, for the client too.
async fn ask(
    registry: &str,
    kept: &Credentials,
    client_with: &impl Fn(&Credentials) -> Client,
) -> (Check, Option<Reading>) {
    let failed = |error: OciError| (Check::of_error(registry, &refused(error)), None);
    let login = match kept.login(registry).await {
        Ok(login) => login,
        Err(error) => return failed(OciError::Login { registry: registry.to_owned(), source: Box::new(error) }),
    };
    let client = client_with(&Credentials::default().with_login(registry, login.clone()));
    match within(client.check_login(registry)).await {
        None => {
            let found = "does not answer within 5 s";
            let remedy = format!("see that `{registry}` is spelled right and can be reached from here");
            (Check::failed(registry, found, remedy), None)
        }
        Some(Ok(date)) => {
            let who = match login {
                Login::Anonymous => "no login is kept for it",
                _ => "it takes the login that is kept",
            };
            let ours = SystemTime::now();
            let reading = date.map(|theirs| Reading { who: registry.to_owned(), theirs, ours });
            (Check::ok(registry, format!("answers; {who}")), reading)
        }
        Some(Err(error)) => failed(error),
    }
}

/// The file of logins that docker keeps.
fn logins(credentials: &Credentials) -> Check {
    const NAME: &str = "logins";
    let summary = match credentials.summary() {
        Err(error) => {
            let hint = error.hint();
            return Check::of_error(NAME, &hinted(hint, error));
        }
        Ok(None) => {
            let path = paths::docker_config().map(|folder| folder.join("config.json"));
            let place =
                path.map_or_else(|| "there is no HOME".to_owned(), |path| format!("`{}` is not there", path.display()));
            return Check::note(NAME, format!("none are kept: {place}"));
        }
        Ok(Some(summary)) => summary,
    };
    let path = summary.path.display();
    if let Some(helper) = &summary.missing {
        let found = format!("`{path}` names the credential helper `{helper}`, which is not in PATH");
        return Check::failed(NAME, found, format!("install `docker-credential-{helper}`"));
    }
    let mode = std::fs::metadata(&summary.path).map_or(0, |file| file.permissions().mode() & 0o777);
    if !summary.registries.is_empty() && summary.helpers.is_empty() && mode & 0o044 != 0 {
        let found = format!("others may read `{path}` (mode {mode:o}), and with it logins");
        return Check::warning(NAME, found, format!("chmod 600 {}", shell_word(&summary.path)));
    }
    let helpers = match summary.helpers.as_slice() {
        [] => String::new(),
        names => format!("; kept by {}", names.join(", ")),
    };
    Check::ok(NAME, format!("`{path}` has {}{helpers}", count(summary.registries.len(), "login")))
}

fn policy(settings: &Settings) -> Check {
    const NAME: &str = "signatures";
    let Some(path) = &settings.policy else {
        return Check::note(NAME, "there is no policy: plugins need none");
    };
    match Policy::load(path) {
        Ok(_) => Check::ok(NAME, format!("the policy `{}` can be read", path.display())),
        Err(error) => Check::of_error(NAME, &trust::unusable(&error)),
    }
}
