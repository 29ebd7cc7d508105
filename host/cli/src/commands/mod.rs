//! One file a command; the doc comment of its arguments is its help.

mod artifact_row;
pub(crate) mod completions;
pub(crate) mod dashboard;
pub(crate) mod dead_letters;
mod describe;
pub(crate) mod doctor;
pub(crate) mod explain;
pub(crate) mod index;
pub(crate) mod init;
pub(crate) mod inspect;
pub(crate) mod lock;
pub(crate) mod login;
pub(crate) mod man;
pub(crate) mod pipelines;
pub(crate) mod plugins;
pub(crate) mod processors;
pub(crate) mod pull;
pub(crate) mod push;
pub(crate) mod run;
pub(crate) mod search;
pub(crate) mod serve;
pub(crate) mod status;
pub(crate) mod tap;
pub(crate) mod tokens;
pub(crate) mod topology;
pub(crate) mod validate;
