//! Writes the events of one type into their table.
//!
//! Rows of a table without rules of its own go in as they come, in one COPY that stays
//! open until the flush: nothing but the types of its columns could refuse them, and
//! those were checked, so nobody waits for the server's word. Where a table has rules
//! (constraints, indexes, triggers), every batch has a savepoint and is waited for, and
//! one that is refused is halved until the events that break a rule are found.
//!
//! With a key, rows go to a temporary table first, and from there into the table: with
//! the batch where there are rules, else once an epoch, so that rows of it are locked
//! for moments only.

use std::ops::Range;
use std::pin::Pin;

use bytes::Bytes;
use flowctl_runtime::Rejection;
use flowctl_schema::Schema;
use flowctl_types::Batch;
use futures_util::SinkExt as _;
use tokio_postgres::{Client, CopyInSink, Error, Statement};

use super::copy::{Encoder, HEAD, Rows, Sequence, TAIL};
use super::definition::Ready;
use super::fault::{self, Meaning};
use super::session::{Failure, Session};
use crate::sql::table::Table;
use crate::sql::{quoted, quoted_list};

/// The column that numbers the rows of the temporary table. No field has such a name.
const SEQUENCE: &str = "#";
const SAVEPOINT: &str = "SAVEPOINT flowctl_batch";
const KEEP: &str = "RELEASE SAVEPOINT flowctl_batch";
const UNDO: &str = "ROLLBACK TO SAVEPOINT flowctl_batch; RELEASE SAVEPOINT flowctl_batch";

/// One table of a sink, over all its sessions.
pub(super) struct Target {
    pub(super) table: Table,
    schema: Schema,
    encoder: Encoder,
    /// Whether a row was refused where no rule was seen.
    has_surprised: bool,
}

/// The same table in one session.
pub(super) struct Open {
    pub(super) place: String,
    has_rules: bool,
    copy: Statement,
    /// The COPY that rows go to; none before the first row.
    copying: Option<Copying>,
    stage: Option<Stage>,
}

type Copying = Pin<Box<CopyInSink<Bytes>>>;

/// The temporary table of a session, and what of it is of the transaction at hand.
struct Stage {
    create: String,
    merge: String,
    clear: String,
    /// Whether it was made in this transaction.
    is_made: bool,
    /// Whether it has rows that are not merged.
    has_rows: bool,
    sequence: Sequence,
}

impl Target {
    pub(super) fn new(table: Table, schema: Schema) -> Self {
        Self { table, schema, encoder: Encoder::default(), has_surprised: false }
    }

    /// Makes ready to write in `session`. `index` tells the sink's tables apart.
    pub(super) async fn open(&self, session: &mut Session, ready: Ready, index: usize) -> Result<Open, Failure> {
        let Ready { place, may_refuse } = ready;
        let columns = quoted_list(self.table.column_names());
        let stage = self.table.key.is_some().then(|| Stage::of(&self.table, &place, index));
        let copy = match &stage {
            Some(_) => {
                format!("COPY {} ({columns}, {}) FROM STDIN (FORMAT binary)", stage_name(index), quoted(SEQUENCE))
            }
            None => format!("COPY {place} ({columns}) FROM STDIN (FORMAT binary)"),
        };
        match session.client.prepare(&copy).await {
            Ok(copy) => Ok(Open { has_rules: may_refuse || self.has_surprised, place, copy, copying: None, stage }),
            Err(error) => Err(session.failure(&format!("prepare to write to {place}"), error).await),
        }
    }

    /// Writes the events of `batch`, and answers those that are no rows.
    pub(super) async fn write(
        &mut self,
        open: &mut Open,
        session: &mut Session,
        batch: &Batch,
    ) -> Result<Vec<Rejection>, Failure> {
        let sequence = open.stage.as_mut().map(|stage| &mut stage.sequence);
        let (rows, mut rejected) = self.encoder.encode(&self.table, &self.schema, batch, sequence);
        if rows.len() == 0 {
            return Ok(rejected);
        }
        let doing = format!("write to {}", open.place);
        let written = if open.has_rules {
            open.write_one_by_one(&session.client, &rows, &mut rejected).await
        } else {
            open.stream(&session.client, &rows).await
        };
        match written {
            Ok(()) => {
                rejected.sort_unstable_by_key(|rejection| rejection.index);
                Ok(rejected)
            }
            Err(error) => Err(self.failure(session, &doing, error).await),
        }
    }

    /// Waits for the server's word on the rows that went in as they came. The session
    /// can run no other statement before.
    pub(super) async fn settle(&mut self, open: &mut Open, session: &mut Session) -> Result<(), Failure> {
        match open.settle().await {
            Ok(()) => Ok(()),
            Err(error) => Err(self.failure(session, &format!("write to {}", open.place), error).await),
        }
    }

    /// Brings what waits in the temporary table into the table.
    pub(super) async fn merge(&mut self, open: &mut Open, session: &mut Session) -> Result<(), Failure> {
        match open.merge(&session.client).await {
            Ok(()) => Ok(()),
            Err(error) => Err(self.failure(session, &format!("write to {}", open.place), error).await),
        }
    }

