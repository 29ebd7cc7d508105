//! What is kept of components beyond this process, and who notices that one is silent.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use flowctl_store::{ComponentRecord, Heartbeat, HostStore, StateError};
use jiff::Timestamp;
use tokio::sync::watch;
use tracing::warn;

use super::component::{reported_from, reported_text};
use super::{Directory, DirectoryError, DirectorySettings, Health, Inner, Registration, Slot};
use crate::records::{Records, moment};
use crate::tenants::Tenant;

impl Directory {
    /// The directory that `store` keeps, with the components of an earlier process.
    /// Its janitor goes on until the last handle is dropped.
    ///
    /// # Errors
    ///
    /// [`StateError`] when they cannot be read.
    pub async fn open(store: HostStore, settings: DirectorySettings) -> Result<Self, StateError> {
        let records = Records::new(store);
        let mut components = HashMap::<Tenant, BTreeMap<String, Slot>>::new();
        for record in records.call(HostStore::components).await? {
            let Ok(tenant) = record.tenant.parse::<Tenant>() else {
                warn!(tenant = record.tenant, id = record.id, "a stored component has no tenant that is one");
                continue;
            };
            components.entry(tenant).or_default().insert(record.id.clone(), Slot::read(record));
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
        let record = slot.record(tenant);
        Ok(self.records.call(move |store| store.put_component(&record)).await?)
    }

    pub(super) async fn strike_out(&self, tenant: &Tenant, id: &str) -> Result<(), DirectoryError> {
        let (tenant, id) = (tenant.to_string(), id.to_owned());
        self.records.call(move |store| store.remove_component(&tenant, &id)).await?;
        Ok(())
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
            && let Err(error) = self.records.call(move |store| store.beat(&beats)).await
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
    fn beat(&self, tenant: &Tenant) -> Heartbeat {
        Heartbeat {
            tenant: tenant.to_string(),
            id: self.registration.id.clone(),
            at: self.beaten_at.as_millisecond(),
            status: reported_text(self.reported).to_owned(),
            metrics: (*self.metrics).clone(),
        }
    }

    fn record(&self, tenant: &Tenant) -> ComponentRecord {
        let Registration { id, name, description, version, role, input_types, output_types, endpoint, metadata, node } =
            (*self.registration).clone();
        let Heartbeat { at, status, metrics, .. } = self.beat(tenant);
        ComponentRecord {
            tenant: tenant.to_string(),
            id,
            name,
            description,
            version,
            role,
            input_types,
            output_types,
            endpoint,
            metadata,
            node,
            registered_at: self.registered_at.as_millisecond(),
            last_heartbeat: at,
            status,
            metrics,
        }
    }

    fn read(record: ComponentRecord) -> Self {
        let beaten_at = moment(record.last_heartbeat);
        let silent = Duration::try_from(Timestamp::now().duration_since(beaten_at)).unwrap_or_default();
        let now = Instant::now();
        let reported = reported_from(&record.status);
        let ComponentRecord { id, name, description, version, role, input_types, output_types, .. } = record;
        let ComponentRecord { endpoint, metadata, node, .. } = record;
        Self {
            registration: Arc::new(Registration {
                id,
                name,
                description,
                version,
                role,
                input_types,
                output_types,
                endpoint,
                metadata,
                node,
            }),
            reported,
            metrics: Arc::new(record.metrics),
            registered_at: moment(record.registered_at),
            beaten_at,
            // a machine that started later than that has no such moment
            last_beat: now.checked_sub(silent).unwrap_or(now),
            told: Health::reported(reported),
            is_unwritten: false,
        }
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
