//! What is kept of components beyond this process, and who notices that one is silent.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use flowctl_proto::v1::HealthStatus;
use jiff::Timestamp;
use tokio::sync::watch;
use tracing::warn;

use super::{Directory, DirectoryError, DirectorySettings, Health, Inner, Slot};
use crate::records::{Beat, ComponentRow, Records, RecordsError};
use crate::tenants::Tenant;

impl Directory {
    /// The directory that `records` keeps, with the components of an earlier process.
    /// Its janitor goes on until the last handle is dropped.
    ///
    /// # Errors
    ///
    /// [`RecordsError`] when they cannot be read.
    pub async fn open(records: Records, settings: DirectorySettings) -> Result<Self, RecordsError> {
        let mut components = HashMap::<Tenant, BTreeMap<String, Slot>>::new();
        for row in records.components().await? {
            let tenant = row.tenant.clone();
            match Slot::read(row) {
                Some(slot) => {
                    let of_tenant = components.entry(tenant).or_default();
                    of_tenant.insert(slot.registration.id.clone(), slot);
                }
                None => warn!(%tenant, "a stored component cannot be read, and is forgotten"),
            }
        }
        let changes = watch::channel(0).0;
        let inner = Arc::new(Inner { settings, records, components: Mutex::new(components), changes });
        tokio::spawn(look_after(Arc::downgrade(&inner)));
        Ok(Self { inner })
    }

    /// Writes the beats that the store does not have.
    pub async fn flush(&self) {
        self.inner.write_beats().await;
    }
}

impl Inner {
    pub(super) async fn write_down(&self, tenant: &Tenant, slot: &Slot) -> Result<(), DirectoryError> {
        let registration = serde_json::to_string(&*slot.registration).map_err(|error| stored(&error))?;
        let row = ComponentRow {
            tenant: tenant.clone(),
            id: slot.registration.id.clone(),
            registration,
            registered_at: slot.registered_at,
            beat: slot.beat(tenant),
        };
        self.records.put_component(row).await.map_err(|error| stored(&error))
    }

    pub(super) async fn strike_out(&self, tenant: &Tenant, id: &str) -> Result<(), DirectoryError> {
        self.records.delete_component(tenant, id).await.map_err(|error| stored(&error))
    }

    async fn write_beats(&self) {
        let mut beats = Vec::new();
        for (tenant, of_tenant) in self.components().iter_mut() {
            for slot in of_tenant.values_mut().filter(|slot| slot.is_unwritten) {
                slot.is_unwritten = false;
                beats.push(slot.beat(tenant));
            }
        }
        if !beats.is_empty()
            && let Err(error) = self.records.put_beats(beats).await
        {
            warn!(%error, "heartbeats cannot be stored");
        }
    }

    /// Tells watchers who fell silent, and answers who has been for too long.
    fn look(&self) -> Vec<(Tenant, String)> {
        let mut has_changed = false;
        let mut gone = Vec::new();
        for (tenant, of_tenant) in self.components().iter_mut() {
            for slot in of_tenant.values_mut() {
                let health = slot.health(self.settings.ttl);
                has_changed |= health != slot.told;
                slot.told = health;
                if slot.last_beat.elapsed() > self.settings.forget_after {
                    gone.push((tenant.clone(), slot.registration.id.clone()));
                }
            }
        }
        if has_changed {
            self.changed();
        }
        gone
    }
}

impl Slot {
    fn beat(&self, tenant: &Tenant) -> Beat {
        Beat {
            tenant: tenant.clone(),
            id: self.registration.id.clone(),
            at: self.beaten_at,
            status: self.reported.into(),
            // texts of texts cannot fail
            metrics: serde_json::to_string(&*self.metrics).unwrap_or_default(),
        }
    }

    fn read(row: ComponentRow) -> Option<Self> {
        let silent = Duration::try_from(Timestamp::now().duration_since(row.beat.at)).unwrap_or_default();
        let now = Instant::now();
        let mut slot = Self {
            registration: Arc::new(serde_json::from_str(&row.registration).ok()?),
            reported: HealthStatus::try_from(row.beat.status).unwrap_or_default(),
            metrics: Arc::new(serde_json::from_str(&row.beat.metrics).unwrap_or_default()),
            registered_at: row.registered_at,
            beaten_at: row.beat.at,
            // a machine that started later than that has no such moment
            last_beat: now.checked_sub(silent).unwrap_or(now),
            told: Health::Unhealthy,
            is_unwritten: false,
        };
        slot.told = Health::reported(slot.reported);
        Some(slot)
    }
}

/// Looks after the components until all handles are gone.
async fn look_after(inner: Weak<Inner>) {
    let Some(period) = inner.upgrade().map(|inner| inner.settings.janitor_period) else { return };
    loop {
        tokio::time::sleep(period).await;
        let Some(inner) = inner.upgrade() else { return };
        inner.write_beats().await;
        let directory = Directory { inner };
        for (tenant, id) in directory.inner.look() {
            // it may have gone by itself meanwhile
            let _ = directory.unregister(&tenant, &id).await;
        }
    }
}

fn stored(error: &(dyn std::error::Error + 'static)) -> DirectoryError {
    DirectoryError::Store(crate::text::chain(error))
}
