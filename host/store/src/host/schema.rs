//! The tables of the control plane's database.
//!
//! Texts that may be long stand in the last columns or in a table of their own, so that
//! lists do not read them.

use crate::database::{Check, Format};

/// The control plane's database. It may be large and is opened at every start, hence not
/// read as a whole.
pub(crate) const FORMAT: Format = Format {
    migrations: &MIGRATIONS,
    // pages that are free can be given back
    creation: "PRAGMA auto_vacuum = INCREMENTAL;",
    // the log's file shrinks after a burst
    settings: "PRAGMA journal_size_limit = 4194304;",
    check: Check::WhenRead,
    loss: "checkpoints stay, but pipelines, runs and credentials that it held have to be made anew",
};

const MIGRATIONS: [&str; 3] = [
    "
    CREATE TABLE component (
        tenant TEXT NOT NULL,
        id TEXT NOT NULL,
        name TEXT NOT NULL,
        description TEXT NOT NULL,
        version TEXT NOT NULL,
        role TEXT NOT NULL,
        input_types TEXT NOT NULL, -- JSON, as are `output_types`, `metadata` and `metrics`
        output_types TEXT NOT NULL,
        endpoint TEXT NOT NULL,
        metadata TEXT NOT NULL,
        node TEXT,
        registered_at INTEGER NOT NULL,
        last_heartbeat INTEGER NOT NULL,
        status TEXT NOT NULL,
        metrics TEXT NOT NULL,
        PRIMARY KEY (tenant, id)
    ) STRICT;
    CREATE TABLE pipeline (
        tenant TEXT NOT NULL,
        name TEXT NOT NULL,
        file_name TEXT NOT NULL,
        base_dir TEXT NOT NULL,
        plugins TEXT NOT NULL, -- JSON, as are `options`
        options TEXT NOT NULL,
        is_wanted INTEGER NOT NULL,
        created_at INTEGER NOT NULL,
        changed_at INTEGER NOT NULL,
        text TEXT NOT NULL,
        lock TEXT NOT NULL,
        PRIMARY KEY (tenant, name)
    ) STRICT;
    CREATE INDEX pipeline_that_is_wanted ON pipeline (tenant, name) WHERE is_wanted;
    CREATE TABLE run (
        number INTEGER PRIMARY KEY AUTOINCREMENT, -- the position in lists
        id TEXT NOT NULL UNIQUE,
        tenant TEXT NOT NULL,
        pipeline TEXT NOT NULL,
        host_id TEXT NOT NULL,
        status TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        started_at INTEGER,
        ended_at INTEGER,
        error TEXT NOT NULL,
        hint TEXT NOT NULL,
        epoch INTEGER NOT NULL,
        events_in INTEGER NOT NULL,
        events_out INTEGER NOT NULL,
        rejected INTEGER NOT NULL,
        dead_letters TEXT NOT NULL,
        figures TEXT NOT NULL, -- JSON
        CHECK ((ended_at IS NULL) = (status IN ('starting', 'running', 'stopping'))),
        FOREIGN KEY (tenant, pipeline) REFERENCES pipeline (tenant, name)
    ) STRICT;
    -- each ends in the run's number, as every index does
    CREATE INDEX run_of_tenant ON run (tenant);
    CREATE INDEX run_of_pipeline ON run (tenant, pipeline);
    CREATE INDEX run_that_goes_on ON run (tenant, pipeline) WHERE ended_at IS NULL;
    CREATE TABLE run_text (
        run INTEGER PRIMARY KEY REFERENCES run ON DELETE CASCADE,
        config TEXT NOT NULL,
        resolved TEXT NOT NULL
    ) STRICT;
    CREATE TABLE event_log (
        run INTEGER PRIMARY KEY REFERENCES run ON DELETE CASCADE,
        last_number INTEGER NOT NULL,
        n_events INTEGER NOT NULL,
        bytes INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE event (
        run INTEGER NOT NULL REFERENCES event_log ON DELETE CASCADE,
        number INTEGER NOT NULL, -- from 1 within the run
        at INTEGER NOT NULL,
        level TEXT NOT NULL,
        kind TEXT NOT NULL,
        node TEXT,
        message TEXT NOT NULL,
        PRIMARY KEY (run, number)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE credential (
        id TEXT PRIMARY KEY,
        tenant TEXT NOT NULL,
        role TEXT NOT NULL,
        kind TEXT NOT NULL,
        digest BLOB NOT NULL UNIQUE,
        description TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        expires_at INTEGER,
        last_used_at INTEGER
    ) STRICT;
",
    "
    ALTER TABLE pipeline ADD COLUMN revision INTEGER NOT NULL DEFAULT 0; -- 0: none was written down
    CREATE TABLE revision (
        tenant TEXT NOT NULL,
        pipeline TEXT NOT NULL,
        number INTEGER NOT NULL, -- from 1 within the pipeline
        run TEXT NOT NULL,
        at INTEGER NOT NULL,
        status TEXT NOT NULL,
        reason TEXT NOT NULL,
        changes TEXT NOT NULL, -- JSON, as is `outcome`
        outcome TEXT NOT NULL,
        chain TEXT NOT NULL,
        text TEXT NOT NULL,
        lock TEXT NOT NULL,
        PRIMARY KEY (tenant, pipeline, number)
    ) STRICT;
",
    "
    ALTER TABLE run ADD COLUMN error_code TEXT NOT NULL DEFAULT '';
",
];