    async fn failure(&mut self, session: &mut Session, doing: &str, error: Error) -> Failure {
        let mut failure = session.failure(doing, error).await;
        if failure.meaning == Meaning::Row {
            // when the events come again, those that break the rule are looked for
            self.has_surprised = true;
            failure.meaning = Meaning::Passing;
        }
        failure
    }
}

impl Open {
    /// Whether anything but the types of the columns may refuse a row.
    pub(super) fn has_rules(&self) -> bool {
        self.has_rules
    }

    /// Forgets what was of the transaction before; a COPY that is open fails.
    pub(super) fn begin(&mut self) {
        self.copying = None;
        if let Some(stage) = &mut self.stage {
            stage.is_made = false;
            stage.has_rows = false;
            stage.sequence = Sequence(0);
        }
    }

    async fn stream(&mut self, client: &Client, rows: &Rows) -> Result<(), Error> {
        let copying = match &mut self.copying {
            Some(copying) => copying,
            none => {
                if let Some(stage) = &mut self.stage {
                    stage.make(client).await?;
                    stage.has_rows = true;
                }
                none.insert(start(client, &self.copy).await?)
            }
        };
        for piece in rows.pieces(0..rows.len()) {
            copying.feed(piece).await?;
        }
        Ok(())
    }

    async fn settle(&mut self) -> Result<(), Error> {
        match self.copying.take() {
            Some(copying) => finish(copying).await,
            None => Ok(()),
        }
    }

    async fn write_one_by_one(
        &mut self,
        client: &Client,
        rows: &Rows,
        rejected: &mut Vec<Rejection>,
    ) -> Result<(), Error> {
        if let Some(stage) = &mut self.stage {
            stage.make(client).await?;
        }
        let mut ranges: Vec<Range<usize>> = std::iter::once(0..rows.len()).collect();
        while let Some(range) = ranges.pop() {
            client.batch_execute(SAVEPOINT).await?;
            let mut written = copy(client, &self.copy, rows, range.clone()).await;
            if let (Ok(()), Some(stage)) = (&written, &self.stage) {
                written = client.batch_execute(&format!("{}; {}", stage.merge, stage.clear)).await;
            }
            match written {
                Ok(()) => client.batch_execute(KEEP).await?,
                Err(error) if Meaning::of(&error) == Meaning::Row => {
                    client.batch_execute(UNDO).await?;
                    match range.len() {
                        1 => {
                            let index = rows.event(range.start);
                            rejected.push(Rejection { index, reason: fault::text(&error) });
                        }
                        n => {
                            let middle = range.start + n / 2;
                            ranges.extend([middle..range.end, range.start..middle]);
                        }
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn merge(&mut self, client: &Client) -> Result<(), Error> {
        if let Some(stage) = &mut self.stage
            && stage.has_rows
        {
            client.batch_execute(&stage.merge).await?;
            stage.has_rows = false;
        }
        Ok(())
    }
}

impl Stage {
    /// Makes the temporary table, once a transaction.
    async fn make(&mut self, client: &Client) -> Result<(), Error> {
        if !self.is_made {
            client.batch_execute(&self.create).await?;
            self.is_made = true;
        }
        Ok(())
    }

    fn of(table: &Table, place: &str, index: usize) -> Self {
        let (name, sequence) = (stage_name(index), quoted(SEQUENCE));
        let columns = quoted_list(table.column_names());
        let key = quoted_list(table.key_names());
        let set: Vec<_> = table.other_names().map(|name| format!("{0} = excluded.{0}", quoted(name))).collect();
        let act = match set.as_slice() {
            [] => "NOTHING".to_owned(),
            set => format!("UPDATE SET {}", set.join(", ")),
        };
        Self {
            create: format!(
                "CREATE TEMPORARY TABLE {name} ON COMMIT DROP AS SELECT {columns}, 0::bigint AS {sequence} FROM {place} WITH NO DATA"
            ),
            merge: format!(
                "INSERT INTO {place} ({columns}) SELECT DISTINCT ON ({key}) {columns} FROM {name} ORDER BY {key}, {sequence} DESC ON CONFLICT ({key}) DO {act}"
            ),
            clear: format!("TRUNCATE {name}"),
            is_made: false,
            has_rows: false,
            sequence: Sequence(0),
        }
    }
}

fn stage_name(index: usize) -> String {
    format!("pg_temp.flowctl_stage_{index}")
}

async fn copy(client: &Client, statement: &Statement, rows: &Rows, range: Range<usize>) -> Result<(), Error> {
    let mut copying = start(client, statement).await?;
    for piece in rows.pieces(range) {
        copying.feed(piece).await?;
    }
    finish(copying).await
}

async fn start(client: &Client, statement: &Statement) -> Result<Copying, Error> {
    let mut copying = Box::pin(client.copy_in(statement).await?);
    copying.feed(Bytes::from_static(HEAD)).await?;
    Ok(copying)
}

async fn finish(mut copying: Copying) -> Result<(), Error> {
    copying.feed(Bytes::from_static(TAIL)).await?;
    copying.as_mut().finish().await.map(drop)
}
