//! Components that live in other processes: who registered, and how they are.
//!
//! Invariants: a component counts as well only while it beats; everything is bounded,
//! by count and by bytes; registrations are in the store before they are answered, beats
//! are written in batches.

mod component;
mod janitor;
mod live;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use flowctl_proto::v1::HealthStatus;
use jiff::Timestamp;
use tokio::sync::watch;

pub use component::{DirectoryError, Health, Registration};
pub(crate) use component::{role_number, role_text};

use crate::records::Records;
use crate::tenants::Tenant;

/// How long components are believed, and how many there may be.
#[derive(Debug, Clone, Copy)]
pub struct DirectorySettings {
    /// Without a beat for this long a component is unhealthy. Default 75 s: existing ones
    /// beat every 10 to 30 s.
    pub ttl: Duration,
    /// Between two looks of the janitor. Default 10 s.
    pub janitor_period: Duration,
    /// Without a beat for this long a component is forgotten. Default 24 h.
    pub forget_after: Duration,
    /// Components of one tenant. Default 10,000.
    pub max_components: usize,
}

/// The components that registered. Cheap to clone.
#[derive(Clone)]
pub struct Directory {
    inner: Arc<Inner>,
}

/// One component at one moment.
#[derive(Debug, Clone)]
pub struct Component {
    /// What it said of itself.
    pub registration: Arc<Registration>,
    /// How it is.
    pub health: Health,
    /// When it last beat; its registration counts as a beat.
    pub last_heartbeat: Timestamp,
    /// When it registered.
    pub registered_at: Timestamp,
    /// What it last reported.
    pub metrics: Arc<BTreeMap<String, String>>,
}

struct Inner {
    settings: DirectorySettings,
    records: Records,
    components: Mutex<HashMap<Tenant, BTreeMap<String, Slot>>>,
    changes: watch::Sender<u64>,
}

/// A component as it is kept.
struct Slot {
    registration: Arc<Registration>,
    reported: HealthStatus,
    metrics: Arc<BTreeMap<String, String>>,
    registered_at: Timestamp,
    beaten_at: Timestamp,
    /// The same on a clock that nobody sets.
    last_beat: Instant,
    /// What watchers were told last.
    told: Health,
    /// Whether the store does not have the last beat.
    is_unwritten: bool,
}

impl Default for DirectorySettings {
    fn default() -> Self {
        Self {
            ttl: Duration::from_secs(75),
            janitor_period: Duration::from_secs(10),
            forget_after: Duration::from_secs(24 * 60 * 60),
            max_components: 10_000,
        }
    }
}

impl Directory {
    /// Makes `registration` known, in place of a former one of the same id.
    ///
    /// # Errors
    ///
    /// [`DirectoryError::Full`] where the tenant may have no more, or
    /// [`DirectoryError::Store`]. The directory is as it was.
    pub async fn register(&self, tenant: &Tenant, registration: Registration) -> Result<(), DirectoryError> {
        self.check_room(tenant, &registration.id)?;
        let slot = Slot::new(registration);
        self.inner.write_down(tenant, &slot).await?;
        let mut components = self.inner.components();
        let of_tenant = components.entry(tenant.clone()).or_default();
        of_tenant.insert(slot.registration.id.clone(), slot);
        drop(components);
        self.inner.changed();
        Ok(())
    }

    /// Takes note that a component lives.
    ///
    /// # Errors
    ///
    /// [`DirectoryError::Unknown`] where it is not registered, and
    /// [`DirectoryError::Invalid`] where its metrics are too many or too large.
    pub fn beat(
        &self,
        tenant: &Tenant,
        id: &str,
        reported: HealthStatus,
        metrics: impl IntoIterator<Item = (String, String)>,
    ) -> Result<(), DirectoryError> {
        let metrics = component::pairs("metrics", metrics)?;
        let mut components = self.inner.components();
        let slot = components.get_mut(tenant).and_then(|of_tenant| of_tenant.get_mut(id)).ok_or_else(|| unknown(id))?;
        let before = slot.health(self.inner.settings.ttl);
        slot.reported = reported;
        if *slot.metrics != metrics {
            slot.metrics = Arc::new(metrics);
        }
        slot.last_beat = Instant::now();
        slot.beaten_at = Timestamp::now();
        slot.is_unwritten = true;
        let health = Health::reported(reported);
        // the janitor may not have looked since it fell silent
        let has_changed = slot.told != health || before != health;
        slot.told = health;
        drop(components);
        if has_changed {
            self.inner.changed();
        }
        Ok(())
    }

