//! `flowctl serve`.
