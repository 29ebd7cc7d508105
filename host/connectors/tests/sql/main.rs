//! Sinks that write to databases: a real PostgreSQL, and SQLite.
#![allow(clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

mod chaos;
mod columns;
mod commits;
mod database;
mod once;
mod proxy;
mod rules;
mod sqlite;
mod tables;
mod tls;
mod upsert;