    /// Forgets a component.
    ///
    /// # Errors
    ///
    /// [`DirectoryError::Unknown`] where it is not registered, or
    /// [`DirectoryError::Store`], when it stays.
    pub async fn unregister(&self, tenant: &Tenant, id: &str) -> Result<(), DirectoryError> {
        self.get(tenant, id)?;
        self.inner.strike_out(tenant, id).await?;
        if let Some(of_tenant) = self.inner.components().get_mut(tenant) {
            of_tenant.remove(id);
        }
        self.inner.changed();
        Ok(())
    }

    /// One component.
    ///
    /// # Errors
    ///
    /// [`DirectoryError::Unknown`] where it is not registered.
    pub fn get(&self, tenant: &Tenant, id: &str) -> Result<Component, DirectoryError> {
        let components = self.inner.components();
        let slot = components.get(tenant).and_then(|of_tenant| of_tenant.get(id)).ok_or_else(|| unknown(id))?;
        Ok(slot.shown(self.inner.settings.ttl))
    }

    /// All components of a tenant, by id.
    #[must_use]
    pub fn list(&self, tenant: &Tenant) -> Vec<Component> {
        let components = self.inner.components();
        let of_tenant = components.get(tenant).into_iter().flat_map(BTreeMap::values);
        of_tenant.map(|slot| slot.shown(self.inner.settings.ttl)).collect()
    }

    /// Components of a tenant.
    #[must_use]
    pub fn count(&self, tenant: &Tenant) -> usize {
        self.inner.components().get(tenant).map_or(0, BTreeMap::len)
    }

    /// Is told whenever a component comes, goes, or changes its health, of whatever tenant.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.inner.changes.subscribe()
    }

    fn check_room(&self, tenant: &Tenant, id: &str) -> Result<(), DirectoryError> {
        let components = self.inner.components();
        let Some(of_tenant) = components.get(tenant) else { return Ok(()) };
        if of_tenant.len() >= self.inner.settings.max_components && !of_tenant.contains_key(id) {
            return Err(DirectoryError::Full { n_components: of_tenant.len() });
        }
        Ok(())
    }
}

impl Inner {
    fn components(&self) -> MutexGuard<'_, HashMap<Tenant, BTreeMap<String, Slot>>> {
        self.components.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn changed(&self) {
        self.changes.send_modify(|n_changes| *n_changes += 1);
    }
}

impl Slot {
    fn new(registration: Registration) -> Self {
        let now = Timestamp::now();
        Self {
            registration: Arc::new(registration),
            reported: HealthStatus::Unknown,
            metrics: Arc::default(),
            registered_at: now,
            beaten_at: now,
            last_beat: Instant::now(),
            told: Health::Healthy,
            is_unwritten: false,
        }
    }

    fn health(&self, ttl: Duration) -> Health {
        if self.last_beat.elapsed() > ttl { Health::Unhealthy } else { Health::reported(self.reported) }
    }

    fn shown(&self, ttl: Duration) -> Component {
        Component {
            registration: Arc::clone(&self.registration),
            health: self.health(ttl),
            last_heartbeat: self.beaten_at,
            registered_at: self.registered_at,
            metrics: Arc::clone(&self.metrics),
        }
    }
}

fn unknown(id: &str) -> DirectoryError {
    DirectoryError::Unknown { id: id.to_owned() }
}
